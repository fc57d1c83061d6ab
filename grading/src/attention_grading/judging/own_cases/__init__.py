"""Hidden cases that the rules of a variant do not call for, but its kernel or its inputs do: a module each.

Its door is ``own_cases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attention_grading.judging.draw import Draw
from attention_grading.judging.own_cases.flex import flex_cases
from attention_grading.judging.own_cases.positions import positions_cases
from attention_grading.judging.own_cases.tiled import tiled_cases
from attention_lab.checks.case import Case
from attention_lab.variants import Inputs, Kernel

_BY_KERNEL: dict[Kernel, Callable[[Draw], Iterator[Case]]] = {"tiled": tiled_cases, "flex": flex_cases}
_BY_INPUTS: dict[Inputs, Callable[[Draw], Iterator[Case]]] = {"positions": positions_cases}


def own_cases(draw: Draw) -> Iterator[Case]:
    """The cases of the variant's kernel and inputs; none where it needs no others than all have."""
    if draw.variant.kernel in _BY_KERNEL:
        yield from _BY_KERNEL[draw.variant.kernel](draw)
    if draw.variant.inputs in _BY_INPUTS:
        yield from _BY_INPUTS[draw.variant.inputs](draw)
