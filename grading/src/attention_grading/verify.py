"""Hold outcomes against the reference, and say in three lines what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from attention_grading.reference import Expected, expect
from attention_lab.calls import Call, Outcome
from attention_lab.checks import (
    CheckFailed,
    locate,
    no_device_mismatch,
    require_finite,
    require_result,
    require_unchanged,
)
from attention_lab.variants import Variant

# Largest allowed |output - reference| / (1 + |reference|), by dtype. Worst error of right answers over the corpus in
# tests/solutions and 50 seeds, as printed by tests/confusion.py: see benchmarks/README.md, "Tolerances".
TOLERANCES: dict[torch.dtype, float] = {
    torch.float64: 1e-4,  # fp32 inside is allowed, so fp64 inputs are judged like fp32
    torch.float32: 1e-4,
    torch.float16: 2e-2,
    torch.bfloat16: 5e-2,
}
# Gradients pass through one more product than outputs do
GRADIENT_FACTOR = 4.0


@lru_cache(maxsize=4096)
def expected_of(variant: Variant, call: Call) -> Expected:
    """What a right function gives for this call, computed once."""
    return expect(variant, call.arguments, call.cotangent)


def relative_error(output: Tensor, reference: Tensor) -> Tensor:
    """|output - reference| / (1 + |reference|), in float64."""
    return (output.double() - reference).abs() / (1 + reference.abs())


def values(variant: Variant, case: str, hint: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """Outputs must match the reference at every real token."""
    for call, outcome in zip(calls, outcomes, strict=True):
        output = require_result(case, call, outcome)
        expected = expected_of(variant, call)
        # rows that nobody reads may hold anything
        output = torch.where(expected.read[..., None], output.double(), expected.output)
        require_finite(case, call, output)
        _require_close(case, call, output, expected.output, "the output", hint)


def gradients(variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """Gradients of q, k and v must be finite and match the reference."""
    for call, outcome in zip(calls, outcomes, strict=True):
        require_result(case, call, outcome)
        expected = expected_of(variant, call)
        for name, gradient in require_gradients(case, call, outcome).items():
            require_finite(case, call, gradient, f"the gradient of {name}")
            hint = "what cuts or bends the gradient: detach, no_grad, .data, rounding, a repair after the softmax"
            _require_close(
                case, call, gradient, expected.gradients[name], f"the gradient of {name}", hint, GRADIENT_FACTOR
            )


def finite(case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """Everything must be finite, at rows without keys too, forward and backward."""
    for call, outcome in zip(calls, outcomes, strict=True):
        require_finite(case, call, require_result(case, call, outcome))
        for name, gradient in require_gradients(case, call, outcome).items():
            require_finite(case, call, gradient, f"the gradient of {name}")


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
        raise CheckFailed(case, "no gradient flows", "expected gradients of q, k and v, got none", hint)
    for name, gradient in outcome.gradients.items():
        if gradient is None:
            raise CheckFailed(case, f"no gradient flows to {name}", f"expected a gradient of {name}, got none", hint)
        if gradient.shape != call.arguments[name].shape:
            raise CheckFailed(case, f"the gradient of {name} has the wrong shape", "expected the input's shape", hint)
    return {name: gradient for name, gradient in outcome.gradients.items() if gradient is not None}


# ---- which kernel did the work ---------------------------------------------------------------------------------------

# A marked row is the true one times 1.5 to 3. Rounding to the output's dtype moves the measured factor by less than
# its eps, and so much is left of a row that is no multiple of the true one
MARK_EPS = 2.0
MARK_FLOOR = 1e-3


def eager_kernel(variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """The output must not come from a fused kernel, and must depend on its inputs."""
    plain, marked, read = _pair(variant, case, calls, outcomes)
    if not torch.allclose(plain[read], marked[read], rtol=1e-3, atol=1e-4):
        raise CheckFailed(
            case,
            "the output comes from a fused attention kernel",
            "expected plain tensor operations, got a result that changes when the fused kernels' results change",
            "the task: this notebook computes scores, mask, softmax and weighted sum step by step",
        )
    _require_attention(case, calls[0], plain, read)


def fused_kernel(variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """The output must be the notebook's kernel's result: it carries the factors of the marked rows, each its own."""
    plain, marked, read = _pair(variant, case, calls, outcomes)
    name = "flash_attn_varlen_func" if variant.packed else "F.scaled_dot_product_attention"
    heads, head_dim = calls[0].arguments["num_heads"], calls[0].arguments["head_dim"]
    tolerance = max(MARK_FLOOR, MARK_EPS * torch.finfo(calls[0].arguments["q"].dtype).eps)
    # one vector a token and head: [tokens, num_heads, head_dim]
    before, after = (x[read].double().unflatten(-1, (heads, head_dim)) for x in (plain, marked))
    norm = (before * before).sum(-1)
    factor = (before * after).sum(-1) / norm.clamp_min(1e-30)
    rest = (after - factor[..., None] * before).norm(dim=-1)
    multiples = (rest <= tolerance * after.norm(dim=-1)) & (norm > 0)
    drawn = outcomes[1].factors
    if multiples.all() and matched(factor.flatten().tolist(), drawn, tolerance):
        return
    used = "the kernel was never called"
    if drawn:
        used = "the kernel was called, but its result is not what you return"
        if 0.05 < float((multiples & ((factor - 1).abs() > tolerance)).double().mean()) < 0.95:
            used = "the kernel was called, but only a part of what you return is its result"
    raise CheckFailed(
        case,
        f"the output does not come from {name}",
        f"expected the kernel's result, got other numbers: {used}",
        f"your return value: it has to be what {name} gives, for every token and head",
    )


def matched(measured: Sequence[float], drawn: Sequence[float], tolerance: float) -> bool:
    """Whether each measured factor has a drawn one of its own, within a relative tolerance.

    One-to-one, since a function's own numbers times one measured ratio would else pass for the kernel's.
    """
    candidates = iter(sorted(drawn))
    for factor in sorted(measured):
        # both in order: a drawn factor too small for this one is too small for all that follow
        match = next((other for other in candidates if other >= factor * (1 - tolerance)), None)
        if match is None or match > factor * (1 + tolerance):
            return False
    return True


def _pair(
    variant: Variant, case: str, calls: Sequence[Call], outcomes: Sequence[Outcome]
) -> tuple[Tensor, Tensor, Tensor]:
    plain, marked = (require_result(case, call, outcome) for call, outcome in zip(calls, outcomes, strict=True))
    read = expected_of(variant, calls[0]).read
    require_finite(case, calls[0], torch.where(read[..., None], plain.double(), 0.0))
    return plain, marked, read


def _require_attention(case: str, call: Call, output: Tensor, read: Tensor) -> None:
    """A constant or a copied input uses no kernel either, but computes no attention."""
    rows = output[read].double()
    copied = any(torch.equal(output, call.arguments[name]) for name in ("q", "k", "v"))
    if copied or float(rows.std()) == 0.0:
        raise CheckFailed(
            case,
            "the output is no attention at all",
            "expected numbers computed from q, k and v, got a constant or one of the inputs",
            "the task above",
        )


# ---- comparison ------------------------------------------------------------------------------------------------------


def _require_close(
    case: str, call: Call, got: Tensor, expected: Tensor, what: str, hint: str, slack: float = 1.0
) -> None:
    error = relative_error(got, expected)
    wrong = error > slack * TOLERANCES[call.arguments["q"].dtype]
    if not wrong.any():
        return
    first = tuple(wrong.nonzero()[0].tolist())
    raise CheckFailed(
        case,
        f"{what} is wrong at {locate(wrong, call)}",
        f"expected {expected[first]:.4g}, got {got[first]:.4g} "
        f"({int(wrong.sum())} of {wrong.numel()} numbers are off, the worst by {_worst(got, expected):.2g})",
        hint,
    )


def _worst(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).abs().max())
