"""The command ``attention-lab``: where to begin (``start``), what is there (``doctor``), is it right (``check``).

``tutor`` prints a prompt for a chat assistant.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.resources
import os
import subprocess
import sys
from pathlib import Path

from attention_lab.environment.doctor import doctor
from attention_lab.environment.packages import MissingPackage, explain, look_at
from attention_lab.environment.printable import printable
from attention_lab.environment.start import start
from attention_lab.notebook.judge_all import JUDGES
from attention_lab.variants import VARIANTS, Variant, get_variant

SECONDS = 60.0
NO_JUDGE = 3  # exit code where only the visible checks ran, and passed
STARTS = """Judging {names}.
The code in it runs unconfined, as your own account: check only files that you trust.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit code. 0: all is right; 1: something is not; 2: wrong usage; 3: the visible checks pass, and no judge is
        installed for the others.
    """
    parser = argparse.ArgumentParser(prog="attention-lab", description="Attention, six ways: the learner's commands.")
    commands = parser.add_subparsers(dest="command", required=True)
    begin = commands.add_parser("start", help="open the course in JupyterLab; further options are JupyterLab's")
    begin.add_argument("--folder", type=Path, default=Path(), help="the course's folder (default: this one)")
    begin.set_defaults(run=lambda options: start(options.folder, options.others))
    examine = commands.add_parser("doctor", help="say what is there, which flash route is used, and what to fix")
    examine.set_defaults(run=lambda options: doctor())
    check = commands.add_parser("check", help="judge the function in your notebooks")
    check.add_argument(
        "files", metavar="NOTEBOOK", nargs="+", type=Path, help="a notebook of the course, or a .py file"
    )
    check.add_argument("--variant", help=f"where the file's name does not say it: one of {', '.join(VARIANTS)}")
    check.add_argument("--explain", action="store_true", help="say what the name of a mistake means")
    check.set_defaults(run=_check)
    tutor = commands.add_parser("tutor", help="print a prompt that makes a chat assistant ask instead of answer")
    tutor.set_defaults(run=_tutor)
    options, others = parser.parse_known_args(arguments)
    if others and options.command != "start":
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    options.others = others
    try:
        code: int = options.run(options)
    except (ValueError, MissingPackage) as error:
        print(f"attention-lab: {error}", file=sys.stderr)
        return 2
    return code


def _check(options: argparse.Namespace) -> int:
    judges = list(importlib.metadata.entry_points(group=JUDGES, name="default"))
    # importing torch takes a second, which the judge's two processes spend side by side
    torch = look_at("torch", by_import=not judges)
    if torch.problem:
        raise MissingPackage(f"{torch.problem} {torch.remedy}")
    for path in options.files:
        _require_file(path)
    pairs = [(_variant_of(path, options.variant), path) for path in options.files]
    print(STARTS.format(names=", ".join(printable(path.name) for path in options.files)), flush=True)
    if not judges:
        print("Visible checks only: the course's grader, which has the hidden ones, is not installed.\n", flush=True)
        return NO_JUDGE if all([_visible_checks(variant, path) for variant, path in pairs]) else 1
    try:
        return 0 if judges[0].load()(pairs, explain=options.explain) else 1
    except ImportError as error:
        raise MissingPackage(" ".join(explain("torch", error))) from error


def _tutor(options: argparse.Namespace) -> int:
    """Print the prompt; it is ASCII, so that a pipe into ``clip``, ``pbcopy`` or ``xclip`` copies it on any machine."""
    prompt = importlib.resources.files("attention_lab") / "data" / "socratic_prompt.md"
    print(prompt.read_text(encoding="ascii"), end="")
    return 0


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{printable(path)} is a folder; name the notebook in it")
    if not path.is_file():
        raise ValueError(f"{printable(path)}: there is no such file")


def _variant_of(path: Path, named: str | None) -> Variant:
    if named:
        return get_variant(named)
    for variant in VARIANTS.values():
        if variant.name in path.stem:
            return variant
    raise ValueError(f"{printable(path.name)} names no variant; say which with --variant, one of {', '.join(VARIANTS)}")


def _visible_checks(variant: Variant, path: Path) -> bool:
    """Run the visible checks in a process of their own, so that an endless loop ends."""
    print(f"{printable(path)} ({variant.name})")
    command = [sys.executable, "-m", "attention_lab.notebook.visible_checks", variant.name, os.fspath(path)]
    try:
        return subprocess.run(command, timeout=SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"  FAILED  your code did not finish within {SECONDS:g} s; look at loops that never end")
        return False


if __name__ == "__main__":
    sys.exit(main())
