"""The bank of known mistakes: the models that fit a variant."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from attention_grading.judging.diagnosis.border_models import border_models
from attention_grading.judging.diagnosis.flex_models import flex_models
from attention_grading.judging.diagnosis.models import Model, general_models
from attention_grading.judging.diagnosis.tiled_models import tiled_models
from attention_lab.variants import Variant


@lru_cache(maxsize=16)
def bank(variant: Variant) -> tuple[Model, ...]:
    """All models that could explain a wrong answer to this variant."""
    of_kernel = {"tiled": tiled_models, "flex": flex_models}.get(variant.kernel, _none)()
    of_borders = border_models() if variant.inputs == "positions" else ()
    return (*general_models(variant), *of_kernel, *of_borders)


def _none() -> Iterator[Model]:
    """The models of a kernel that has none of its own."""
    return iter(())
