"""Hidden cases that the rules and inputs of a variant do not call for, but its kernel does: a module a kernel.

Its door is ``own_cases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attention_grading.judging.draw import Draw
from attention_grading.judging.own_cases.flex import flex_cases
from attention_grading.judging.own_cases.tiled import tiled_cases
from attention_lab.checks.case import Case
from attention_lab.variants import Kernel

_BY_KERNEL: dict[Kernel, Callable[[Draw], Iterator[Case]]] = {"tiled": tiled_cases, "flex": flex_cases}


def own_cases(draw: Draw) -> Iterator[Case]:
    """The cases of the variant's kernel; none where it needs no others than all have."""
    if draw.variant.kernel in _BY_KERNEL:
        yield from _BY_KERNEL[draw.variant.kernel](draw)
