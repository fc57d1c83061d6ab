"""The loss of a packed row, document by document: what a border that is missed does to it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_lab.models.causal import TinyCausalModel
from attention_lab.models.self_attention import AttentionFunction
from attention_lab.models.token_batch import TokenBatch
from attention_lab.rules import sequence_of
from attention_lab.tracebacks import shows_learners_lines

IGNORED = -100  # the label of words that are not to be guessed, as PyTorch's cross-entropy has it


@shows_learners_lines
@torch.no_grad()
def losses(
    model: TinyCausalModel, input_ids: Tensor, position_ids: Tensor, labels: Tensor, attention: AttentionFunction
) -> tuple[list[float], float]:
    """How far off a causal model's guesses are, in one row of documents.

    Args:
        model: Guesses the word after each token.
        input_ids: int64 ``[total_tokens]``.
        position_ids: int64, the same shape: each token's position in its document.
        labels: int64, the same shape: the words to be guessed, each at its own place; ``IGNORED`` where none is.
        attention: Takes ``position_ids`` for borders.

    Returns:
        The mean cross-entropy of each document, and of the row, to two decimals.
    """
    layout = {"position_ids": position_ids}
    row = TokenBatch(input_ids, position_ids, torch.ones_like(input_ids, dtype=torch.bool)[None], layout, "positions")
    scores = model(row, attention)[:-1]  # what stands at each token is the guess of the next
    each, guessed = F.cross_entropy(scores, labels[1:], reduction="none"), labels[1:] != IGNORED
    document = sequence_of(layout).to(labels.device)[1:]
    parts = [each[guessed & (document == number)] for number in range(int(document[-1]) + 1)]
    return [round(float(part.mean()), 2) for part in parts], round(float(each[guessed].mean()), 2)
