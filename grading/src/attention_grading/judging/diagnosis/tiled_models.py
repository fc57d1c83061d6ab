"""Models of what goes wrong between tiles: in the online softmax, and in what a tile sees.

The output is linear in v whatever a function forgets, so that a model says which weight each key ends with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.diagnosis.models import Model, right_keys, without
from attention_lab.variants import Variant


@dataclass(frozen=True)
class Tiles:
    """What the online softmax holds after each tile, as it should be.

    Attributes:
        shares: exp of each score, relative to the largest by the end of its tile; 0 where masked: ``[..., q, keys]``.
        grown: For each key, exp of the growth from that maximum to the last one: 1 or less; ``[..., q, keys]``.
        sums: For each key, the sum after its tile, relative to the maximum there: ``[..., q, keys]``.
        tile: Number of each key's tile: ``[keys]``.
    """

    shares: Tensor
    grown: Tensor
    sums: Tensor
    tile: Tensor

    @property
    def total(self) -> Tensor:
        """The right sum: ``[..., q, 1]``."""
        return (self.shares * self.grown).sum(-1, keepdim=True).clamp_min(1e-300)


def _in_tiles(scores: Tensor, visible: Tensor, block_size: int) -> Tiles:
    keys = scores.shape[-1]
    tile = torch.arange(keys) // block_size
    low = scores.masked_fill(~visible, -1e30)
    ends = ((tile + 1) * block_size - 1).clamp(max=keys - 1)
    maximum = low.cummax(-1).values[..., ends]  # of all keys up to the end of each key's tile
    shares = (low - maximum).exp() * visible
    # relative to one maximum for all, and from there to each tile's own
    together = ((low - maximum[..., -1:]).exp() * visible).cumsum(-1)[..., ends]
    grown = (maximum - maximum[..., -1:]).exp()
    return Tiles(shares, grown, together / grown.clamp_min(1e-300), tile)


@dataclass(frozen=True)
class _Tiled(Model):
    """Weights by tiles of the call's own ``block_size``."""

    gather: Callable[[Tiles], Tensor] = lambda tiles: tiles.shares

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        block_size = variant.value_of("block_size", arguments)

        def weigh(scores: Tensor, visible: Tensor) -> Tensor:
            return self.gather(_in_tiles(scores, visible, block_size))

        return Model(self.name, weigh=weigh).output(variant, arguments)


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-300)


def _per_tile(tiles: Tiles) -> Tensor:
    """A softmax of its own in each tile."""
    of_tile = torch.nn.functional.one_hot(tiles.tile).to(tiles.shares.dtype)  # [keys, tiles]
    return tiles.shares / (tiles.shares @ of_tile @ of_tile.T).clamp_min(1e-300)


def _divided_by_each(tiles: Tiles) -> Tensor:
    """All that was gathered is divided anew after each tile."""
    first = torch.cat([torch.ones(1, dtype=torch.bool), tiles.tile.diff() > 0])
    logs = tiles.sums.clamp_min(1e-300).log() * first
    later = logs.flip(-1).cumsum(-1).flip(-1)  # from a key's place on; the first of its tile holds the tile's own
    own = later[..., (tiles.tile * int((tiles.tile == 0).sum()))]
    return tiles.shares * tiles.grown * (-own).exp()


def tiled_models() -> Iterator[Model]:
    """Models of mistakes that only a function in tiles can make."""
    yield _Tiled("accumulator-not-rescaled", gather=lambda tiles: tiles.shares / tiles.total)
    yield _Tiled(
        "sum-not-rescaled",
        gather=lambda tiles: tiles.shares * tiles.grown / tiles.shares.sum(-1, keepdim=True).clamp_min(1e-300),
    )
    yield _Tiled("nothing-rescaled", gather=lambda tiles: _normalised(tiles.shares))
    for gather in (
        lambda tiles: tiles.shares * tiles.grown / tiles.sums.clamp_min(1e-300),
        lambda tiles: tiles.shares * tiles.grown / tiles.sums.clamp_min(1e-300) / tiles.total,
        _divided_by_each,
    ):
        yield _Tiled("divided-inside-tile", gather=gather)
    yield _Tiled("tiles-not-merged", gather=_per_tile)
    yield _Tiled("tiles-not-merged", gather=lambda tiles: _per_tile(tiles) / (int(tiles.tile[-1]) + 1))
    yield _Tiled("not-divided", gather=lambda tiles: tiles.shares * tiles.grown)
    for name, sees in (
        ("last-tile-forgotten", lambda query, key, size, keys: key < keys // size * size),
        ("last-tile-forgotten", lambda query, key, size, keys: key < (keys - 1) // size * size),
        ("own-tile-forgotten", lambda query, key, size, keys: key // size < query // size),
    ):
        yield Model(name, visible=partial(_fewer, sees))
    for name, sees in (
        ("tile-causal-misaligned", lambda query, key, size, keys: key % size <= query),
        ("tile-causal-misaligned", lambda query, key, size, keys: key % size <= query % size),
        ("own-tile-seen-whole", lambda query, key, size, keys: key // size <= query // size),
    ):
        yield Model(name, visible=partial(_instead_of_triangle, sees))
    yield Model("tile-mask-misaligned", visible=_first_tiles_mask)


# From places of queries [queries, 1] and keys [keys], block_size and the number of keys to bool [queries, keys]
Sees = Callable[[Tensor, Tensor, int, int], Tensor]


def _by_place(sees: Sees, variant: Variant, arguments: dict[str, Any]) -> Tensor:
    keys = arguments["k"].shape[-2]
    place = torch.arange(keys)
    seen: Tensor = sees(place[:, None], place, variant.value_of("block_size", arguments), keys)
    return seen


def _fewer(sees: Sees, variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """What is right, less some keys."""
    return right_keys(variant, arguments) & _by_place(sees, variant, arguments)


def _instead_of_triangle(sees: Sees, variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Another rule of places in the triangle's place; padding as it should be."""
    return right_keys(without(variant, "causal"), arguments) & _by_place(sees, variant, arguments)


def _first_tiles_mask(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Each tile gets the first tile's part of the padding mask."""
    triangle, mask = right_keys(variant, arguments | {"mask": None}), arguments.get("mask")
    if mask is None:
        return triangle
    place = torch.arange(mask.shape[-1]) % variant.value_of("block_size", arguments)
    seen: Tensor = triangle & mask[:, None, place]
    return seen
