"""Hidden cases that the rules of a variant do not call for, but its kernel, its inputs or its shared heads do.

Its door is ``own_cases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attention_grading.judging.draw import Draw
from attention_grading.judging.own_cases.grouped import grouped_cases
from attention_grading.judging.own_cases.positions import positions_cases
from attention_grading.judging.own_cases.tiled import tiled_cases
from attention_lab.checks.case import Case
from attention_lab.variants import Inputs, Kernel

_BY_KERNEL: dict[Kernel, Callable[[Draw], Iterator[Case]]] = {"tiled": tiled_cases}
_BY_INPUTS: dict[Inputs, Callable[[Draw], Iterator[Case]]] = {"positions": positions_cases}


def own_cases(draw: Draw) -> Iterator[Case]:
    """What the variant's kernel, inputs and shared heads call for; none where it needs no others than all have."""
    if draw.variant.grouped and draw.variant.inputs == "padded":
        yield from grouped_cases(draw)
    if draw.variant.kernel in _BY_KERNEL:
        yield from _BY_KERNEL[draw.variant.kernel](draw)
    if draw.variant.inputs in _BY_INPUTS:
        yield from _BY_INPUTS[draw.variant.inputs](draw)
