"""Toy batches whose keys and values lie in a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attention_lab.inputs import SENTENCES, PackedBatch, PaddedBatch, random_tensors, widths_of

UNUSED = "–"  # a place of a cache that holds no token


@dataclass(frozen=True)
class CachedBatch:
    """Sentences whose keys and values lie in a cache, with room left; of each the last tokens ask.

    Attributes:
        q: Queries of the new tokens, float ``[batch, new, hidden_dim]``.
        k_cache: Keys of all tokens so far, ``[batch, max_len, num_kv_heads, head_dim]``; anything in the other places.
        v_cache: Values, same shape.
        cache_seqlens: int32 ``[batch]``: how many places hold a token, the new ones counted.
        num_heads: Number of heads.
        num_kv_heads: Number of heads of the caches; it divides ``num_heads``.
        head_dim: Size of one head; ``hidden_dim = num_heads * head_dim``.
        tokens: For each batch item ``max_len`` strings, a dash where no token is.
    """

    q: Tensor
    k_cache: Tensor
    v_cache: Tensor
    cache_seqlens: Tensor
    num_heads: int
    num_kv_heads: int
    head_dim: int
    tokens: tuple[tuple[str, ...], ...]

    @property
    def batch(self) -> int:
        return self.q.shape[0]

    @property
    def new(self) -> int:
        return self.q.shape[1]

    @property
    def max_len(self) -> int:
        return self.k_cache.shape[1]

    @property
    def hidden_dim(self) -> int:
        return self.num_heads * self.head_dim

    def arguments(self) -> dict[str, Any]:
        """The arguments of the learner's function, by name."""
        names = ("q", "k_cache", "v_cache", "cache_seqlens", "num_heads", "num_kv_heads", "head_dim")
        return {name: getattr(self, name) for name in names}


Batch = PaddedBatch | PackedBatch | CachedBatch


def cached_batch(
    sentences: Sequence[Sequence[str]] = SENTENCES,
    *,
    new: int = 4,
    max_len: int | None = None,
    num_heads: int = 6,
    num_kv_heads: int = 3,
    head_dim: int = 8,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    seed: int = 0,
) -> CachedBatch:
    """Put sentences into a cache with random keys and values; unused places hold random numbers, too.

    Args:
        sentences: One sequence of words per batch item.
        new: How many of each sentence's last words ask.
        max_len: Places of the cache; by default one more than the longest sentence has words.
        num_heads: Number of heads.
        num_kv_heads: Number of heads of the caches.
        head_dim: Size of one head.
        dtype: Floating-point type of queries and caches.
        device: Where the tensors live; the CPU by default.
        seed: Seed of the random numbers; the same seed gives the same batch on every device.

    Raises:
        ValueError: There is no sentence, one has fewer words than ask or more than the cache has places, or key heads
            do not divide the heads.
    """
    lengths = [len(words) for words in sentences]
    if not lengths or new < 1 or min(lengths) < new:
        raise ValueError(
            f"cached_batch needs sentences of at least new = {new} words, and new at least 1; got {lengths}"
        )
    places = max(lengths) + 1 if max_len is None else max_len
    if places < max(lengths):
        raise ValueError(f"a sentence of {max(lengths)} words does not fit into a cache of max_len = {places} places")
    width, shared, _ = widths_of(num_heads, num_kv_heads, head_dim)
    (q,) = random_tensors((len(lengths), new), [width], dtype, device, seed)
    k, v = random_tensors((len(lengths), places), [shared, shared], dtype, device, seed + 1)
    k_cache, v_cache = (x.unflatten(-1, (num_kv_heads, head_dim)) for x in (k, v))
    tokens = tuple((*words, *[UNUSED] * (places - len(words))) for words in sentences)
    counts = torch.tensor(lengths, dtype=torch.int32, device=device)
    return CachedBatch(q, k_cache, v_cache, counts, num_heads, num_kv_heads, head_dim, tokens)
