"""Run the visible checks on one file: ``python -m attention_lab.notebook.visible_checks VARIANT FILE``."""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attention_lab.checks.calls import quiet
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.run import VISIBLE_CHECKS, check
from attention_lab.environment.printable import printable
from attention_lab.notebook.learner_cells import NotJudgeable, read_submission
from attention_lab.notebook.run_cells import load, summed_up
from attention_lab.tracebacks import learners_line
from attention_lab.variants import Variant, get_variant

# Beyond these a loop is taken for endless. Whoever starts this waits for both, and for Python to start
CELLS_SECONDS = 20.0
CHECKS_SECONDS = 30.0


def main(variant_name: str, file: str) -> int:
    """Print what the visible checks find; returns 0 when both pass, else 1."""
    variant = get_variant(variant_name)
    try:
        submission = read_submission(Path(file), variant)
    except NotJudgeable as reason:
        print(f"  FAILED  {printable(reason)}")
        return 1
    with _interrupted_after(CELLS_SECONDS):
        notes, function = load(submission.cells, variant.function_name, "__main__")
    for note in summed_up(notes, submission.cells):
        print(f"  note: {printable(note)}")
    if function is None:
        print(f"  FAILED  the function {variant.function_name} was not found")
        return 1
    try:
        with _interrupted_after(CHECKS_SECONDS):
            return 0 if _all_pass(variant, function) else 1
    except KeyboardInterrupt as stopped:
        where = learners_line(stopped)
        print(f"  FAILED  your function did not finish within {CHECKS_SECONDS:g} s{f' ({where})' if where else ''}")
        print("          look for a loop that never ends")
        return 1


def _all_pass(variant: Variant, function: Callable[..., Any]) -> bool:
    """Print one line for a check that passes, and why one does not; what both say is said once."""
    problems: list[str] = []
    for name in VISIBLE_CHECKS:
        try:
            with quiet():
                check(variant, name, function)
            print(f"  passed  {name}")
        except CheckFailed as failed:
            if failed.problem in problems:
                print(f"  FAILED  {name}: {printable(failed.problem)}, here, too")
            else:
                print("  FAILED  " + name, *str(failed).split("\n"), sep="\n          ")
            problems.append(failed.problem)
    return not problems


@contextlib.contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` in the learner's code, as the notebook's stop button does, on any system."""
    watch = threading.Timer(seconds, _thread.interrupt_main)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
