"""Which keys a query may not see, and why."""

from __future__ import annotations

from torch import Tensor

from attention_lab.caches import Batch, CachedBatch
from attention_lab.inputs import PackedBatch, PaddedBatch
from attention_lab.roles import by_role
from attention_lab.rules import reasons
from attention_lab.variants import Inputs, Variant, get_variant

# What a variant's kind of inputs is called, and the batches that hold it
_TAKES: dict[Inputs, tuple[str, type[Batch]]] = {
    "padded": ("a padded batch", PaddedBatch),
    "packed": ("a packed batch", PackedBatch),
    "positions": ("a packed batch", PackedBatch),
    "documents": ("a packed batch", PackedBatch),
    "cached": ("a cached batch", CachedBatch),
}


def masked_cells(variant: str | Variant, batch: Batch) -> Tensor:
    """Why each query may not see each key.

    Args:
        variant: Such as ``"eager_causal"``.
        batch: A padded, packed or cached batch, as the variant takes it.

    Returns:
        int8 codes of ``rules.Reason``: ``[batch, queries, keys]`` for a padded or cached batch,
        ``[total_tokens, total_tokens]`` for a packed one.

    Raises:
        ValueError: The batch is of another kind.
    """
    variant = get_variant(variant)
    wanted, kind = _TAKES[variant.inputs]
    if not isinstance(batch, kind):
        raise ValueError(f"{variant.name} takes {wanted}, got {type(batch).__name__}")
    if isinstance(batch, PackedBatch):
        batch = batch.given_as(variant.inputs)  # however the borders are told, they are the same
    return reasons(variant.rules, variant.in_order(by_role(batch.arguments())))


def borders(batch: Batch) -> list[int]:
    """Where one packed sequence ends and the next begins; an empty sequence has no borders of its own."""
    if not isinstance(batch, PackedBatch):
        return []
    return sorted(set(batch.cu_seqlens.tolist()) - {0, batch.total_tokens})
