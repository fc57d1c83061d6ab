"""What the mask explorer shows: its settings, and the tables of scores and weights that follow from them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from attention_lab.inputs import SENTENCES, PackedBatch, PaddedBatch, Padding, packed_batch, padded_batch
from attention_lab.maps.masks import borders
from attention_lab.maps.steps import Table
from attention_lab.rules import Reason, real_tokens, reasons

View = Literal["steps", "packing"]

HEADS = 3
HEAD_DIM = 4
MOST_WORDS = 12  # of a sentence: of more, pictures and their messages would become slow
TEMPERATURES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

# What vectors are made of; the small ones are frequent, so that no key takes all the weight at once
_NUMBERS = (-2, -1, -1, 0, 0, 1, 1, 2)
# Chosen so that in head 0 of the toy sentences the verbs look at their subjects, and no vector is all zeros
_SALT = b"1827"


@dataclass(frozen=True)
class ExplorerState:
    """The explorer's settings.

    Attributes:
        sentences: Words of each sentence.
        lengths: How many words of each are used.
        padding: Where ``<pad>`` goes; with ``"none"`` all sentences are cut to the shortest one that has words.
        causal: Whether query i sees only keys j <= i.
        head: 0 to 2.
        temperature: Scores are divided by it before the softmax.
        view: ``"steps"``: scores, masked scores and weights of one sentence; ``"packing"``: all sentences' weights,
            padded and packed side by side.
        item: The sentence that ``"steps"`` shows.
        query: Place of the query that is explained: in the padded sentence, or among the packed tokens.
        key: Place of the key that is explained.
    """

    sentences: tuple[tuple[str, ...], ...] = SENTENCES
    lengths: tuple[int, ...] = tuple(len(words) for words in SENTENCES)
    padding: Padding = "right"
    causal: bool = True
    head: int = 0
    temperature: float = 1.0
    view: View = "steps"
    item: int = 1
    query: int = 3
    key: int = 1

    def __post_init__(self) -> None:
        if len(self.lengths) != len(self.sentences) or not any(self.words):
            raise ValueError("the explorer wants one length a sentence, and at least one word in all")
        if not 0 <= self.head < HEADS:
            raise ValueError(f"head must lie between 0 and {HEADS - 1}; got {self.head}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive; got {self.temperature}")

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """The words in use: each sentence cut to its length, and to the shortest where nothing is padded."""
        cut = tuple(words[:length] for words, length in zip(self.sentences, self.lengths, strict=True))
        if self.padding != "none":
            return cut
        shortest = min((len(words) for words in cut if words), default=0)
        return tuple(words[:shortest] for words in cut if words)


def padded_tables(state: ExplorerState) -> list[Table]:
    """One table for each sentence of the padded batch."""
    batch = padded(state)
    cells = reasons((*_triangle(state), "padding"), batch.arguments())
    read = real_tokens(batch.arguments())
    return [_table(state, *row, []) for row in zip(batch.tokens, cells, read, strict=True)]


def packed_table(state: ExplorerState) -> Table:
    """The table of all sentences, laid end to end."""
    batch = packed(state)
    cells = reasons((*_triangle(state), "sequences"), batch.arguments())
    return _table(state, batch.tokens, cells, torch.ones(len(cells), dtype=torch.bool), borders(batch))


def explained_table(state: ExplorerState) -> Table:
    """The table that ``state.query`` and ``state.key`` are places in."""
    return packed_table(state) if state.view == "packing" else padded_tables(state)[state.item]


def settled(state: ExplorerState) -> ExplorerState:
    """The same settings with ``item``, ``query`` and ``key`` moved to the last place where they ran over the end."""
    state = replace(state, item=min(state.item, len(state.words) - 1))
    last = sum(map(len, state.words)) - 1 if state.view == "packing" else padded(state).seq - 1
    return replace(state, query=min(state.query, last), key=min(state.key, last))


def padded(state: ExplorerState) -> PaddedBatch:
    """The sentences as a padded batch; only its tokens and its mask are used here."""
    return padded_batch(state.words, num_heads=1, head_dim=1, padding=state.padding)


def packed(state: ExplorerState) -> PackedBatch:
    """The sentences as a packed batch; only its tokens and its borders are used here."""
    return packed_batch(state.words, num_heads=1, head_dim=1)


def vector(role: Literal["query", "key"], head: int, token: str) -> tuple[int, ...]:
    """The token's query or key in a head: ``HEAD_DIM`` small whole numbers, always the same for a token."""
    digest = hashlib.blake2b(f"{role} {head} {token}".encode(), digest_size=HEAD_DIM, salt=_SALT).digest()
    return tuple(_NUMBERS[byte % len(_NUMBERS)] for byte in digest)


def dot_product(head: int, query: str, key: str) -> int:
    """Of a token's query and another's key."""
    return sum(a * b for a, b in zip(vector("query", head, query), vector("key", head, key), strict=True))


def _table(state: ExplorerState, tokens: tuple[str, ...], cells: Tensor, read: Tensor, between: list[int]) -> Table:
    scale = math.sqrt(HEAD_DIM) * state.temperature
    scores = [[dot_product(state.head, query, key) / scale for key in tokens] for query in tokens]
    seen = (cells == Reason.VISIBLE).tolist()
    weights = [_weights(*row) for row in zip(scores, seen, strict=True)]
    return Table(tokens, cells, torch.tensor(scores), torch.tensor(weights), read, between)


def _weights(scores: Sequence[float], seen: Sequence[bool]) -> list[float]:
    """Softmax of one row, over the keys that are seen; all 0 where none is."""
    largest = max((score for score, visible in zip(scores, seen, strict=True) if visible), default=0.0)
    shares = [math.exp(score - largest) if visible else 0.0 for score, visible in zip(scores, seen, strict=True)]
    return [share / (sum(shares) or 1.0) for share in shares]


def _triangle(state: ExplorerState) -> tuple[str, ...]:
    return ("causal",) if state.causal else ()
