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

# Query heads of each key head, where these may differ: as many as nothing else in the toy inputs
GROUP = 4


def toy_arguments(variant: Variant, seed: int) -> dict[str, Any]:
    """Batch 2, seq 6, 3 heads of 8, right padding; packed: ``LENGTHS``, in bf16 for flash; options at their toy values.

    Where heads share keys, the three are key heads, and serve 12. Cached: 6 and 7 tokens in 10 places, 5 of them new.
    """
    if variant.packed:
        return drawn_arguments(variant, seed, LENGTHS, starts=STARTS)
    if variant.cached:
        return cached_arguments(variant, seed, lengths=(6, 7), new=5, max_len=10)
    return drawn_arguments(variant, seed, (6, 6)) | {"mask": MASKS["padding on the right"]}


def drawn_arguments(
    variant: Variant, seed: int, lengths: Sequence[int], heads: int = 3, starts: Sequence[int] = ()
) -> dict[str, Any]:
    """Sequences of these lengths, which are all the same for padded variants, and no mask; head_dim is 8.

    Where positions tell them apart, ``starts`` are their first ones; all 0 where left away. Where heads share keys,
    ``heads`` are key heads, and each serves ``GROUP`` heads. Caches are full, and all tokens new.
    """
    if variant.cached:
        return cached_arguments(variant, seed, lengths, new=lengths[0], max_len=lengths[0], heads=heads)
    generator = torch.Generator().manual_seed(seed)
    head_dim = 8
    tokens = (sum(lengths),) if variant.packed else (len(lengths), lengths[0])
    shared = {"num_kv_heads": heads} if variant.grouped else {}
    num_heads = heads * GROUP if variant.grouped else heads
    qkv = [torch.randn(*tokens, width * head_dim, generator=generator) for width in (num_heads, heads, heads)]
    last = told_lengths(variant, lengths, starts) or {"mask": None}
    if variant.packed:
        qkv = [x.bfloat16() for x in qkv] if variant.half_precision else qkv
    given = dict(zip("qkv", qkv, strict=True)) | {"num_heads": num_heads, "head_dim": head_dim} | shared | last
    return variant.in_order(given | usual_options(variant, max(lengths)))


def cached_arguments(
    variant: Variant, seed: int, lengths: Sequence[int], new: int, max_len: int, heads: int = 3
) -> dict[str, Any]:
    """Caches with so many tokens of each item, the last of which ask; other places hold random numbers, too."""
    generator, head_dim = torch.Generator().manual_seed(seed), 8
    sizes = ((new, heads * GROUP), (max_len, heads), (max_len, heads))
    qkv = [torch.randn(len(lengths), tokens, width * head_dim, generator=generator) for tokens, width in sizes]
    given = {"num_heads": heads * GROUP, "num_kv_heads": heads, "head_dim": head_dim}
    return variant.in_order(dict(zip("qkv", qkv, strict=True)) | told_lengths(variant, lengths) | given)


def told_lengths(variant: Variant, lengths: Sequence[int], starts: Sequence[int] = ()) -> dict[str, Any]:
    """What tells a function how many tokens each sequence has; padded ones see it from their shape."""
    if variant.cached:
        return {"cache_seqlens": torch.tensor(lengths, dtype=torch.int32)}
    return borders_as(variant.inputs, lengths, starts=starts) if variant.packed else {}


def with_mask(arguments: dict[str, Any], mask: Tensor | None = None) -> dict[str, Any]:
    """With this mask, where the function takes one."""
    return arguments | {"mask": mask} if "mask" in arguments else arguments


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
