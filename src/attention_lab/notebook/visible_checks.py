"""Run the visible checks on one file: ``python -m attention_lab.notebook.visible_checks VARIANT FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from attention_lab.checks.case import CheckFailed
from attention_lab.checks.run import VISIBLE_CHECKS, check
from attention_lab.environment.printable import printable
from attention_lab.notebook.learner_cells import NotJudgeable, read_submission
from attention_lab.notebook.run_cells import load, summed_up
from attention_lab.variants import get_variant


def main(variant_name: str, file: str) -> int:
    """Print one line a check; returns 0 when both pass, else 1."""
    variant = get_variant(variant_name)
    try:
        submission = read_submission(Path(file), variant)
    except NotJudgeable as reason:
        print(f"  FAILED  {printable(reason)}")
        return 1
    notes, function = load(submission.cells, variant.function_name, "__main__")
    for note in summed_up(notes, submission.cells):
        print(f"  note: {note}")
    if function is None:
        print(f"  FAILED  the function {variant.function_name} was not found")
        return 1
    passed = True
    for name in VISIBLE_CHECKS:
        try:
            check(variant, name, function)
            print(f"  passed  {name}")
        except CheckFailed as failed:
            passed = False
            print("  FAILED  " + name + "\n          " + str(failed).replace("\n", "\n          "))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
