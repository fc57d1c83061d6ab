"""Which keys a query may not see, and why."""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

from attention_lab.inputs import PackedBatch, PaddedBatch
from attention_lab.variants import Variant, get_variant


class Reason(IntEnum):
    """Why a query may not see a key. Padding and other sequences come before causality where both hold."""

    VISIBLE = 0
    CAUSAL = 1
    PADDING = 2
    OTHER_SEQUENCE = 3


def masked_cells(variant: str | Variant, batch: PaddedBatch | PackedBatch) -> Tensor:
    """Why each query may not see each key.

    Args:
        variant: One of the six, such as ``"eager_causal"``.
        batch: A padded batch for 01 to 04, a packed one for 05 and 06.

    Returns:
        int8 codes of ``Reason``: ``[batch, seq, seq]`` for a padded batch, ``[total_tokens, total_tokens]`` for a
        packed one.

    Raises:
        ValueError: The batch is of the other kind.
    """
    variant = get_variant(variant)
    if variant.packed != isinstance(batch, PackedBatch):
        wanted = "a packed batch" if variant.packed else "a padded batch"
        raise ValueError(f"{variant.name} takes {wanted}, got {type(batch).__name__}")
    place = torch.arange(batch.q.shape[-2])
    later = (place[None, :] > place[:, None]) & variant.causal
    reasons = torch.where(later, int(Reason.CAUSAL), int(Reason.VISIBLE)).to(torch.int8)
    if isinstance(batch, PackedBatch):
        sequence = torch.repeat_interleave(torch.arange(len(batch.lengths)), torch.tensor(batch.lengths))
        return reasons.masked_fill(sequence[:, None] != sequence[None, :], int(Reason.OTHER_SEQUENCE))
    reasons = reasons.expand(batch.batch, -1, -1).clone()
    if batch.mask is None:
        return reasons
    return reasons.masked_fill(~batch.mask.cpu()[:, None, :], int(Reason.PADDING))


def borders(batch: PaddedBatch | PackedBatch) -> list[int]:
    """Where one packed sequence ends and the next begins; an empty sequence has no borders of its own."""
    if not isinstance(batch, PackedBatch):
        return []
    return sorted(set(batch.cu_seqlens.tolist()) - {0, batch.total_tokens})
