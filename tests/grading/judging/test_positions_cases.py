"""11's hidden cases: rows of documents that a function which asks too little of positions gets wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from attention_grading.judging.cases import plan
from attention_lab.rules import sequence_of

SEEDS = tuple("abcdefghijklmnop")
# From the steps between neighbouring positions, and the positions, to whether a row has what is asked for
ASKED: dict[str, Callable[[Tensor, Tensor], bool]] = {
    "a first document that starts late": lambda steps, positions: bool(positions[0] > 0),
    "a single document that starts at 2": lambda steps, positions: bool(positions[0] == 2) and bool((steps == 1).all()),
    "a jump ahead": lambda steps, positions: bool((steps > 1).any()),
    "a position that stands twice": lambda steps, positions: bool((steps == 0).any() and (positions > 0).any()),
    "a fall by one": lambda steps, positions: bool((steps == -1).any()),
    "a fall to another number than 0": lambda steps, positions: bool(((steps < 0) & (positions[1:] > 0)).any()),
    "neighbours of one token each": lambda steps, positions: len(steps) > 2 and not bool((steps == 1).any()),
    "a document across 2^15": lambda steps, positions: bool(((positions[1:] == 2**15) & (steps == 1)).any()),
}


def rows(seed: str) -> list[Tensor]:
    cases = plan.__wrapped__("packed_positions", seed)
    return [call.arguments["position_ids"] for case in cases if case.check == "masking" for call in case.calls]


@pytest.mark.parametrize("name", ASKED)
def test_whatever_the_seed_there_is(name):
    assert all(any(ASKED[name](row.diff(), row) for row in rows(seed)) for seed in SEEDS)


def test_values_ask_one_document_each_that_starts_at_0():
    for case in plan("packed_positions", "any"):
        if case.check == "values":
            assert all(not call.arguments["position_ids"][0] for call in case.calls)
            assert all(not sequence_of(call.arguments).any() for call in case.calls)
