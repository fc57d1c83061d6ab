"""Small inputs for the visible checks, and changes to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attention_lab.inputs import borders_as
from attention_lab.variants import Variant

# Masks of the padded toy inputs: bool [2, 6]
MASKS: dict[str, Tensor] = {
    "padding on the right": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]).bool(),
    "padding on the left": torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]).bool(),
    "padding in between": torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]]).bool(),
}

# Packed toy inputs: lengths and, where positions tell the sequences apart, first positions: a continued one has another
LENGTHS, STARTS = (3, 6, 1, 5), (0, 0, 4, 0)

# Tokens of a toy sequence, at most
FEW = 40


def toy_arguments(variant: Variant, seed: int) -> dict[str, Any]:
    """Batch 2, seq 6, 3 heads of 8, right padding; packed: ``LENGTHS``, in bf16 for flash; options at toys."""
    if variant.packed:
        return drawn_arguments(variant, seed, LENGTHS, starts=STARTS)
    return drawn_arguments(variant, seed, (6, 6)) | {"mask": MASKS["padding on the right"]}


def drawn_arguments(
    variant: Variant, seed: int, lengths: Sequence[int], heads: int = 3, starts: Sequence[int] = ()
) -> dict[str, Any]:
    """Sequences of these lengths, which are all the same for padded variants, and no mask; head_dim is 8.

    Where positions tell them apart, ``starts`` are their first ones; all 0 where left away.
    """
    generator = torch.Generator().manual_seed(seed)
    head_dim = 8
    tokens = (sum(lengths),) if variant.packed else (len(lengths), lengths[0])
    qkv = [torch.randn(*tokens, heads * head_dim, generator=generator) for _ in range(3)]
    last: dict[str, Any] = {"mask": None}
    if variant.packed:
        qkv = [x.bfloat16() for x in qkv] if variant.half_precision else qkv
        last = borders_as(variant.inputs, lengths, starts=starts)
    given = dict(zip("qkv", qkv, strict=True)) | {"num_heads": heads, "head_dim": head_dim} | last
    return variant.in_order(given | usual_options(variant, max(lengths)))


def usual_options(variant: Variant, length: int) -> dict[str, Any]:
    """Options that only say how to compute, at their defaults for many tokens: in toy's tiles these would take long."""
    return {one.name: one.default for one in variant.options if not one.matters and length > FEW}


def converted(arguments: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    return arguments | {name: arguments[name].to(dtype) for name in ("q", "k", "v")}


def disturbed(arguments: dict[str, Any], where: Tensor) -> dict[str, Any]:
    """Other keys and values at some tokens, large enough to be seen through a mask that is too weak."""
    other = dict(arguments)
    for name in ("k", "v"):
        other[name] = torch.where(where[..., None], 20 - 3 * arguments[name], arguments[name]).to(arguments[name].dtype)
    return other
