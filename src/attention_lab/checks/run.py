"""The two visible checks of every notebook. They hold no answers: they ask what any attention must do.

``contract``: shape, dtype, device and call forms. ``invariants``: what may be seen changes the output, what is masked
does not, and nobody's inputs are modified; in the notebook, the identities of ``identities`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attention_lab.checks.calls import perform_on
from attention_lab.checks.case import Case
from attention_lab.checks.contract import contract_cases
from attention_lab.checks.identities.cases import invariant_and_identity_cases
from attention_lab.checks.invariants import invariant_cases
from attention_lab.flash import flash_route
from attention_lab.flex import flex_device, load_compiler
from attention_lab.tracebacks import shows_learners_lines
from attention_lab.variants import Variant, get_variant

# What a notebook asks, by check
_NOTEBOOK_CASES: dict[str, Callable[[Variant], Iterator[Case]]] = {
    "contract": contract_cases,
    "invariants": invariant_and_identity_cases,
}
VISIBLE_CHECKS = tuple(_NOTEBOOK_CASES)


@shows_learners_lines
def check(variant: str | Variant, name: str, function: Callable[..., Any]) -> None:
    """Run one visible check on your function: print a line for each case that passes, raise at the first that fails.

    Args:
        variant: Which notebook's, such as ``"eager_causal"``.
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
    if variant.kernel == "flex":
        load_compiler()
    for case in _NOTEBOOK_CASES[name](variant):
        case.verify([perform_on(device, function, call) for call in case.calls])
        print(f"passed: {case.name}")


def checked_on(variant: Variant) -> str:
    """The device that a function is checked on: the CPU, or the GPU where its kernel or its gradients are alone."""
    if variant.kernel == "flex":
        return flex_device()
    return flash_route().device if variant.kernel == "flash" else "cpu"


def visible_cases(variant: Variant) -> list[Case]:
    """The cases that the points of both visible checks hang on, in order: what else a notebook asks costs none here."""
    return [*contract_cases(variant), *invariant_cases(variant)]
