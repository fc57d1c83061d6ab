"""Identities of the gradients: they flow, they are finite, and they fit the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.require import Told, require_alike, require_finite
from attention_lab.checks.toy import MASKS, converted, drawn_arguments, toy_arguments
from attention_lab.checks.words import dtype_name, two_numbers
from attention_lab.inputs import key_heads
from attention_lab.rules import real_tokens
from attention_lab.variants import Variant


def no_key_case(variant: Variant) -> Case:
    """Nobody reads the rows that see no key, but one NaN there spoils every gradient of a model."""
    name = "rows that see no key"
    arguments = drawn_arguments(variant, 13, (6, 6))
    mask = MASKS["padding on the left"].clone()
    mask[0] = False  # a sequence that is padding alone
    call = _with_loss(arguments | {"mask": mask})

    def verify(outcomes: Sequence[Outcome]) -> None:
        (output,) = outputs_of(name, [call], outcomes)
        require_finite(name, call, output)
        for x, gradient in outcomes[0].gradients.items():
            if gradient is not None:
                require_finite(name, call, gradient, f"the gradient of {x}")

    return Case("invariants", name, (call,), verify)


def gradient_case(variant: Variant) -> Case:
    """Gradients reach q, k and v, and fit the output, in every dtype that learners train in."""
    name = "gradients"
    if variant.inputs == "documents":
        toy = toy_arguments(variant, 14)
        inputs = [toy, toy | variant.narrowed("window"), converted(toy, torch.float16)]
    elif variant.packed:
        with_empty = drawn_arguments(variant, 14, (4, 0, 5))
        inputs = [toy_arguments(variant, 14), converted(with_empty, torch.float16)]
    else:
        plain = drawn_arguments(variant, 14, (6, 6))
        inputs = [plain, plain | {"mask": MASKS["padding on the left"]}, converted(plain, torch.float16)]
    calls = tuple(_with_loss(arguments) for arguments in inputs)

    def verify(outcomes: Sequence[Outcome]) -> None:
        for call, outcome, output in zip(calls, outcomes, outputs_of(name, calls, outcomes), strict=True):
            require_finite(name, call, output)
            _require_gradients(name, call, outcome)
            _require_fit(name, call, outcome, output)

    return Case("invariants", name, calls, verify)


def forward_case(variant: Variant, reason: str) -> Case:
    """Where PyTorch has no backward pass for the notebook's kernel: one forward pass in every dtype."""
    name = f"forward alone, as {reason}"
    arguments = drawn_arguments(variant, 14, (30, 9))
    calls = tuple(Call(converted(arguments, dtype)) for dtype in (torch.float32, torch.float16, torch.bfloat16))

    def verify(outcomes: Sequence[Outcome]) -> None:
        single, *halves = outputs_of(name, calls, outcomes)
        hint = "what depends on the dtype: conversions, constants and new tensors"
        told = Told("is another one than in fp32", "as in fp32", hint)
        for call, output in zip(calls[1:], halves, strict=True):
            require_alike(name, call, output, single, torch.ones((), dtype=torch.bool), told)

    return Case("invariants", name, calls, verify)


def _with_loss(arguments: dict[str, Any]) -> Call:
    """A call whose output is differentiated, as in a loss over its real tokens."""
    q = arguments["q"]
    cotangent = torch.randn(q.shape, generator=torch.Generator().manual_seed(15)) * real_tokens(arguments)[..., None]
    return Call(arguments, cotangent=cotangent.to(q.dtype))


def _require_gradients(name: str, call: Call, outcome: Outcome) -> None:
    dtype = dtype_name(call.arguments["q"])
    for x in ("q", "k", "v"):
        gradient = outcome.gradients.get(x)
        if gradient is None or not bool(gradient.any()):
            raise CheckFailed(
                name,
                f"no gradient comes back to {x}",
                f"expected one, as the output depends on {x}, got {'none' if gradient is None else 'zeros'} ({dtype})",
                f"the way from {x} to the output: which step leaves the graph, such as detach, item or numpy?",
                "no-gradient",
                {"input": x},
            )
        require_finite(name, call, gradient, f"the gradient of {x}")


def _require_fit(name: str, call: Call, outcome: Outcome, output: Tensor) -> None:
    """The loss is linear in v, and q and k enter by their product alone: for each key head, Euler's identity holds."""
    heads = key_heads(call.arguments)

    def in_heads(one: Tensor, other: Tensor) -> Tensor:
        """Products of two tensors, one row a key head, with all query heads that it serves."""
        rows: Tensor = (one.double() * other.double()).unflatten(-1, (heads, -1)).movedim(-2, 0).flatten(1)
        return rows

    cotangent = call.cotangent
    assert cotangent is not None
    by = {x: in_heads(gradient, call.arguments[x]) for x, gradient in outcome.gradients.items() if gradient is not None}
    _require_equal_sums(name, "v", by["v"], in_heads(output, cotangent), "the loss, which is linear in v", output)
    _require_equal_sums(name, "q", by["q"], by["k"], "k times its gradient, as only q·k enters", output)


def _require_equal_sums(name: str, x: str, mine: Tensor, other: Tensor, expected: str, output: Tensor) -> None:
    """Rows of two tensors have the same sums, up to the rounding of the output's dtype."""
    rounding = 1e-4 if output.dtype == torch.float32 else 5e-2
    off = (mine.sum(-1) - other.sum(-1)).abs() > rounding * (mine.abs().sum(-1) + other.abs().sum(-1))
    if not off.any():
        return
    head = int(off.nonzero()[0])
    wanted, came = two_numbers(float(other[head].sum()), float(mine[head].sum()))
    raise CheckFailed(
        name,
        f"the gradient of {x} does not fit the output in head {head}",
        f"expected {x} times its gradient to sum to {expected}: {wanted}, got {came} ({dtype_name(output)})",
        f"every use of {x}: is it detached, or replaced, in one place and not in another?",
        "wrong-gradient",
        {"input": x, "head": head},
    )
