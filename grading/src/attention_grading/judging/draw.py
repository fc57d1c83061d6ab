"""Inputs drawn from a seed: shapes, masks, scales, and junk where nothing must look."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from attention_lab.inputs import borders_as, widths_of
from attention_lab.variants import Option, Variant

# Tiles of one sequence, at most: who loops over tiles of queries, too, takes as many steps as their square
MOST_TILES = 25

# How many query heads a key head serves, where these may differ
GROUPS = (1, 2, 3)


class Draw:
    """Draws the inputs of one variant's cases from a seed.

    Args:
        variant: One of the course's.
        seed: Any text.
        forward_alone: Why no gradients can be asked, in words that follow "as"; empty where they can.
    """

    def __init__(self, variant: Variant, seed: str, forward_alone: str = ""):
        self.variant = variant
        self.forward_alone = forward_alone
        self._seed = seed
        self.reseed("")

    def reseed(self, name: str) -> None:
        """Start the random numbers of one case."""
        digest = hashlib.sha256(f"{self._seed}/{self.variant.name}/{name}".encode()).digest()
        self.generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    def choose(self, options: Sequence[int]) -> int:
        """One of the options."""
        return options[int(torch.randint(len(options), (), generator=self.generator))]

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float32."""
        return torch.randn(*shape, generator=self.generator)

    def padded(
        self,
        batch: int,
        seq: int,
        num_heads: int,
        head_dim: int,
        *,
        mask: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        q_scale: float = 1.0,
        junk: float = 0.0,
        **options: int,
    ) -> dict[str, Any]:
        """Arguments of a padded variant.

        Args:
            batch: Number of sequences.
            seq: Their padded length.
            num_heads: Number of heads; where heads share keys and options do not say how, each is a key head of its
                own group.
            head_dim: Size of one head.
            mask: bool ``[batch, seq]`` or ``None``.
            dtype: Of q, k and v.
            q_scale: Standard deviation of the queries; the scores grow with it.
            junk: Size of the keys and values at padding, which nobody may see.
            options: Values of the variant's options, instead of drawn ones.
        """
        heads = self._heads(num_heads, options)
        q, k, v = (self.normal(batch, seq, width) for width in _widths(heads, head_dim))
        q = q * q_scale
        if mask is not None and junk:
            hidden = ~mask[..., None]
            k, v = torch.where(hidden, junk * k, k), torch.where(hidden, junk * (1 + v.abs()), v)
        qkv = {name: x.to(dtype) for name, x in zip("qkv", (q, k, v), strict=True)}
        return self._with_options(qkv | heads | {"head_dim": head_dim, "mask": mask} | options)

    def padded_in(
        self, dtypes: Sequence[torch.dtype], head_dim: int, mask: Callable[[], Tensor | None]
    ) -> list[dict[str, Any]]:
        """The same small padded sizes in several dtypes, each with a mask of its own."""
        return [self.padded(2, 6, 2, head_dim, mask=mask(), dtype=dtype) for dtype in dtypes]

    def lifted(self, batch: int, seq: int, num_heads: int, mask: Tensor) -> dict[str, Any]:
        """Arguments of a padded variant whose scores are about -8192 at real keys and 8192 at padding.

        So much lets a constant of -1000 show, and an added one of -10000. A filled-in -10000, which is what fits all
        dtypes, is beyond any score that a model would give, and is let pass. All scores are exact in float32, whether
        they are scaled before or after the product, so that a right function is as good here as elsewhere: head_dim is
        4, and q and k are multiples of 1/4 besides a constant part, to which the rest is orthogonal.
        """
        return self._lifted(self.padded(batch, seq, num_heads, 4, mask=mask, junk=4.0), mask)

    def lifted_cache(self, lengths: Sequence[int], new: int, max_len: int, num_heads: int) -> dict[str, Any]:
        """As ``lifted``, with a cache: scores are low at its tokens, and high at unused places."""
        arguments = self.cached(lengths, new, max_len, num_heads, 4, junk=4.0)
        return self._lifted(arguments, right_mask(lengths, max_len))

    def _lifted(self, arguments: dict[str, Any], real: Tensor) -> dict[str, Any]:
        strength = 64.0  # its square times head_dim over sqrt(head_dim) is 2^13
        for name, sign in (("q", torch.ones(())), ("k", torch.where(real[..., None], -1.0, 1.0))):
            half = (4 * self.normal(*arguments[name].unflatten(-1, (-1, 4)).shape[:-1], 2)).round() / 4
            arguments[name] = torch.cat([half, -half], dim=-1).flatten(2) + sign * strength
        return arguments

    def cached(
        self,
        lengths: Sequence[int],
        new: int,
        max_len: int,
        num_heads: int,
        head_dim: int,
        *,
        dtype: torch.dtype = torch.float32,
        q_scale: float = 1.0,
        junk: float = 1.0,
        **options: int,
    ) -> dict[str, Any]:
        """Arguments of a variant with a cache.

        Args:
            lengths: Tokens in each item's cache, the new ones counted.
            new: How many of them ask.
            max_len: Places of the cache.
            num_heads: Number of heads, as in ``padded``.
            head_dim: Size of one head.
            dtype: Of queries and caches.
            q_scale: Standard deviation of the queries; the scores grow with it.
            junk: Size of what lies in unused places; infinity and NaN are sizes, too.
            options: Values of the variant's options, instead of drawn ones.
        """
        heads, batch = self._heads(num_heads, options), len(lengths)
        width, shared, _ = _widths(heads, head_dim)
        q = self.normal(batch, new, width) * q_scale
        unused = ~right_mask(lengths, max_len)[..., None]
        k, v = (torch.where(unused, junk * x, x) for x in (self.normal(batch, max_len, shared) for _ in range(2)))
        qkv = {name: x.to(dtype) for name, x in zip("qkv", (q, k, v), strict=True)}
        told = {"cache_seqlens": torch.tensor(lengths, dtype=torch.int32)}
        return self._with_options(qkv | told | heads | {"head_dim": head_dim} | options)

    def packed(
        self,
        lengths: Sequence[int],
        num_heads: int,
        head_dim: int,
        *,
        dtype: torch.dtype | None = None,
        q_scale: float = 1.0,
        starts: Sequence[int] = (),
        **options: int,
    ) -> dict[str, Any]:
        """Arguments of a packed variant: ``lengths`` of the sequences and, told by positions, their ``starts``.

        Without a dtype it is bf16 where the kernel takes halves alone, else fp32.
        """
        heads = self._heads(num_heads, options)
        q, k, v = (self.normal(sum(lengths), width) for width in _widths(heads, head_dim))
        dtype = dtype or (torch.bfloat16 if self.variant.half_precision else torch.float32)
        qkv = {name: x.to(dtype) for name, x in zip("qkv", (q * q_scale, k, v), strict=True)}
        borders = borders_as(self.variant.inputs, lengths, starts=starts)
        return self._with_options(qkv | heads | {"head_dim": head_dim} | borders | options)

    def _heads(self, num_heads: int, options: dict[str, int]) -> dict[str, int]:
        """The numbers of heads that go with a case's."""
        if not self.variant.grouped or "num_kv_heads" in options:
            return {"num_heads": num_heads} | options
        return {"num_heads": num_heads * self.choose(GROUPS), "num_kv_heads": num_heads}

    def _with_options(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """With drawn values of the variant's options, all arguments in the order of the signature.

        One that may be ``None`` is that: its other values have cases of their own.
        """
        drawn = {
            one.name: None if one.default is None else self.choose(self._fitting(one, arguments))
            for one in self.variant.options
            if one.name not in arguments
        }
        return self.variant.in_order(arguments | drawn)

    @staticmethod
    def _fitting(option: Option, arguments: dict[str, Any]) -> Sequence[int]:
        """An option's values; of those that only say how to compute, the ones that do not make many tokens slow."""
        least = 0 if option.matters else arguments["k"].shape[-2] // MOST_TILES
        return [value for value in option.drawn if value >= least] or option.drawn[-1:]

    def cotangent(self, arguments: dict[str, Any]) -> Tensor:
        """Gradient of a loss over the real tokens: random there, zero at padding."""
        cotangent = self.normal(*arguments["q"].shape)
        mask = arguments.get("mask")
        return cotangent if mask is None else cotangent * mask[..., None]


def _widths(arguments: dict[str, int], head_dim: int) -> tuple[int, int, int]:
    """Widths of q, k and v."""
    return widths_of(arguments["num_heads"], arguments.get("num_kv_heads"), head_dim)


def right_mask(lengths: Sequence[int], seq: int) -> Tensor:
    """Real tokens first: bool ``[batch, seq]``."""
    return torch.arange(seq)[None, :] < torch.tensor(lengths)[:, None]


def left_mask(lengths: Sequence[int], seq: int) -> Tensor:
    """Real tokens last: bool ``[batch, seq]``."""
    return right_mask(lengths, seq).flip(1)


def holes_mask(draw: Draw, batch: int, seq: int) -> Tensor:
    """Real tokens anywhere, at least one a sequence and at least one hole between two of them."""
    mask = torch.rand(batch, seq, generator=draw.generator) > 0.4
    mask[:, 0], mask[:, 1], mask[:, -1] = True, False, True
    return mask
