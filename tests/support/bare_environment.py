"""A virtual environment as on a new machine: everything that the course needs is there, and nothing of the course."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

OURS = ("attention_lab", "attention_grading", "__editable__")


def bare_environment(folder: Path) -> dict[str, str]:
    """Make one, by links to the packages of the interpreter that runs the tests, so that nothing is fetched.

    Returns:
        The variables of a shell in which it is activated.
    """
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    # before Python 3.12 it brings a setuptools of its own, too old for PyTorch
    uninstall = ("-m", "pip", "uninstall", "--quiet", "--yes", "setuptools")
    subprocess.run([folder / "venv" / "bin" / "python", *uninstall], check=True)
    packages = folder / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(OURS) and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(f"{packages}\n")
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS")}
    return kept | {"VIRTUAL_ENV": str(folder / "venv"), "PATH": f"{folder}/venv/bin:{os.environ['PATH']}"}
