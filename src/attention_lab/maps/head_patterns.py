"""What a head does, where its weights show it: looks at the previous token, at the first, and the like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ENOUGH = 0.5  # of a head's weight, on average over the queries
FEWEST = 4  # queries: of fewer, chance may say anything


class Habit(NamedTuple):
    """Where a head puts most of its weight.

    Attributes:
        head: Its number.
        target: What it looks at, in words.
        share: Its weight there, on average over the queries that have such a target.
    """

    head: int
    target: str
    share: float


def habits(weights: Tensor, tokens: Sequence[str], sequence: Sequence[int], first: int = 0) -> list[Habit]:
    """What each head does, for heads that put at least half of their weight on one kind of target.

    Args:
        weights: ``[num_heads, queries, tokens]``.
        tokens: The tokens, as keys; so many of them ask as there are queries.
        sequence: For each token the number of the sequence that it belongs to, -1 at padding.
        first: Place of the first that asks.

    Returns:
        At most one habit a head, its strongest.
    """
    found, asking = [], slice(first, first + weights.shape[1])
    for head, table in enumerate(weights):
        shares = {words: share_on(table, targets[asking]) for words, targets in _targets(tokens, sequence).items()}
        words, share = max(shares.items(), key=lambda item: item[1])
        if share >= ENOUGH:
            found.append(Habit(head, words, share))
    return found


def share_on(weights: Tensor, targets: Tensor, fewest: int = FEWEST) -> float:
    """The mean weight on targets ``[queries, keys]``, over the queries that have one; 0 where too few have."""
    asking = targets.any(dim=-1)
    if int(asking.sum()) < fewest:
        return 0.0
    return float(torch.where(targets, weights, 0.0).sum(dim=-1)[asking].mean())


def _targets(tokens: Sequence[str], sequence: Sequence[int]) -> dict[str, Tensor]:
    """Who would be looked at, by kind: bool ``[queries, keys]``."""
    places: dict[int, list[int]] = {}
    for place, number in enumerate(sequence):
        if number >= 0:
            places.setdefault(number, []).append(place)
    pairs = {words: torch.zeros(len(tokens), len(tokens), dtype=torch.bool) for words in _WORDS}
    for row in places.values():
        for rank, query in enumerate(row):
            pairs[_ITSELF][query, query] = True
            if rank > 0:
                pairs[_PREVIOUS][query, row[rank - 1]] = True
                pairs[_FIRST][query, row[0]] = True
            if rank + 1 < len(row):
                pairs[_NEXT][query, row[rank + 1]] = True
            for earlier in range(rank - 1):
                if tokens[row[earlier]] == tokens[query]:
                    pairs[_AFTER][query, row[earlier + 1]] = True
    return pairs


_PREVIOUS, _NEXT, _ITSELF = "the previous token", "the next token", "each token itself"
_FIRST, _AFTER = "the first token", "what followed the same word earlier"
_WORDS = (_PREVIOUS, _NEXT, _ITSELF, _FIRST, _AFTER)
