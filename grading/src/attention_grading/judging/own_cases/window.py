"""A sliding window: of one key, of as many as a sequence has, of more, and what gradients reach through it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from attention_grading.judging import comparison
from attention_grading.judging.case_kinds import HALVES, compared
from attention_grading.judging.draw import Draw, left_mask
from attention_lab.checks.calls import Call
from attention_lab.checks.case import Case

COUNTED = "the window: how many keys it holds, the query's own among them"
RAGGED = (5, 12, 1, 8)  # with 2 heads of 24, none of which is a window


def window_cases(draw: Draw) -> Iterator[Case]:
    length = draw.choose((11, 13, 17))
    for window in (1, 2, length - 1, length, length + 1, 7 * length):
        inputs = partial(_in_window, draw, (length,), 5, 24, window)
        yield compared(draw, "values", COUNTED, f"a window of {window} over {length} tokens", inputs)
    wide = partial(_in_window, draw, (draw.between(130, 160),), 2, 8, draw.between(70, 100))
    yield compared(draw, "values", COUNTED, "a wide window over a long sequence", wide)
    for window in (1, 3, 6, 7, max(RAGGED) - 1, max(RAGGED), max(RAGGED) + 1, 10 * max(RAGGED)):
        inputs = partial(_in_window, draw, RAGGED, 2, 24, window)
        yield compared(draw, "masking", COUNTED, f"a window of {window} over ragged sequences", inputs)
    yield _reached(draw)


def _in_window(draw: Draw, lengths: tuple[int, ...], heads: int, head_dim: int, window: int) -> list[dict[str, Any]]:
    return [_drawn(draw, lengths, heads, head_dim, HALVES[1]) | {"window": window}]


def _drawn(
    draw: Draw, lengths: tuple[int, ...], heads: int, head_dim: int, packed_dtype: torch.dtype
) -> dict[str, Any]:
    """Packed, or padded on the left."""
    if draw.variant.packed:
        return draw.packed(lengths, heads, head_dim, dtype=packed_dtype)
    mask = left_mask(lengths, max(lengths))
    return draw.padded(len(lengths), max(lengths), heads, head_dim, mask=mask, junk=8.0)


def _reached(draw: Draw) -> Case:
    """A loss of one query reaches the keys in its window; the gradients of all others are 0."""
    name = "gradients of one query's loss, inside its window and outside"
    draw.reseed(name)
    query = (RAGGED[0] + RAGGED[1] - 2,) if draw.variant.packed else (1, RAGGED[1] - 2)
    calls = []
    for dtype in HALVES:
        for window in (1, 3, 7):
            arguments = _drawn(draw, RAGGED, 2, 24, dtype) | {"window": window}
            loss = torch.zeros(arguments["q"].shape)
            loss[query] = draw.normal(loss.shape[-1])
            calls.append(Call(arguments, cotangent=loss))
    return Case("robustness", name, tuple(calls), partial(comparison.gradients, draw.variant, name, tuple(calls)))
