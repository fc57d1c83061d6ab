"""Models of what goes wrong where query heads share key heads: who shares which, and in which order heads come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.diagnosis.models import Model
from attention_grading.reference import shared_heads
from attention_lab.inputs import key_heads
from attention_lab.variants import Variant

Share = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class _Shared(Model):
    """Keys and values find their query heads in two ways."""

    share_keys: Share = shared_heads
    share_values: Share = shared_heads

    def heads(self, arguments: dict[str, Any], name: str) -> Tensor:
        share = {"k": self.share_keys, "v": self.share_values}.get(name, shared_heads)
        return share(self.split_by_own_heads(arguments, name), arguments["num_heads"])


@dataclass(frozen=True)
class _MergedInTurn(Model):
    """All is right, but heads come out as (group, num_kv_heads)."""

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        output, defined = super().output(variant, arguments)
        groups = output.unflatten(-1, (key_heads(arguments), -1, arguments["head_dim"]))
        return groups.transpose(-3, -2).flatten(-3), defined


def _in_turn(heads: Tensor, num_heads: int) -> Tensor:
    return heads[..., torch.arange(num_heads) % heads.shape[-3], :, :]


def _divided_by_key_heads(heads: Tensor, num_heads: int) -> Tensor:
    own = heads.shape[-3]
    return heads[..., (torch.arange(num_heads) // own).clamp(max=own - 1), :, :]


def _first(heads: Tensor, num_heads: int) -> Tensor:
    return shared_heads(heads[..., :1, :, :], num_heads)


def _mean(heads: Tensor, num_heads: int) -> Tensor:
    return shared_heads(heads.mean(-3, keepdim=True), num_heads)


def grouped_models() -> Iterator[Model]:
    """Models of mistakes that only a function with shared key heads can make."""
    yield _Shared("key-heads-in-turn", share_keys=_in_turn, share_values=_in_turn)
    yield _Shared("key-heads-in-turn", share_keys=_in_turn)
    yield _Shared("key-heads-in-turn", share_values=_in_turn)
    yield _Shared("group-size-confused", share_keys=_divided_by_key_heads, share_values=_divided_by_key_heads)
    yield _Shared("one-key-head", share_keys=_first, share_values=_first)
    yield _Shared("key-heads-averaged", share_keys=_mean, share_values=_mean)
    yield _MergedInTurn("heads-merged-in-turn")
