"""What a hidden cell calls: ``judge("eager_causal", "values", eager_causal_attention)``.

Here the function runs in the notebook's own kernel, as stock nbgrader does it. The course's own configuration judges
in a process apart instead, and writes that verdict over this one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from attention_grading.execution.kernel_hooks import marked_kernels
from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.kernel_factors import MARKED_KERNELS, MarkedKernels
from attention_grading.judging.outcomes import judge_check, judge_outcomes
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.judging.verdict import Verdict
from attention_lab.checks.calls import Call, Outcome, perform_on
from attention_lab.checks.run import checked_on
from attention_lab.flex import load_compiler
from attention_lab.variants import Variant, get_variant


def judge(variant: str, check: str, function: Callable[..., Any]) -> float:
    """Judge one check of a function, in this process.

    Prints one line a case.

    Args:
        variant: One of the course's, such as ``"eager_causal"``.
        check: One of the six checks, such as ``"values"``.
        function: The learner's function.

    Returns:
        The points earned.

    Raises:
        CheckFailed: Nothing was earned; its three lines say why.
    """
    variant_ = get_variant(variant)
    cases = [case for case in plan(variant_.name, PUBLIC_SEED, checked_on(variant_)) if case.check == check]
    if not cases:
        raise ValueError(f"unknown check {check!r}")
    outcomes = iter(perform_here(variant_, function, flat_calls(cases)))
    result = judge_check(variant_, check, [(case, [next(outcomes) for _ in case.calls]) for case in cases])
    print("\n".join(result.lines))
    if result.failed is not None:
        raise result.failed
    return float(result.earned)


def judge_all(variant: Variant, function: Callable[..., Any]) -> Verdict:
    """Judge all six checks of a function, in this process."""
    device = checked_on(variant)
    calls = flat_calls(plan(variant.name, PUBLIC_SEED, device))
    return judge_outcomes(variant, PUBLIC_SEED, perform_here(variant, function, calls, device), device=device)


def perform_here(
    variant: Variant, function: Callable[..., Any], calls: Sequence[Call], device: str | None = None
) -> list[Outcome]:
    """Perform calls in this process, marked ones with marked kernels.

    Args:
        variant: One of the course's.
        function: The function to call.
        calls: The calls, with tensors on the CPU.
        device: Where the function gets its inputs; by default where the visible checks give them.
    """
    service = MarkedKernels(MARKED_KERNELS[variant.kernel])
    device = device or checked_on(variant)
    if variant.kernel == "flex":
        load_compiler()
    outcomes = []
    for call in calls:
        is_watched = call.setting in ("marked", "unmarked")
        service.begin(call.setting == "marked")
        with marked_kernels(service) if is_watched else contextlib.nullcontext():
            outcome = perform_on(device, function, call)
        if is_watched:
            outcome.marks, outcome.keys = tuple(service.marks), service.keys
        outcomes.append(outcome)
    return outcomes
