"""A small batch of the kind that a variant takes."""

from __future__ import annotations

from attention_lab.caches import Batch, cached_batch
from attention_lab.inputs import packed_batch, padded_batch
from attention_lab.variants import get_variant


def small_batch(name: str) -> Batch:
    """Two sentences; padded ones on the left."""
    variant = get_variant(name)
    if variant.cached:
        return cached_batch()
    options = {option.name: option.toy for option in variant.options}
    return packed_batch(inputs=variant.inputs, **options) if variant.packed else padded_batch(padding="left", **options)
