"""The judge behind ``attention-lab check`` and the kit's ``judge_all``: a learner's own function, for its learner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attention_grading.execution.workers import JUDGE_WORKER
from attention_grading.sandbox.processes import Interrupted, once_more
from attention_grading.sandbox.warm_server import start_ahead
from attention_grading.text import plain
from attention_lab.variants import Variant

if TYPE_CHECKING:
    from attention_grading.judging.verdict import CheckResult, Verdict


def judge_files(pairs: Sequence[tuple[Variant, Path]], *, explain: bool = False) -> bool:
    """Judge files, unconfined, and print what to fix first in each.

    Args:
        pairs: Variant and file.
        explain: Whether to say what the mistake's name means, too.

    Returns:
        Whether every file earned full marks.
    """
    start_ahead(False, JUDGE_WORKER)
    # only now: while this process imports PyTorch, the other one does
    from attention_grading.judging.session import Session

    right = True
    with Session(confined=False) as session:
        for variant, path in pairs:
            try:
                verdict = once_more(partial(session.judge_file, variant, path))
            except Interrupted as reason:
                print(f"{plain(path, 300)} was not judged. {plain(reason, 300)}")
                right = False
                continue
            print(f"{plain(path, 300)}: {answer(verdict, explain, '--explain')}\n", flush=True)
            right &= verdict.score == verdict.max_score
    return right


def judge_here(variant: Variant, function: Callable[..., Any], *, explain: bool = False) -> None:
    """Judge a function in this process, and print what to fix first."""
    from attention_grading.judging.in_kernel import judge_all

    print(answer(judge_all(variant, function), explain, "explain=True"))


def answer(verdict: Verdict, explain: bool, option: str) -> str:
    """A verdict in the order in which a learner needs it: points, the first thing to fix, all six, what to do next.

    Args:
        verdict: The verdict.
        explain: Whether to say what the mistake's name means, too.
        option: What asks for that.
    """
    failed = next((check for check in verdict.checks if not check.passed), None)
    lines = [f"{verdict.score} of {verdict.max_score} points", ""]
    if failed is not None:
        lines += [f"First to fix: {failed.name}", *_indented(failed.message)]
        if failed.mistake:
            lines += _indented(f"the mistake looks like: {failed.diagnosis if explain else failed.mistake}")
        lines += [""]
    lines += [_line(check, None if check is failed else failed) for check in verdict.checks]
    lines += [f"  note: {plain(note, 1000)}" for note in verdict.notes]
    if failed is None:
        lines += ["", "All six checks pass."]
    elif failed.mistake and not explain:
        lines += ["", f"Fix this first, then check again. To read what {failed.mistake} means, add {option}."]
    else:
        lines += ["", "Fix this first, then check again."]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"  {plain(line, 1000)}" for line in text.split("\n")]


def _line(check: CheckResult, first: CheckResult | None) -> str:
    """One check in a line; what was said of the first one that failed is not said again."""
    words = f"  {'passed' if check.passed else 'FAILED'}  {check.name:<11} {check.earned}/{check.points}"
    if check.passed or first is None or _problem(check) == _problem(first):
        return words
    first_line, _, _ = check.message.partition("\n")
    return f"{words}  {plain(first_line, 200)}"


def _problem(check: CheckResult) -> str:
    return check.message if check.failed is None else check.failed.problem
