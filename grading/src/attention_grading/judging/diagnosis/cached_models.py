"""Models of what goes wrong with a cache: where a query stands in it, and which places hold a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.diagnosis.models import SMALL_CONSTANTS, Model, added, all_keys, filled_with, right_keys
from attention_lab.rules import distance
from attention_lab.variants import Variant

Visible = Callable[[Variant, dict[str, Any]], Tensor]

# Constants that stand for minus infinity and are no match for what may lie in an unused place
CONSTANTS = (*SMALL_CONSTANTS, -1e5, -1e6, -1e9)


def cached_models() -> Iterator[Model]:
    """Models for variants with a cache."""
    yield Model("causal-top-left", visible=_top_left)
    yield Model("past-forgotten", visible=_new_alone)
    yield _CachesViewed("heads-viewed-without-transpose")
    yield Model("causal-end-of-cache", visible=_end_of_cache(only_used=True))
    yield _Zeroed("unused-zeroed", visible=all_keys)
    yield Model("unused-seen", visible=all_keys)
    for model in (Model, _Zeroed):  # who sees an unused place may have put zeros there before
        yield model("causal-end-of-cache", visible=_end_of_cache(only_used=False))
        yield model("new-tokens-counted-twice", visible=_moved(lambda new: new))
        yield model("causal-one-ahead", visible=_moved(lambda new: 1))
        for length in (_first, _longest, _shortest):
            yield model("one-length-for-all", visible=_with_lengths(length))
            yield model("one-length-for-all", visible=_with_lengths(length, triangle=False))
        yield model("mask-multiplied", weigh=lambda scores, visible: (scores * visible).softmax(-1))
        yield model("mask-after-softmax", weigh=lambda scores, visible: scores.softmax(-1) * visible)
        for constant in CONSTANTS:
            yield model("mask-constant-too-small", weigh=filled_with(constant))
            yield model("mask-constant-too-small", weigh=added(constant))


def _top_left(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Query t sees the keys up to t, as ``is_causal=True`` has it."""
    queries, keys = arguments["q"].shape[1], arguments["k"].shape[1]
    return _for_all(arguments, torch.ones(queries, keys, dtype=torch.bool).tril())


def _end_of_cache(only_used: bool) -> Visible:
    """The last query stands at the cache's last place."""

    def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
        queries, keys = arguments["q"].shape[1], arguments["k"].shape[1]
        seen = _for_all(arguments, torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries))
        return seen & _used(arguments, arguments["cache_seqlens"]) if only_used else seen

    return visible


def _with_lengths(one: Callable[[Tensor], Tensor], *, triangle: bool = True) -> Visible:
    """All items have one length; without the triangle, a query sees all tokens."""

    def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
        lengths = one(arguments["cache_seqlens"]).expand(len(arguments["q"]))
        if triangle:
            return right_keys(variant, arguments | {"cache_seqlens": lengths})
        return _used(arguments, lengths).expand(-1, arguments["q"].shape[1], -1)

    return visible


def _first(lengths: Tensor) -> Tensor:
    return lengths[:1]


def _longest(lengths: Tensor) -> Tensor:
    return lengths.amax(0, keepdim=True)


def _shortest(lengths: Tensor) -> Tensor:
    return lengths.amin(0, keepdim=True)


def _moved(steps: Callable[[int], int]) -> Visible:
    """Each query stands so many places further on; it may see what holds no token."""
    return lambda variant, arguments: distance(arguments) >= -steps(arguments["q"].shape[1])


def _new_alone(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """What was cached before the new tokens is not seen."""
    return right_keys(variant, arguments) & (distance(arguments) <= _steps_to_first(arguments))


def _steps_to_first(arguments: dict[str, Any]) -> Tensor:
    """How far each query stands behind the first new token: int64 ``[queries, 1]``."""
    return torch.arange(arguments["q"].shape[1])[:, None]


def _used(arguments: dict[str, Any], lengths: Tensor) -> Tensor:
    """Places below each item's length: bool ``[batch, 1, keys]``."""
    used: Tensor = torch.arange(arguments["k"].shape[1]) < lengths[:, None, None]
    return used


def _for_all(arguments: dict[str, Any], seen: Tensor) -> Tensor:
    """The same for each item: ``[batch, queries, keys]``."""
    return seen.expand(len(arguments["q"]), -1, -1)


@dataclass(frozen=True)
class _Zeroed(Model):
    """Unused places hold zeros."""

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        used = _used(arguments, arguments["cache_seqlens"]).transpose(1, 2)  # [batch, keys, 1]
        return super().output(variant, arguments | {x: torch.where(used, arguments[x], 0.0) for x in ("k", "v")})


@dataclass(frozen=True)
class _CachesViewed(Model):
    """The caches' heads are brought to the front by a reshape, across the tokens; the queries' are moved."""

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        batch, keys, width = arguments["k"].shape
        head_dim = arguments["head_dim"]
        shape = (batch, width // head_dim, keys, head_dim)
        viewed = {x: arguments[x].reshape(shape).transpose(1, 2).flatten(-2) for x in ("k", "v")}
        return super().output(variant, arguments | viewed)
