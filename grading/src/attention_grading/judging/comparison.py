"""Hold outcomes against the reference, and say in three lines what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from attention_grading.reference import Expected, expect
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.require import locate, no_device_mismatch, require_finite, require_result, require_unchanged
from attention_lab.checks.words import dtype_name, two_numbers
from attention_lab.variants import Variant

# Largest allowed |output - reference| / (1 + |reference|): so many eps of the dtype, and more where scores are large,
# since a score is rounded to its own size and the softmax turns its absolute error into a relative one of the weights.
# Evidence: benchmarks/README.md, "Tolerances".
# In half precision the fused kernels compute in fp32 inside, while eager code may round at every step.
UNITS: dict[str, float] = {"eager": 3.0, "tiled": 3.0, "sdpa": 2.0, "flash": 1.5, "flex": 2.0}
UNITS_PER_SCORE: dict[str, float] = {"eager": 1.0, "tiled": 1.0, "sdpa": 0.5, "flash": 0.35, "flex": 0.5}
# In fp32 there is room, and nothing to be caught by using it up; fp32 inside is allowed for fp64 inputs
SINGLE_UNITS, SINGLE_UNITS_PER_SCORE = 64.0, 1.0
# Gradients pass through one more product than outputs do
GRADIENT_FACTOR = 3.0


THE_OUTPUT = "the output"


def tolerance(variant: Variant, call: Call) -> float:
    """How far a right function's output may be from the reference, by its dtype and the size of the scores."""
    dtype, largest = call.arguments["q"].dtype, expected_of(variant, call).largest_score
    if dtype in (torch.float64, torch.float32):
        return torch.finfo(torch.float32).eps * (SINGLE_UNITS + SINGLE_UNITS_PER_SCORE * largest)
    return torch.finfo(dtype).eps * (UNITS[variant.kernel] + UNITS_PER_SCORE[variant.kernel] * largest)


@lru_cache(maxsize=4096)
def expected_of(variant: Variant, call: Call) -> Expected:
    """What a right function gives for this call, computed once."""
    return expect(variant, call.arguments, call.cotangent)


def output_of(outcome: Outcome) -> Tensor:
    """The output of an outcome that is known to have one."""
    assert outcome.output is not None
    return outcome.output


def relative_error(output: Tensor, reference: Tensor) -> Tensor:
    """|output - reference| / (1 + |reference|), in float64."""
    return (output.double() - reference).abs() / (1 + reference.abs())


def values(
    variant: Variant,
    case: str,
    hint: str,
    calls: Sequence[Call],
    outcomes: Sequence[Outcome],
    *,
    own_dtype: bool = True,
) -> None:
    """Outputs must match the reference at every real token."""
    for call, outcome in zip(calls, outcomes, strict=True):
        output = require_result(case, call, outcome, own_dtype=own_dtype)
        expected = expected_of(variant, call)
        # rows that nobody reads may hold anything
        output = torch.where(expected.read[..., None], output.double(), expected.output)
        require_finite(case, call, output)
        _require_close(variant, case, call, output, expected.output, THE_OUTPUT, hint)


def gradients(variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """Outputs and gradients must be finite, at rows without keys too, and the gradients match the reference."""
    for call, outcome in zip(calls, outcomes, strict=True):
        require_finite(case, call, require_result(case, call, outcome))
        for name, gradient in require_gradients(case, call, outcome).items():
            require_finite(case, call, gradient, f"the gradient of {name}")
        require_unchanged(case, outcome)
    for call, outcome in zip(calls, outcomes, strict=True):
        expected = expected_of(variant, call)
        for name, gradient in require_gradients(case, call, outcome).items():
            hint = "what cuts or bends the gradient: detach, no_grad, .data, rounding, a repair after the softmax"
            what = f"the gradient of {name}"
            _require_close(variant, case, call, gradient, expected.gradients[name], what, hint, GRADIENT_FACTOR)


def unmodified(case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """No call may modify its arguments."""
    for call, outcome in zip(calls, outcomes, strict=True):
        require_result(case, call, outcome)
        require_unchanged(case, outcome)


def devices(case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """No tensor may be put on a device of the function's own choice."""
    for call, outcome in zip(calls, outcomes, strict=True):
        no_device_mismatch(case, call, outcome)
        if outcome.failure is not None and outcome.failure.is_stub:
            require_result(case, call, outcome)  # an untouched stub has not shown that it runs on any device


def require_gradients(case: str, call: Call, outcome: Outcome) -> dict[str, Tensor]:
    """The gradients of q, k and v.

    Raises:
        CheckFailed: The output does not depend on one of them, or no gradient flows at all.
    """
    hint = "what cuts the gradient: detach, no_grad, .data, .item(), numpy, a new tensor made from old numbers"
    if not outcome.differentiable:
        raise CheckFailed(case, "no gradient flows", "expected gradients of q, k and v, got none", hint, "no-gradient")
    for name, gradient in outcome.gradients.items():
        if gradient is None:
            detail = f"expected a gradient of {name}, got none"
            raise CheckFailed(case, f"no gradient flows to {name}", detail, hint, "no-gradient")
        if gradient.shape != call.arguments[name].shape:
            problem = f"the gradient of {name} has the wrong shape"
            raise CheckFailed(case, problem, "expected the input's shape", hint, "wrong-gradient")
    return {name: gradient for name, gradient in outcome.gradients.items() if gradient is not None}


# ---- comparison ------------------------------------------------------------------------------------------------------


def _require_close(
    variant: Variant, case: str, call: Call, got: Tensor, expected: Tensor, what: str, hint: str, slack: float = 1.0
) -> None:
    error = relative_error(got, expected)
    wrong = error > slack * tolerance(variant, call)
    if not wrong.any():
        return
    first = tuple(wrong.nonzero()[0].tolist())
    wanted, came = two_numbers(float(expected[first]), float(got[first]))
    measured = {"numbers": int(wrong.sum()), "of": wrong.numel(), "worst": _worst(got, expected)}
    raise CheckFailed(
        case,
        f"{what} is wrong at {locate(wrong, call)}",
        f"expected {wanted}, got {came} in {dtype_name(call.arguments['q'])} "
        f"({measured['numbers']} of {measured['of']} numbers are off, the worst by {measured['worst']:.2g})",
        hint,
        "wrong-values" if what == THE_OUTPUT else "wrong-gradient",
        measured,
    )


def _worst(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).abs().max())
