"""How well a causal model repeats, and which of its heads do it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from attention_lab.models.causal import TinyCausalModel
from attention_lab.models.token_batch import TokenBatch, padded_tokens

TEXTS, STRETCH = 32, 20


class HeadScore(NamedTuple):
    """What one head does with texts that say everything twice.

    Attributes:
        previous: Its mean weight on the token before each query.
        after: Its mean weight on the token that followed the query's word the first time, over the second half.
    """

    previous: float
    after: float


def share_repeated(model: TinyCausalModel, seed: int = 1) -> float:
    """The share of words, said for the second time, that the model guesses."""
    batch = _said_twice(model, seed)
    with torch.no_grad():
        guesses = model(batch).argmax(dim=-1)
    return float((guesses[:, STRETCH:-1] == batch.ids[:, STRETCH + 1 :]).float().mean())


def head_scores(model: TinyCausalModel, seed: int = 1) -> dict[tuple[int, int], HeadScore]:
    """By number of layer and head, both from 0."""
    batch = _said_twice(model, seed)
    return {
        (layer, head): HeadScore(_on_diagonal(table, 1, 1), _on_diagonal(table, STRETCH - 1, STRETCH))
        for layer, weights in enumerate(model.attention_weights(batch))
        for head, table in enumerate(weights.transpose(0, 1))
    }


def _said_twice(model: TinyCausalModel, seed: int) -> TokenBatch:
    """Texts of different random words, each said twice."""
    generator = torch.Generator().manual_seed(seed)
    words = [torch.randperm(len(model.vocabulary), generator=generator)[:STRETCH].tolist() for _ in range(TEXTS)]
    return padded_tokens([[*text, *text] for text in words], device=model.guess.weight.device)


def _on_diagonal(weights: Tensor, back: int, start: int) -> float:
    """Mean weight that queries from a place on put on the key some places back; weights ``[texts, seq, seq]``."""
    return float(weights.diagonal(-back, 1, 2)[:, start - back :].mean())
