"""What outcomes are held to, and the three lines that say where they fail."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.words import (
    at_line,
    counted,
    dtype_name,
    explain_failure,
    is_device_mismatch,
    sizes_in_words,
    two_numbers,
    with_article,
)


def require_result(case: str, call: Call, outcome: Outcome, *, own_dtype: bool = True) -> Tensor:
    """The output, once it is known to be a tensor of the right shape and dtype.

    Args:
        case: Name of the case.
        call: How the function was called.
        outcome: What it gave.
        own_dtype: Whether the dtype has to be q's; else that is for another check to say, and any float will do.

    Raises:
        CheckFailed: The function raised, or returned something else.
    """
    q: Tensor = call.arguments["q"]
    if outcome.failure is not None:
        raise CheckFailed(case, *explain_failure(outcome.failure, call))
    if outcome.returned != "tensor":
        hint = "your return statement: is there one, at the end of the function?"
        if outcome.returned.startswith("tuple"):
            hint = "your return statement: return the output alone, without the weights"
        what = outcome.returned if outcome.returned == "None" else with_article(outcome.returned)
        problem = f"your function returned {what}"
        raise CheckFailed(case, problem, "expected one tensor", hint, "no-tensor", {"returned": outcome.returned})
    if outcome.shape != tuple(q.shape):
        raise CheckFailed(
            case,
            "the output has the wrong shape",
            f"expected {list(q.shape)}, got {list(outcome.shape or ())} ({sizes_in_words(call)})",
            "the last step: bring the heads back together, so that the output has the shape of q",
            "wrong-shape",
            {"expected": list(q.shape), "got": list(outcome.shape or ())},
        )
    is_float = outcome.output is not None and outcome.output.is_floating_point()
    if outcome.dtype != dtype_name(q) and (own_dtype or not is_float):
        raise CheckFailed(
            case,
            "the output has the wrong dtype",
            f"expected {dtype_name(q)} as in q, got {outcome.dtype}",
            "the tensors you create or convert: give them q's dtype, or convert the output back",
            "wrong-dtype",
            {"expected": dtype_name(q), "got": outcome.dtype},
        )
    expected_device = "meta" if call.setting == "elsewhere" else q.device.type
    if outcome.device != expected_device:
        raise CheckFailed(
            case,
            "the output is on the wrong device",
            f"expected {expected_device} as q, got {outcome.device}",
            "the tensors you create: give them device=q.device",
            "wrong-device",
        )
    return outcome.output if outcome.output is not None else q.to("meta")


def require_finite(case: str, call: Call, output: Tensor, what: str = "the output") -> None:
    """Fail on NaN or infinity, and say where they begin."""
    bad = ~torch.isfinite(output)
    if not bad.any():
        return
    place = locate(bad, call)
    kind = "NaN" if torch.isnan(output).any() else "infinite"
    places = f"{int(bad.sum())} of {bad.numel()} places (first: {place}; {dtype_name(call.arguments['q'])})"
    raise CheckFailed(
        case,
        f"{what} is not finite",
        f"expected finite numbers everywhere, got {kind} in {places}",
        _nan_hint(call, bad),
        "not-finite",
        {"numbers": int(bad.sum()), "of": bad.numel()},
    )


def locate(where: Tensor, call: Call) -> str:
    """Name the first marked place: ``batch 0, head 1, query 3``, or ``token 3, head 1`` for packed inputs."""
    head_dim = call.arguments["head_dim"]
    index = where.nonzero()[0].tolist()
    if len(index) == 3:
        return f"batch {index[0]}, head {index[2] // head_dim}, query {index[1]}"
    return f"token {index[0]}, head {index[1] // head_dim}"


def no_device_mismatch(case: str, call: Call, outcome: Outcome) -> None:
    """On a pretended device only devices that meet, or an output elsewhere, count; other errors there say nothing."""
    hint = "the tensors you create or move: which device are they on, and which is q on?"
    failure = outcome.failure
    if failure is not None:
        if is_device_mismatch(failure.text):
            words = f"a tensor on another device{at_line(failure)}"
            problem = "tensors on different devices meet"
            raise CheckFailed(case, problem, f"expected everything on q's device, got {words}", hint, "devices-meet")
        return
    if outcome.returned == "tensor" and outcome.device != "meta":
        problem = "the output is on a different device from q"
        raise CheckFailed(case, problem, f"expected the device of q, got {outcome.device}", hint, "wrong-device")


# ---- invariants -----------------------------------------------------------------------------------------------------


def require_unchanged(case: str, outcome: Outcome) -> None:
    """Fail where the call modified its arguments."""
    if outcome.changed:
        names = ", ".join(outcome.changed)
        raise CheckFailed(
            case,
            f"your function modified its input {names}",
            f"expected {names} as before the call, got other values",
            f"operations that end in an underscore, and += *= /= on {names}",
            "inputs-modified",
            {"inputs": list(outcome.changed)},
        )


@dataclass(frozen=True)
class Told:
    """What is said where two outputs that should be the same are not.

    Attributes:
        problem: Goes on after "the output at batch 0, head 1, query 3".
        as_in: Where the expected number comes from; goes on after the number.
        hint: Where to look.
        code: For programs.
    """

    problem: str
    as_in: str
    hint: str
    code: str = "not-alike"


def require_alike(
    case: str, call: Call, got: Tensor, expected: Tensor, read: Tensor, told: Told, slack: float = 1.0
) -> None:
    """Fail where an output is another one than it should be, and name the worst place.

    Args:
        case: Name of the case.
        call: The call that gave the output.
        got: The output.
        expected: What it should be within rounding; same shape.
        read: bool, broadcastable to the output: places that count.
        told: What to say.
        slack: How many times as far off as rounding usually takes it an output may be.
    """
    read = read.expand(got.shape)
    expected = expected.to(got.dtype)
    for output in (got, expected):
        require_finite(case, call, torch.where(read, output, 0.0))
    difference = torch.where(read, (got.double() - expected.double()).abs(), 0.0)
    off = difference / (slack * tolerance_of(got) * (1 + expected.double().abs()))
    if not bool((off > 1).any()):
        return
    worst = off == off.max()
    wanted, came = two_numbers(float(expected[worst][0]), float(got[worst][0]))
    tokens = int((off > 1).any(-1).sum())
    dtype, places = dtype_name(got), counted(tokens, "token")
    raise CheckFailed(
        case,
        f"the output at {locate(worst, call)} {told.problem}",
        f"expected {wanted} {told.as_in}, got {came} ({dtype}, at {places})",
        told.hint,
        told.code,
        {"largest": float(difference.max()), "tokens": tokens},
    )


# ---- inputs and words ------------------------------------------------------------------------------------------------


def tolerance_of(output: Tensor) -> float:
    """Rounding alone: a few units in the last place of the dtype (fp32 1e-5, fp16 4e-3, bf16 3e-2)."""
    return max(1e-5, 4 * torch.finfo(output.dtype).eps)


def _nan_hint(call: Call, bad: Tensor) -> str:
    rows = bad.any(-1)
    if not all(bool(call.arguments[x].isfinite().all()) for x in ("q", "k", "v")):
        return "what becomes of a place that nobody sees: what is zero times infinity, and zero times NaN?"
    if call.arguments.get("mask") is not None and not rows.all():
        return (
            "softmax over a row in which every key is masked: minus infinity in every place divides zero by zero, "
            "and a repair after the softmax leaves NaN in the gradients"
        )
    if rows.dim() == 2 and rows.shape[1] > 1 and rows[:, 0].all() and not rows[:, 1:].any():
        return "which keys the first query sees: itself, at least; minus infinity in every place divides zero by zero"
    return "softmax: exp overflows unless the largest score of the row is subtracted first; and divisions by zero"
