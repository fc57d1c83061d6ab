"""The bank of known mistakes: the models that fit a variant."""

from __future__ import annotations

from functools import lru_cache

from attention_grading.judging.diagnosis.flex_models import flex_models
from attention_grading.judging.diagnosis.models import Model, general_models
from attention_grading.judging.diagnosis.tiled_models import tiled_models
from attention_lab.variants import Variant


@lru_cache(maxsize=16)
def bank(variant: Variant) -> tuple[Model, ...]:
    """All models that could explain a wrong answer to this variant."""
    own = {"tiled": tiled_models, "flex": flex_models}.get(variant.kernel, lambda: ())()
    return (*general_models(variant), *own)
