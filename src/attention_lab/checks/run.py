"""The two visible checks of every notebook. They know no answers: they ask what any attention must do.

``contract``: shape, dtype, device and call forms. ``invariants``: what may be seen changes the output, what is masked
does not, and nobody's inputs are modified.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attention_lab.checks.calls import perform_on
from attention_lab.checks.case import Case
from attention_lab.checks.contract import contract_cases
from attention_lab.checks.invariants import invariant_cases
from attention_lab.flash import flash_route
from attention_lab.variants import Variant, get_variant

VISIBLE_CHECKS = ("contract", "invariants")


def check(variant: str | Variant, name: str, function: Callable[..., Any]) -> None:
    """Run one visible check on your function: print a line for each case that passes, raise at the first that fails.

    Args:
        variant: Which of the six, such as ``"eager_causal"``.
        name: ``"contract"`` or ``"invariants"``.
        function: Your function.

    Raises:
        CheckFailed: Something is wrong; three lines say what, how far off, and where to look.
        ValueError: There is no such variant or check.
    """
    if name not in VISIBLE_CHECKS:
        raise ValueError(f"unknown check {name!r}; choose one of {', '.join(VISIBLE_CHECKS)}")
    variant = get_variant(variant)
    device = checked_on(variant)
    for case in visible_cases(variant):
        if case.check == name:
            case.verify([perform_on(device, function, call) for call in case.calls])
            print(f"passed: {case.name}")


def checked_on(variant: Variant) -> str:
    """The device that a function is checked on: the CPU, or the GPU where its flash kernel runs nowhere else."""
    return flash_route().device if variant.packed else "cpu"


def visible_cases(variant: Variant) -> list[Case]:
    """The cases of both visible checks, in order."""
    return [*contract_cases(variant), *invariant_cases(variant)]
