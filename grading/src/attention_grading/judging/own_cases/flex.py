"""FlexAttention: the matrix of who sees whom, cell by cell, any labels, and windows in every dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.case_kinds import HALVES, compared, gradients
from attention_grading.judging.draw import Draw
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.require import require_finite, require_result
from attention_lab.rules import BY_REASON, Reason, reasons
from attention_lab.variants import Variant

MASK = "your mask function: what it says of a query's place and a key's place, and how its conditions come together"
LABELS = "document_ids: which of two labels are compared, and how"


def flex_cases(draw: Draw) -> Iterator[Case]:
    yield from _matrices(draw)
    windows = partial(compared, draw, "robustness", MASK)
    yield windows("windows in fp16 and bf16", partial(_windows, draw))
    if not draw.forward_alone:
        yield gradients(draw, "finite, with right gradients: a window", partial(_windows, draw))
    yield compared(draw, "masking", LABELS, "labels in int32, below zero, and large", partial(_labels, draw))


def _matrices(draw: Draw) -> Iterator[Case]:
    yield _matrix(draw, "values", "the matrix of one document, cell by cell", [23], 3, 8)
    draw.reseed("masking/matrices")
    # borders before, on and after those of blocks of 128
    blocks = [draw.between(30, 60), 128, draw.between(60, 90), 3, draw.between(20, 30)]
    for name, lengths, heads, head_dim, window in (
        ("the matrix of documents, cell by cell", [3, 6, 1, 5], 3, 8, None),
        ("the matrix of documents, with a window of 1", [4, 9, 2], 2, 8, 1),
        ("the matrix of documents, with a window of 3", [7, 2, 11], 3, 8, 3),
        ("the matrix of documents, with a window longer than any", [7, 2, 11], 3, 8, 100),
        ("the matrix of documents of several blocks", blocks, 5, 80, None),
        ("the matrix of documents of several blocks, with a window", blocks, 5, 80, draw.between(20, 120)),
    ):
        yield _matrix(draw, "masking", name, lengths, heads, head_dim, window)


def _matrix(
    draw: Draw, check: str, name: str, lengths: Sequence[int], heads: int, head_dim: int, window: int | None = None
) -> Case:
    """All scores are 0, and key j's value has a single 1, at place j: it comes out where a query sees key j."""
    draw.reseed(f"{check}/{name}")
    arguments = draw.packed(lengths, heads, head_dim) | {"window": window}
    tokens, width = arguments["v"].shape
    call = Call(arguments | {"k": torch.zeros(tokens, width), "v": torch.eye(tokens, width)})
    return Case(check, name, (call,), partial(_require_matrix, draw.variant, name, call))


def _require_matrix(variant: Variant, name: str, call: Call, outcomes: Sequence[Outcome]) -> None:
    output = require_result(name, call, outcomes[0], own_dtype=False)
    require_finite(name, call, output)
    tokens = output.shape[0]
    why = reasons(variant.rules, call.arguments)
    seen, wanted = output[:, :tokens] != 0, why == Reason.VISIBLE
    wrong = seen != wanted
    if not wrong.any():
        return
    query, key = wrong.nonzero()[0].tolist()
    reason = Reason(int(why[query, key]))
    if reason == Reason.VISIBLE:
        problem, hint = f"query {query} does not see key {key}", MASK
    else:
        problem = f"query {query} sees key {key}, although {BY_REASON[reason].why}"
        hint = BY_REASON[reason].hint
    raise CheckFailed(
        name,
        problem,
        f"expected {int(wanted.sum())} of {tokens} × {tokens} cells to be seen, got {int(seen.sum())} "
        f"({int(wrong.sum())} are wrong)",
        hint,
        "wrong-values",
        {"cells": int(wrong.sum()), "of": tokens * tokens},
    )


def _windows(draw: Draw) -> list[dict[str, Any]]:
    windows = zip(HALVES, (5, 2), strict=True)
    return [draw.packed([4, 11], 3, 8, dtype=dtype) | {"window": window} for dtype, window in windows]


def _labels(draw: Draw) -> list[dict[str, Any]]:
    lengths = [4, 1, 7, 3]
    return [
        draw.packed(lengths, 2, 5) | {"document_ids": labels.repeat_interleave(torch.tensor(lengths))}
        for labels in _kinds_of_labels()
    ]


def _kinds_of_labels() -> tuple[Tensor, ...]:
    return (
        torch.tensor([3, 2, 1, 0], dtype=torch.int32),  # falling
        torch.tensor([-5, 0, -9, 4]),
        torch.tensor([7, 2**40 + 1, 2**40, 2**53 + 1]),  # neighbours of which fp32 and int32 make one
    )
