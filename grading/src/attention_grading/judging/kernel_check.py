"""Whether a function's output comes from the kernel that it is to come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attention_grading.judging.comparison import expected_of
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.identities.kernels import CALLED, require_own_keys
from attention_lab.checks.require import require_finite, require_result
from attention_lab.variants import Variant

# A marked number is the true one times 1.5 to 3. Rounding moves the measured factor by less than this, be it to bf16:
# which kernel did the work is the question here, not how precisely
FACTOR_TOLERANCE = 0.02
NUMBER_TOLERANCE = 0.005


def eager_kernel(
    variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome], *, must_run: bool
) -> None:
    """The output must not come from a fused kernel, and must depend on its inputs."""
    for asked in _asked(variant, case, calls, outcomes, must_run):
        _require_own_steps(variant, case, asked)


def _require_own_steps(variant: Variant, case: str, asked: Asked) -> None:
    plain, marked, read = asked.plain, asked.marked, asked.read
    if not torch.allclose(plain[read], marked[read], rtol=1e-3, atol=1e-4):
        if not asked.drawn:  # no fused kernel ran: the output changes by itself
            raise CheckFailed(
                case,
                "the output is different the second time",
                "expected the same numbers for the same inputs, so that it shows where they come from, got others",
                "what is random in your function, such as dropout: it does not belong there",
                "random-output",
            )
        raise CheckFailed(
            case,
            "the output comes from a fused attention kernel",
            "expected plain tensor operations, got a result that changes when the fused kernels' results change",
            "the task: this notebook computes scores, mask, softmax and weighted sum step by step",
            "fused-kernel",
        )
    _require_attention(variant, case, asked.call, plain, read)


def fused_kernel(
    variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome], *, must_run: bool
) -> None:
    """The output must be the notebook's kernel's result: its numbers carry the factors of the marked ones.

    SDPA must get the keys and values themselves, where several heads share them.
    """
    for asked in _asked(variant, case, calls, outcomes, must_run):
        _require_kernel(variant, case, asked, must_run)
    if variant.keeps_keys:
        for call, outcome in zip(calls, outcomes, strict=True):
            require_own_keys(case, call, outcome)


def _require_kernel(variant: Variant, case: str, asked: Asked, must_run: bool) -> None:
    plain, marked, read = asked.plain, asked.marked, asked.read
    before, after = plain[read].double().flatten(), marked[read].double().flatten()
    telling = before.abs() > 1e-3 * before.abs().max()  # next to zero, a ratio says nothing
    numbers, factors = before[telling].tolist(), (after / before)[telling].tolist()
    drawn = asked.drawn
    if not factors and not must_run:
        return
    if factors and matched(list(zip(numbers, factors, strict=True)), drawn) >= 0.98 * len(factors):
        return
    name = CALLED[variant.kernel]
    code, used = "kernel-not-called", "the kernel was never called on v"
    if drawn:
        unchanged = sum(abs(factor - 1) < FACTOR_TOLERANCE for factor in factors)
        code, used = (
            "kernel-unused",
            "the kernel was called, but its result has no or next to no effect on what you return",
        )
        if unchanged < 0.99 * len(factors):
            code, used = "kernel-in-part", "the kernel was called, but what you return is not its result alone"
    raise CheckFailed(
        case,
        f"the output does not come from {name}",
        f"expected the kernel's result, got other numbers: {used}",
        f"your return value: it has to be what {name} gives, for every token and head",
        code,
    )


def matched(measured: Sequence[tuple[float, float]], drawn: Sequence[tuple[float, float]]) -> int:
    """How many measured numbers are a kernel's own with its own factor, give or take rounding.

    Both, since factors can be measured at one number and put on another. One-to-one, since a function's own numbers
    times one measured ratio would else pass for the kernel's. Number by number, since heads that are merged in the
    wrong order are no question of which kernel did the work.

    Args:
        measured: Numbers without marks, each with the factor between it and the marked one.
        drawn: Numbers of the kernel's true results, each with the factor it was marked with.
    """
    if not drawn:
        return 0
    numbers, factors = torch.tensor(sorted(drawn, key=lambda mark: mark[1]), dtype=torch.float64).T.contiguous()
    wanted = torch.tensor(sorted(measured, key=lambda mark: mark[1]), dtype=torch.float64)
    # a factor's candidates are those between two places in the order, and the first one is taken: where many numbers
    # are alike, the later factors need the later ones
    starts = torch.searchsorted(factors, wanted[:, 1] / (1 + FACTOR_TOLERANCE))
    ends = torch.searchsorted(factors, wanted[:, 1] / (1 - FACTOR_TOLERANCE), right=True)
    found, left = 0, numbers.numpy()  # in small pieces NumPy is faster
    for number, start, end in zip(wanted[:, 0].tolist(), starts.tolist(), ends.tolist(), strict=True):
        alike = abs(left[start:end] - number) <= NUMBER_TOLERANCE * abs(number)
        if alike.any():
            found += 1
            left[start + alike.argmax()] = math.inf  # taken
    return found


@dataclass(frozen=True)
class Asked:
    """A call's outputs without and with marks.

    Attributes:
        call: The call.
        plain: The output without marks.
        marked: The output with marks.
        read: Which of its rows are read.
        drawn: The marks of the kernels that ran.
    """

    call: Call
    plain: Tensor
    marked: Tensor
    read: Tensor
    drawn: Sequence[tuple[float, float]]


def _asked(
    variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome], must_run: bool
) -> list[Asked]:
    """What the calls gave, two by two: each without and with marks.

    One that gave no numbers is left out: that costs the points of the check that asks for it.

    Raises:
        CheckFailed: None gave numbers, and one must have.
    """
    found, problems = [], []
    for start in range(0, len(calls), 2):
        call, read = calls[start], expected_of(variant, calls[start]).read
        try:
            plain, marked = (
                require_result(case, call, outcome, own_dtype=False) for outcome in outcomes[start : start + 2]
            )
            require_finite(case, call, torch.where(read[..., None], plain.double(), 0.0))
        except CheckFailed as problem:
            problems.append(problem)
        else:
            found.append(Asked(call, plain, marked, read, outcomes[start + 1].marks))
    if must_run and not found:
        raise problems[0]
    return found


def _require_attention(variant: Variant, case: str, call: Call, output: Tensor, read: Tensor) -> None:
    """A constant or a copied input uses no kernel either, but computes no attention.

    Where each token sees itself alone, as in a window of one, the right output is v.
    """
    rows, right = output[read].double(), expected_of(variant, call).output[read]
    copied = any(
        torch.equal(output, x) and not torch.allclose(right, x[read].double(), rtol=1e-2)
        for x in (call.arguments[name] for name in ("q", "k", "v"))
    )
    if copied or float(rows.std()) == 0.0:
        raise CheckFailed(
            case,
            "the output is no attention at all",
            "expected numbers computed from q, k and v, got a constant or one of the inputs",
            "the task above",
            "no-attention",
        )
