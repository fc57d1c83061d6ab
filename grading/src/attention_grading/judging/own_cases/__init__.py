"""Hidden cases that a variant's kernel, inputs, rules or shared heads call for, beside those that all have.

Its door is ``own_cases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attention_grading.judging.draw import Draw
from attention_grading.judging.own_cases.flex import flex_cases
from attention_grading.judging.own_cases.grouped import grouped_cases
from attention_grading.judging.own_cases.positions import positions_cases
from attention_grading.judging.own_cases.tiled import tiled_cases
from attention_grading.judging.own_cases.window import window_cases
from attention_lab.checks.case import Case
from attention_lab.variants import Inputs, Kernel

_BY_KERNEL: dict[Kernel, Callable[[Draw], Iterator[Case]]] = {"tiled": tiled_cases, "flex": flex_cases}
_BY_INPUTS: dict[Inputs, Callable[[Draw], Iterator[Case]]] = {"positions": positions_cases}
_BY_RULE: dict[str, Callable[[Draw], Iterator[Case]]] = {"window": window_cases}


def own_cases(draw: Draw) -> Iterator[Case]:
    """The variant's cases; none where it needs no others than all have. A kernel's ask for its rules, too."""
    if draw.variant.grouped and draw.variant.inputs == "padded":
        yield from grouped_cases(draw)
    if draw.variant.kernel in _BY_KERNEL:
        yield from _BY_KERNEL[draw.variant.kernel](draw)
    else:
        for rule in draw.variant.rules:
            if rule in _BY_RULE:
                yield from _BY_RULE[rule](draw)
    if draw.variant.inputs in _BY_INPUTS:
        yield from _BY_INPUTS[draw.variant.inputs](draw)
