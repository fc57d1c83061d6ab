"""One table of queries and keys: who may see whom, and the scores and weights between them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Table(NamedTuple):
    """Queries and keys of one padded sentence, or of a packed batch.

    Attributes:
        tokens: The tokens, as queries and as keys.
        cells: int8 ``[queries, keys]``, codes of ``Reason``.
        scores: float32 ``[queries, keys]``, before any mask.
        weights: float32 ``[queries, keys]``; 0 on masked keys, and in rows that see no key.
        read: bool ``[queries]``, ``False`` at padding.
        borders: Where one packed sequence ends and the next begins.
    """

    tokens: tuple[str, ...]
    cells: Tensor
    scores: Tensor
    weights: Tensor
    read: Tensor
    borders: list[int]
