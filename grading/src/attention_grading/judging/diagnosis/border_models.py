"""Models of borders that are found wrongly in positions, and of borders that a kernel refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.diagnosis.models import Model, right_keys, without
from attention_lab.rules import sequence_of
from attention_lab.variants import Variant

# From the positions of a row, as whole numbers, to bool: which tokens begin a document; the first one does in any case
Begins = Callable[[Tensor], Tensor]


def border_models() -> Iterator[Model]:
    """Models of functions that take other tokens for the first of their documents."""
    for name, begins in (
        ("borders-at-zeros-only", lambda positions: positions == 0),
        ("borders-at-falls-only", lambda positions: _steps(positions) < 0),
        ("borders-at-falls-only", lambda positions: _steps(positions) < -1),
        ("jumps-ahead-missed", lambda positions: _steps(positions) <= 0),
        ("jumps-missed", lambda positions: _steps(positions).abs() > 1),
        ("borders-one-off", lambda positions: _right(positions).roll(-1)),
        ("borders-one-off", lambda positions: _right(positions).roll(1)),
    ):
        yield Model(name, visible=partial(_found_by, begins))
    for dtype in (torch.bfloat16, torch.float16, torch.int8, torch.int16):
        yield Model("positions-converted", visible=partial(_found_by, partial(_converted, dtype)))


def _steps(positions: Tensor) -> Tensor:
    """From the token before to each: int64 ``[total_tokens]``; the first one's is 1."""
    return positions.diff(prepend=positions[:1] - 1)


def _right(positions: Tensor) -> Tensor:
    """Which tokens begin a document, apart from the first of all."""
    return _steps(positions) != 1


def _converted(dtype: torch.dtype, positions: Tensor) -> Tensor:
    held = positions.to(dtype)
    begins: Tensor = held != torch.cat([held[:1] - 1, held[:-1]]).to(torch.promote_types(dtype, torch.int32)) + 1
    return begins


def _found_by(begins: Begins, variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Visible keys with other borders."""
    document = begins(arguments["position_ids"].long()).cumsum(0)
    return right_keys(without(variant, "sequences"), arguments) & (document[:, None] == document)


def lacks_outer_border(arguments: dict[str, Any], text: str) -> bool:
    """Whether a kernel refuses borders that are the right ones, without the first or the last.

    Args:
        arguments: Of the learner's function, told by positions.
        text: Of the exception.
    """
    first = (sequence_of(arguments).diff(prepend=torch.tensor([-1])) != 0).nonzero().flatten().tolist()
    borders = [*first, len(arguments["q"])]
    found = re.search(r"cu_seqlens_\w ends at (\d+), but", text)
    if found is not None:
        return len(borders) > 2 and int(found[1]) == borders[-2]
    found = re.search(r"must start at 0 and never fall, got \[([\d, ]+)\]", text)
    if found is not None:
        got = [int(number) for number in found[1].split(",")]
        return got == borders[1 : len(got) + 1]
    return len(borders) == 2 and re.search(r"must have shape \(batch_size \+ 1\), got \[1\]", text) is not None
