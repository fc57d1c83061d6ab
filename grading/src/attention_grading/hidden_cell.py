"""What a hidden cell calls: ``judge("eager_causal", "values", eager_causal_attention)``.

Here the function runs in the notebook's own kernel, as stock nbgrader does it. The course's own configuration judges
in a process apart instead, and writes that verdict over this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attention_grading.cases import PUBLIC_SEED, flat_calls, plan
from attention_grading.verdict import judge_check, perform_here
from attention_lab.checks import CheckFailed
from attention_lab.variants import get_variant


def judge(variant: str, check: str, function: Callable[..., Any]) -> float:
    """Judge one check of a function, in this process.

    Prints one line a case.

    Args:
        variant: One of the six, such as ``"eager_causal"``.
        check: One of the six checks, such as ``"values"``.
        function: The learner's function.

    Returns:
        The points earned.

    Raises:
        CheckFailed: Nothing was earned; its three lines say why.
    """
    variant_ = get_variant(variant)
    cases = [case for case in plan(variant_.name, PUBLIC_SEED) if case.check == check]
    if not cases:
        raise ValueError(f"unknown check {check!r}")
    outcomes = iter(perform_here(variant_, function, flat_calls(cases)))
    result = judge_check(variant_, check, [(case, [next(outcomes) for _ in case.calls]) for case in cases])
    print("\n".join(result.lines))
    if not result.passed:
        raise CheckFailed(*message_parts(result.message))
    return float(result.earned)


def message_parts(message: str) -> tuple[str, str, str, str]:
    """Case, problem, detail and hint of a message's three lines."""
    first, detail, hint = [*message.split("\n"), "", ""][:3]
    case, _, problem = first.removeprefix("[").partition("] ")
    return case, problem, detail, hint.removeprefix("look at ")
