"""Query heads that share key heads: each number of key heads in its own case, and gradients that a group sums up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from attention_grading.judging.case_kinds import FLOATS, compared, gradients, option_values
from attention_grading.judging.draw import Draw, left_mask
from attention_lab.checks.case import Case

GROUPS = "the groups: how many neighbouring query heads share a key head, and which one is it?"
HEADS = 6


def grouped_cases(draw: Draw) -> Iterator[Case]:
    """For inputs that are padded. Their masking is asked with each option's values, as anywhere."""
    for _, shared in option_values(draw.variant):
        name = f"{HEADS} heads, {shared} key head{'s' if shared > 1 else ''}"
        yield compared(draw, "values", GROUPS, name, partial(_drawn, draw, shared))
        yield gradients(draw, f"finite, with right gradients: {name}", partial(_in_dtypes, draw, shared))


def _drawn(draw: Draw, shared: int, **how: Any) -> list[dict[str, Any]]:
    return [draw.padded(4, 7, HEADS, 5, num_kv_heads=shared, **how)]


def _in_dtypes(draw: Draw, shared: int) -> list[dict[str, Any]]:
    mask = left_mask([7, 5, 2, 6], 7)
    return [each for dtype in FLOATS for each in _drawn(draw, shared, mask=mask, dtype=dtype)]
