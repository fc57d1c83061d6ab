"""A course root of its own, for a demo, a release or a test: nbgrader runs there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from attention_grading.judging.seed import PUBLIC_SEED
from attention_lab.variants import VARIANTS

DEMO_SECONDS = 10
COPIED = ("source", "course.toml", "nbgrader_config.py")


def prepare(course: Path, folder: Path) -> None:
    """Wipe the folder and give it what a course root needs.

    Raises:
        ValueError: The folder holds the course itself.
    """
    if course.is_relative_to(folder):
        raise ValueError(f"{folder} holds the course itself; the demo wipes its folder, so choose another")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (course / name).is_dir() else shutil.copy
        copy(course / name, folder / name)
    (folder / ".grading_seed").write_text(PUBLIC_SEED + "\n")  # so that everybody sees the same
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write(f"\nc.JudgingRules.seconds = {DEMO_SECONDS}  # the demo has an endless loop in its class\n")


def stems_in(source: Path) -> list[str]:
    """Names of the variants that have a notebook in ``source/``: an instructor may drop some."""
    return [variant.stem for variant in VARIANTS.values() if (source / variant.stem / f"{variant.stem}.ipynb").exists()]


def nbgrader(folder: Path, command: str, *options: str) -> None:
    """Run an nbgrader command as an instructor would, in the course root; its log goes to ``nbgrader.log``.

    Raises:
        RuntimeError: The command failed; the message holds the end of its log.
    """
    _run_logged(folder, "nbgrader", ["-c", _NBGRADER, command, *options])


# ``python -m nbgrader``, but for what takes longer than nbgrader's own start
_NBGRADER = "import attention_grading.without_grammar; from nbgrader.apps.nbgraderapp import main; main()"


def grade(folder: Path) -> None:
    """Grade the class as an instructor would; the log goes to ``nbgrader.log``, too.

    Raises:
        RuntimeError: Something was not graded.
    """
    _run_logged(folder, "attention-grading", ["-m", "attention_grading.cli", "grade"])


def _run_logged(folder: Path, name: str, arguments: Sequence[str]) -> None:
    """Run a program of Python's in the course root, with the log of ``nbgrader``.

    Raises:
        RuntimeError: As ``nbgrader``.
    """
    run = [sys.executable, *arguments]
    done = subprocess.run(run, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    with (folder / "nbgrader.log").open("a") as log:
        log.write(f"$ {name} {' '.join(arguments[2:])}\n{done.stdout}\n")
    if done.returncode != 0:
        told = "\n".join(line for line in done.stdout.splitlines() if "| INFO]" not in line)
        raise RuntimeError(f"{name} {arguments[2]} failed:\n{told[-3000:]}")
