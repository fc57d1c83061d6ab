"""Documents told by their positions: one begins wherever the count does not go on, whichever number stands there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from attention_grading.judging.case_kinds import compared
from attention_grading.judging.draw import Draw
from attention_lab.checks.case import Case

BEGINS = "where a document begins: what does its first position say beside the one before it?"

Row = tuple[Sequence[int], Sequence[int]]  # lengths and first positions


def positions_cases(draw: Draw) -> Iterator[Case]:
    draw.reseed("rows")
    for name, rows in _rows(draw).items():
        yield compared(draw, "masking", BEGINS, name, partial(_drawn, draw, rows))


def _rows(draw: Draw) -> dict[str, list[Row]]:
    """Rows of documents; none begins where the one before it ends, since by their positions these two are one."""
    few, some = draw.between(2, 4), draw.between(5, 9)
    return {
        "one document that starts at 2": [([some], [2]), ([1], [2])],
        "a row that begins within a document": [([few, some, 3], [draw.between(5, 9), 0, 0])],
        "a document that goes on from another row": [([few, some, 3], [0, 0, 2]), ([some, few], [0, some + 3])],
        "documents that all start at 2": [([few, 1, some, 5], [2, 2, 2, 2])],
        "the count jumps ahead": [([few, some, 6], [0, few + 1, few + some + 2])],
        "a position that stands twice": [([few, some, 6], [0, few - 1, few + some - 2])],
        "the count falls by one": [([2, some, 2, 4], [0, 0, some - 2, some - 2])],
        "documents of one token": [([1] * 6, [0] * 6), ([1] * 5, [3, 1, 7, 5, 5])],
        "a document of one token between long ones": [([some, 1, 7], [0, 0, 0]), ([some, 1, 7], [0, some + 1, 4])],
        # past what 8 and 16 bits hold, and past the whole numbers that fp16 and bf16 know
        "positions far ahead": [([some, 9, few], [126, 32764, 0]), ([some, 6], [2045, 131070])],
    }


def _drawn(draw: Draw, rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [draw.packed(lengths, 3, 8, starts=starts) for lengths, starts in rows]
