"""Identities of the kernels: another backend gives the same, and the notebook's own kernel makes the numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.require import Told, locate, require_alike, require_finite
from attention_lab.checks.scaled_kernels import FACTORS
from attention_lab.checks.toy import MASKS, cached_arguments, converted, drawn_arguments, toy_arguments, with_mask
from attention_lab.checks.words import dtype_name
from attention_lab.flash import flash_route
from attention_lab.inputs import key_heads
from attention_lab.rules import real_tokens
from attention_lab.variants import Variant

CALLED = {
    "sdpa": "F.scaled_dot_product_attention",
    "flash": "flash_attn_varlen_func",
    "flex": "flex_attention with a block mask",
}


def math_case(variant: Variant) -> Case:
    """SDPA's plain backend, to which PyTorch turns where no other one fits."""
    name = "SDPA's MATH backend"
    arguments = toy_arguments(variant, seed=16)
    masks = (None, MASKS["padding on the left"], MASKS["padding in between"]) if variant.masked else (None,)
    asked = [with_mask(arguments, mask) for mask in masks]
    calls = [call for each in asked for call in (Call(each), Call(each, setting="math"))]

    def verify(outcomes: Sequence[Outcome]) -> None:
        outputs = outputs_of(name, calls, outcomes)
        hint = "what your call leaves to the backend: rows without keys, the order in memory, two masks at once?"
        told = Told("is different under the MATH backend", "as by default", hint)
        for (default, math), call in zip(_pairs(outputs), calls[1::2], strict=True):
            require_alike(name, call, math, default, real_tokens(call.arguments)[..., None], told)

    return Case("invariants", name, tuple(calls), verify)


def _pairs(outputs: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(outputs[::2], outputs[1::2], strict=True))


def kernel_case(variant: Variant) -> Iterator[Case]:
    """Where the kernel's numbers grow, so do those of a function that takes them from there, and no others.

    The real flash-attn cannot be scaled from outside: where it is in use, nobody asks.
    """
    if variant.kernel == "flash" and flash_route().name == "flash-attn":
        return
    name = f"{CALLED[variant.kernel]} does the work" if variant.fused else "plain tensor operations"
    drawn = [drawn_arguments(variant, 17, (24, 24))]
    if variant.cached:
        drawn.append(cached_arguments(variant, 17, lengths=(6, 7), new=1, max_len=10))
    halves = (torch.float16, torch.bfloat16)
    dtypes = halves if variant.half_precision else (torch.float32, *halves)
    if variant.kernel == "flex":  # of which a call takes long
        dtypes = (torch.float32, torch.bfloat16)
    calls = []
    for arguments, dtype in itertools.product(drawn, dtypes):
        plain = Call(converted(arguments, dtype))
        calls += [plain, replace(plain, setting="scaled")]
    verify_pair = _require_scaled if variant.fused else _require_untouched

    def verify(outcomes: Sequence[Outcome]) -> None:
        for pair, call in zip(_pairs(outputs_of(name, calls, outcomes)), calls[::2], strict=True):
            verify_pair(variant, name, call, *pair)
        if variant.keeps_keys:
            for call, outcome in zip(calls, outcomes, strict=True):
                require_own_keys(name, call, outcome)

    yield Case("invariants", name, tuple(calls), verify)


# A row of keys more, which stands for those of a query that sees none, is not a copy for each query head
COPIED = 1.5


def require_own_keys(name: str, call: Call, outcome: Outcome) -> None:
    """SDPA must get k and v as they are, and not a copy of each key head for every query head of its group.

    Raises:
        CheckFailed: It was given several times the numbers.
    """
    keys = next(call.arguments[x] for x in ("k", "k_cache") if x in call.arguments)
    own, group = keys.numel(), call.arguments["num_heads"] // key_heads(call.arguments)
    if outcome.keys > COPIED * own:
        raise CheckFailed(
            name,
            f"k and v take up to {outcome.keys / own:.2g} times their memory before the kernel gets them",
            f"expected the {own:,} numbers of {key_heads(call.arguments)} key heads, which the kernel can share among "
            f"{group} query heads each, got {outcome.keys:,}",
            "what becomes of k and v on their way to the kernel: are they copied for each query head?",
            "keys-copied",
            {"own": own, "got": outcome.keys},
        )


def _require_untouched(variant: Variant, name: str, call: Call, plain: Tensor, scaled: Tensor) -> None:
    hint = "who computes scores, softmax and sum: is it you, step by step, or a kernel that does all of it at once?"
    told = Told("follows a fused attention kernel", "whatever such a kernel gives", hint, "fused-kernel")
    require_alike(name, call, scaled, plain, torch.ones((), dtype=torch.bool), told)


def _require_scaled(variant: Variant, name: str, call: Call, plain: Tensor, scaled: Tensor) -> None:
    require_finite(name, call, scaled)
    low, high = FACTORS[variant.kernel]
    ratio = scaled.double() / plain.double()
    told = plain.abs() > 0.05  # of smaller numbers rounding hides the ratio
    astray = told & ((ratio < 0.97 * low) | (ratio > 1.03 * high))
    both = bool((told & (ratio < 1.03 * low)).any()) and bool((told & (ratio > 0.97 * high)).any())
    if both and not astray.any():
        return
    first = int((astray if astray.any() else told).flatten().int().argmax())
    where = locate((torch.arange(told.numel()) == first).view(told.shape), call)
    factor = f"{float(ratio.flatten()[first]):.2g}"
    got = "one factor everywhere" if not astray.any() else "the same number" if factor == "1" else f"{factor} times"
    kernel = CALLED[variant.kernel]
    raise CheckFailed(
        name,
        f"the output at {where} is not what {kernel} gave",
        f"expected {low:g} or {high:g} times the number, by turns, when the kernel's result is made that much larger, "
        f"got {got} ({dtype_name(plain)})",
        f"what becomes of the result of {kernel} on its way to your return statement: is it called, and is it used?",
        "kernel-unused",
    )
