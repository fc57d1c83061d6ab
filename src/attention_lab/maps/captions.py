"""What a heatmap's caption says: leaks, sums, NaN, and where the masks act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from attention_lab.caches import Batch, CachedBatch
from attention_lab.inputs import PackedBatch
from attention_lab.maps.head_patterns import habits
from attention_lab.maps.masks import borders, masked_cells
from attention_lab.roles import by_role
from attention_lab.rules import BY_REASON, Reason, real_tokens
from attention_lab.variants import Variant


class Leak(NamedTuple):
    """Weight on a key that the query may not see; ``item`` is the batch item, 0 for a packed batch."""

    head: int
    query: int
    key: int
    weight: float
    reason: Reason
    item: int = 0


# Right functions put exactly 0 on masked keys, in fp32, fp16 and bf16 alike: rounding moves weight between visible
# keys only. One tolerance does for every dtype, and it is about the smallest weight that the numbers can show.
LEAK_TOLERANCE = 1e-3
# Rows of bf16 weights sum to 1 within 3e-3.
_SUM_TOLERANCE = 2e-2


# ---- data ------------------------------------------------------------------------------------------------------------


class WeightMap(NamedTuple):
    """One map to draw: a batch item, or a whole packed batch."""

    tokens: tuple[str, ...]  # of the keys
    cells: Tensor  # int8 [queries, keys], codes of Reason
    weights: Tensor  # float32 [num_heads, queries, keys]
    read: Tensor  # bool [queries], the rows of real tokens
    borders: list[int]
    item: int
    first: int  # place of the first query among the keys; the others follow

    @property
    def queries(self) -> tuple[str, ...]:
        """The tokens that ask."""
        return self.tokens[self.first : self.first + len(self.cells)]


def first_queries(batch: Batch, cells: Tensor) -> list[int]:
    """Where each item's first query stands: the last tokens ask, where there are fewer queries than keys.

    Args:
        batch: The batch.
        cells: Its masked cells, ``[..., queries, keys]``.
    """
    queries, keys = cells.shape[-2:]
    if isinstance(batch, CachedBatch):
        return [length - queries for length in batch.cache_seqlens.tolist()]
    return [keys - queries] * (1 if isinstance(batch, PackedBatch) else batch.batch)


def one_map(variant: Variant, batch: Batch, weights: Tensor, item: int) -> WeightMap:
    cells = masked_cells(variant, batch)
    expected, names, items = [batch.num_heads, *cells.shape[-2:]], "[num_heads, total_tokens, total_tokens]", 1
    if not isinstance(batch, PackedBatch):
        names = "[batch, num_heads, new, max_len]" if variant.cached else "[batch, num_heads, seq, seq]"
        expected, items = [batch.batch, *expected], batch.batch
    if not isinstance(weights, Tensor) or list(weights.shape) != expected:
        got = list(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"weights must be {expected}, a tensor {names} as attention_map gives it; got {got}")
    weights = weights.detach().float().cpu()
    if not 0 <= item < items:
        range_ = "be 0, a packed batch is drawn whole" if variant.packed else f"lie between 0 and {items - 1}"
        raise ValueError(f"item must {range_}; got {item}")
    read, first = real_tokens(by_role(batch.arguments())), first_queries(batch, cells)
    if isinstance(batch, PackedBatch):
        return WeightMap(batch.tokens, cells, weights, read, borders(batch), 0, first[0])
    return WeightMap(batch.tokens[item], cells[item], weights[item], read[item], [], item, first[item])


def leaks_of(map_: WeightMap, tolerance: float) -> list[Leak]:
    leaking = (map_.weights.abs() > tolerance) & (map_.cells != Reason.VISIBLE) & map_.read[:, None]
    return [
        Leak(head, query, key, float(map_.weights[head, query, key]), Reason(int(map_.cells[query, key])), map_.item)
        for head, query, key in leaking.nonzero().tolist()
    ]


# ---- words -----------------------------------------------------------------------------------------------------------


def mask_caption(panels: Sequence[Tensor], packed: bool) -> list[str]:
    seen = [int((cells == Reason.VISIBLE).sum()) for cells in panels]
    blind = sum(int((cells != Reason.VISIBLE).all(dim=1).sum()) for cells in panels)
    counts = f"{sum(seen)} of {sum(cells.numel() for cells in panels)}"
    if not packed and len(panels) <= 4:
        counts = ", ".join(
            f"{n} of {cells.numel()} (item {i})" for i, (n, cells) in enumerate(zip(seen, panels, strict=True))
        )
    sentences = [f"Blue cells are keys that a query may see: {counts}."]
    return [*sentences, f"{_count(blind, 'query sees', 'queries see')} no key at all."] if blind else sentences


def group_words(num_heads: int, num_kv_heads: int) -> str:
    """Which heads share a key head, in a sentence."""
    group = num_heads // num_kv_heads
    if group == 1:
        return "Each head reads the key head of its own number."
    if num_kv_heads == 1:
        return "All heads read key head 0."
    joint = " and " if group == 2 else " to "
    parts = [f"{group * shared}{joint}{group * (shared + 1) - 1} key head {shared}" for shared in range(num_kv_heads)]
    return f"Heads {', '.join(parts).replace(' key', ' read key', 1)}."


def weights_caption(map_: WeightMap, leaks: Sequence[Leak]) -> list[str]:
    problems = [words for words in (_nan_words(map_), _leak_words(map_, leaks), _sum_words(map_)) if words]
    if not bool(map_.read.any()):
        return [*problems, "Every query here is padding: nobody reads these rows."]
    if problems:
        return problems
    masked = bool((map_.cells[map_.read] != Reason.VISIBLE).any())
    clean = "No weight falls on a masked key." if masked else "Nothing is masked."
    looks = _habit_words(map_) or [_look_words(map_)]
    return [words for words in (*looks, clean) if words]


def _nan_words(map_: WeightMap) -> str:
    broken = ~torch.isfinite(map_.weights)
    if not broken.any():
        return ""
    head, query, _ = broken.nonzero()[0].tolist()
    blind = bool((map_.cells[query] != Reason.VISIBLE).all())
    where = f"the row of {_name(map_.queries, query)} (head {head})" + (", which sees no key" if blind else "")
    number = int(broken.sum())
    kind = "NaN" if torch.isnan(map_.weights).any() else "infinite"
    return f"{_count(number, 'weight is', 'weights are')} {kind}{', the first' if number > 1 else ''} in {where}."


def _leak_words(map_: WeightMap, leaks: Sequence[Leak]) -> str:
    if not leaks:
        return ""
    worst = max(leaks, key=lambda leak: abs(leak.weight))
    target = BY_REASON[worst.reason].leak.format(key=_name(map_.tokens, worst.key), place=worst.key)
    return (
        f"Weight leaks into {_count(len(leaks), 'masked cell', 'masked cells')}: "
        f"{_name(map_.queries, worst.query)} puts {_decimal(worst.weight)} on {target} (head {worst.head})."
    )


def _sum_words(map_: WeightMap) -> str:
    """Rows that do not sum to 1: masked after the softmax, or no softmax at all."""
    sums = map_.weights.sum(-1)  # [num_heads, queries]
    off = torch.where(map_.read & torch.isfinite(sums), (sums - 1).abs(), 0.0)
    off = torch.where((map_.cells == Reason.VISIBLE).any(-1), off, 0.0)
    if not bool((off > _SUM_TOLERANCE).any()):
        return ""
    head, query = divmod(int(off.argmax()), len(map_.queries))
    total = float(sums[head, query])
    return f"The weights of {_name(map_.queries, query)} sum to {total:.2f}, not to 1 (head {head})."


def _look_words(map_: WeightMap) -> str:
    shown = (map_.cells == Reason.VISIBLE) & map_.read[:, None]
    queries, keys = map_.cells.shape
    shown &= ~torch.eye(keys, dtype=torch.bool)[map_.first : map_.first + queries]  # looking at oneself says little
    if not shown.any():
        return ""
    flat = int(torch.where(shown, map_.weights, -torch.inf).argmax())
    head, cell = divmod(flat, queries * keys)
    query, key = divmod(cell, keys)
    weight = float(map_.weights[head, query, key])
    names = f"Query {_name(map_.queries, query)} looks most at {_name(map_.tokens, key)}"
    return f"{names} ({weight:.2f}, head {head})."


def _habit_words(map_: WeightMap) -> list[str]:
    queries, keys = map_.cells.shape
    tokens = map_.read if queries == keys else (map_.cells != Reason.UNUSED).any(0)
    sequence = [
        sum(border <= place for border in map_.borders) if real else -1 for place, real in enumerate(tokens.tolist())
    ]
    return [
        f"Head {habit.head} puts {habit.share:.2f} of its weight on {habit.target}, on average."
        for habit in habits(map_.weights, map_.tokens, sequence, map_.first)
    ]


def _name(tokens: Sequence[str], place: int) -> str:
    """The token in quotes, with its place where the same word stands twice."""
    token = tokens[place]
    return f"'{token}'" + (f" at place {place}" if tokens.count(token) > 1 else "")


def _decimal(weight: float) -> str:
    return f"{weight:.2f}" if abs(weight) >= 0.01 else f"{weight:.1g}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
