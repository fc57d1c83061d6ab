"""The bank of known mistakes: the models that fit a variant."""

from __future__ import annotations

from functools import lru_cache

from attention_grading.judging.diagnosis.border_models import border_models
from attention_grading.judging.diagnosis.cached_models import cached_models
from attention_grading.judging.diagnosis.flex_models import flex_models
from attention_grading.judging.diagnosis.grouped_models import grouped_models
from attention_grading.judging.diagnosis.models import Model, general_models
from attention_grading.judging.diagnosis.tiled_models import tiled_models
from attention_grading.judging.diagnosis.window_models import window_models
from attention_lab.variants import Variant


@lru_cache(maxsize=16)
def bank(variant: Variant) -> tuple[Model, ...]:
    """All models that could explain a wrong answer to this variant."""
    of_tiles = tiled_models() if variant.kernel == "tiled" else ()
    of_masks = flex_models() if variant.kernel == "flex" else ()
    of_groups = grouped_models() if variant.grouped else ()
    of_windows = window_models(variant) if "window" in variant.rules else ()
    of_caches = cached_models() if variant.cached else ()
    of_borders = border_models() if variant.inputs == "positions" else ()
    return (*general_models(variant), *of_tiles, *of_masks, *of_groups, *of_windows, *of_caches, *of_borders)
