"""A copy of course and environment that another user can use: what a normal user's machine looks like.

Where the tests run as root, the tests of confinement run a second time as a user who owns nothing. Root's own
environment may lie where others cannot go, so interpreter, packages and course are copied into a world-readable
temporary folder: by hard links where the file system allows, so that it takes seconds and no space.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.places import ROOT

NOBODY = 65534
COURSE = (
    "source",
    "release",
    "src",
    "grading",
    "tests",
    "course.toml",
    "nbgrader_config.py",
    "pyproject.toml",
    "README.md",
)


def is_root() -> bool:
    return hasattr(os, "getuid") and os.getuid() == 0


@dataclass(frozen=True)
class Copy:
    """What the user uses.

    Attributes:
        folder: A folder of the user's own.
        course: The course root.
        python: The interpreter.
        library: Folder of the interpreter's shared library.
    """

    folder: Path
    course: Path
    python: Path
    library: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Python as the user, in the copied course's ``tests``."""
        environment = {
            "PATH": f"{self.python.parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LD_LIBRARY_PATH": str(self.library),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.folder),
        }
        return subprocess.Popen(
            [str(self.python), *arguments],
            cwd=self.course / "tests",
            env=environment,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@cache
def copy_for_nobody() -> Copy:
    """Make the copy, once a test process; it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="attention-nobody-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    base, venv, course, own = (folder / name for name in ("python", "venv", "course", "own"))
    _copy(Path(sys.base_prefix), base, leave_out="lib/python*/site-packages")
    _copy(Path(sys.prefix), venv)
    course.mkdir()
    for name in COURSE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, course / name)
    subprocess.run(["chmod", "-R", "a+rX", str(course)], check=True)
    _relocate(venv, base, course)
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    return Copy(own, course, venv / "bin" / "python", base / "lib")


def _copy(source: Path, target: Path, leave_out: str = "") -> None:
    for how in ("-al", "-a"):
        shutil.rmtree(target, ignore_errors=True)
        if subprocess.run(["cp", how, str(source), str(target)], capture_output=True, check=False).returncode == 0:
            break
    else:
        raise OSError(f"{source} cannot be copied")
    for path in target.glob(leave_out) if leave_out else ():
        shutil.rmtree(path)


def _relocate(venv: Path, base: Path, course: Path) -> None:
    """Let the copied environment use the copied interpreter and the copied course, never the originals."""
    python = venv / "bin" / "python"
    for path in (venv / "bin").glob("python*"):
        path.unlink()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python.symlink_to(base / "bin" / f"python{version}")
    (venv / "bin" / "python3").symlink_to("python")
    _rewrite(venv / "pyvenv.cfg", f"home = {base / 'bin'}\ninclude-system-site-packages = false\n")
    for script in (venv / "bin").iterdir():
        if script.is_file() and not script.is_symlink() and script.read_bytes()[:2] == b"#!":
            text = script.read_text(errors="surrogateescape")
            if str(sys.prefix) in text.split("\n", 1)[0]:
                _rewrite(script, f"#!{python}\n" + text.split("\n", 1)[1])
    for path in venv.glob("lib/python*/site-packages/*.pth"):
        text = path.read_text()
        if str(ROOT) in text:
            _rewrite(path, text.replace(str(ROOT), str(course)))


def _rewrite(path: Path, text: str) -> None:
    """Write a new file in a hard link's place: the original stays as it is."""
    mode = path.stat().st_mode & 0o777
    path.unlink()
    path.write_text(text, errors="surrogateescape")
    path.chmod(mode | 0o444)
