"""Documents told by positions: what counts is where one begins, and not which number stands there."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.require import Told, require_alike
from attention_lab.checks.toy import drawn_arguments
from attention_lab.inputs import borders_as
from attention_lab.variants import Variant

# Of one row's documents, and ways to count them that all tell the same borders
LENGTHS = (4, 1, 2, 7)
STARTS: dict[str, tuple[int, ...]] = {
    "the first document starts at 2": (2, 0, 0, 0),
    "each document starts at 2": (2, 2, 2, 2),
    "documents go on from other rows": (0, 3, 0, 5),
    "the count jumps ahead": (0, 5, 8, 11),
    "a position stands twice": (0, 3, 3, 4),
    "the positions are large": (126, 250, 131070, 32764),
}


def same_borders_case(variant: Variant) -> Case:
    """The same documents, counted from other numbers, give the same."""
    name = "documents that start elsewhere"
    arguments = drawn_arguments(variant, 24, LENGTHS)
    calls = [Call(arguments)]
    calls += [Call(arguments | borders_as(variant.inputs, LENGTHS, starts=starts)) for starts in STARTS.values()]

    def verify(outcomes: Sequence[Outcome]) -> None:
        plain, *others = outputs_of(name, calls, outcomes)
        hint = "where a document begins: which numbers may stand there, and which before it?"
        for call, output, words in zip(calls[1:], others, STARTS, strict=True):
            told = Told(f"changes when {words}, though the borders are the same", "as when all start at 0", hint)
            require_alike(name, call, output, plain, torch.ones((), dtype=torch.bool), told)

    return Case("invariants", name, tuple(calls), verify)
