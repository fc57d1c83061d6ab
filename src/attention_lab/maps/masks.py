"""Which keys a query may not see, and why."""

from __future__ import annotations

from torch import Tensor

from attention_lab.inputs import PackedBatch, PaddedBatch
from attention_lab.rules import reasons
from attention_lab.variants import Variant, get_variant


def masked_cells(variant: str | Variant, batch: PaddedBatch | PackedBatch) -> Tensor:
    """Why each query may not see each key.

    Args:
        variant: Such as ``"eager_causal"``.
        batch: A padded or a packed batch, as the variant takes it.

    Returns:
        int8 codes of ``rules.Reason``: ``[batch, queries, keys]`` for a padded batch,
        ``[total_tokens, total_tokens]`` for a packed one.

    Raises:
        ValueError: The batch is of the other kind.
    """
    variant = get_variant(variant)
    if variant.packed != isinstance(batch, PackedBatch):
        wanted = "a packed batch" if variant.packed else "a padded batch"
        raise ValueError(f"{variant.name} takes {wanted}, got {type(batch).__name__}")
    if isinstance(batch, PackedBatch):
        batch = batch.given_as(variant.inputs)  # however the borders are told, they are the same
    return reasons(variant.rules, variant.in_order(batch.arguments()))


def borders(batch: PaddedBatch | PackedBatch) -> list[int]:
    """Where one packed sequence ends and the next begins; an empty sequence has no borders of its own."""
    if not isinstance(batch, PackedBatch):
        return []
    return sorted(set(batch.cu_seqlens.tolist()) - {0, batch.total_tokens})
