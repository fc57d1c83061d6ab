"""``make release``: generate the releases of the notebooks in ``source/`` into ``release/``.

The only command that writes ``release/``. Where a notebook there differs from git's, somebody has worked in it: the
command refuses and names it, unless forced.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attention_grading.authoring.course_root import nbgrader, prepare, stems_in
from attention_grading.course_file import read_course
from attention_lab.variants import VARIANTS


def main(arguments: list[str] | None = None) -> int:
    """Write the releases; returns 0, or 1 where a changed notebook stood in the way or none could be made."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.authoring.release", description=__doc__)
    parser.add_argument("--force", action="store_true", help="overwrite notebooks that differ from git's")
    options = parser.parse_args(arguments)
    course = Path.cwd()
    changed = changed_notebooks(course)
    if changed and not options.force:
        print("These notebooks in release/ differ from git's; someone may have worked in them:", file=sys.stderr)
        print("\n".join(f"  {name}" for name in changed), file=sys.stderr)
        print("Move them elsewhere, or run `make release FORCE=1` to overwrite them.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as temporary:
        try:
            generated = generate(course, Path(temporary) / "course")
        except (OSError, RuntimeError) as reason:
            print(f"Nothing was released: {reason}", file=sys.stderr)
            return 1
        for path in generated:
            target = course / "release" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            print(f"wrote {target.relative_to(course)}")
    for path in pin_addresses(course):
        print(f"wrote the course's address into {path.relative_to(course)}")
    kept = {path.parent.name for path in generated}
    for variant in VARIANTS.values():
        if variant.stem not in kept and (course / "release" / variant.stem).exists():
            print(f"release/{variant.stem} has no notebook in source/ any more: delete it if you have dropped it")
    return 0


def generate(course: Path, folder: Path) -> list[Path]:
    """Generate the releases in a folder of their own.

    Returns:
        Their paths: one for each variant that has a notebook in ``source/``.

    Raises:
        OSError: A file that a course root needs is missing.
        RuntimeError: There is not a notebook, or nbgrader made no release of one; the message says why.
    """
    prepare(course, folder)
    stems = stems_in(folder / "source")
    if not stems:
        raise RuntimeError("there is not a notebook in source/")
    nbgrader(folder, "generate_assignment", "--assignment=*")
    return [folder / "release" / stem / f"{stem}.ipynb" for stem in stems]


# owner, name, blob, tag
_COLAB = re.compile(r"https://colab\.research\.google\.com/github(?:/[^/\s)]+){4}/")
_KIT = re.compile(r"attention-lab @ git\+https://[^\\\"\s]+")


def pin_addresses(course: Path) -> list[Path]:
    """Write the address of ``course.toml`` into the lessons and into the README's links to Colab.

    Returns:
        The files that held another address.
    """
    known = read_course(course)
    addresses = dict.fromkeys(sorted((course / "notebooks").glob("*.ipynb")), (_KIT, known.kit))
    changed = []
    for path, (pattern, address) in (addresses | {course / "README.md": (_COLAB, known.colab)}).items():
        before = path.read_text(encoding="utf-8")
        after = _replaced(before, pattern, address)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


def _replaced(text: str, pattern: re.Pattern[str], address: str) -> str:
    return pattern.sub(lambda _: address, text)  # as it is: a backslash in it means nothing


def changed_notebooks(course: Path) -> list[str]:
    """Notebooks in ``release/`` that differ from git's, new ones included; without git, all that are there."""
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all", "--", "release"],
        cwd=course,
        capture_output=True,
        text=True,
        check=False,
    )
    if status.returncode != 0:
        return [str(path.relative_to(course)) for path in sorted((course / "release").rglob("*.ipynb"))]
    names = [line[3:].strip('"') for line in status.stdout.splitlines()]
    return [name for name in names if name.endswith(".ipynb") and ".ipynb_checkpoints" not in name]


if __name__ == "__main__":
    sys.exit(main())
