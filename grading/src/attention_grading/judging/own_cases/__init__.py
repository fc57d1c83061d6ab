"""Hidden cases that a variant's kernel or its shared heads call for beside its inputs; and those of caches.

Its door is ``own_cases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attention_grading.judging.draw import Draw
from attention_grading.judging.own_cases.grouped import grouped_cases
from attention_grading.judging.own_cases.tiled import tiled_cases
from attention_lab.checks.case import Case
from attention_lab.variants import Kernel

_BY_KERNEL: dict[Kernel, Callable[[Draw], Iterator[Case]]] = {"tiled": tiled_cases}


def own_cases(draw: Draw) -> Iterator[Case]:
    """The variant's cases; none where it needs no others than all have."""
    if draw.variant.grouped and draw.variant.inputs == "padded":
        yield from grouped_cases(draw)
    if draw.variant.kernel in _BY_KERNEL:
        yield from _BY_KERNEL[draw.variant.kernel](draw)
