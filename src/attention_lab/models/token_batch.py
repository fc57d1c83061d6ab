"""Token ids of several texts, padded or packed, with what an attention function is told about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from attention_lab.inputs import borders_as, pack
from attention_lab.variants import Inputs


@dataclass(frozen=True)
class TokenBatch:
    """Texts as a model takes them.

    Attributes:
        ids: int64 ``[batch, seq]``, or packed ``[total_tokens]``.
        positions: int64, the same shape: each token's place in its text, from 0.
        mask: bool ``[batch, seq]``, ``True`` at real tokens: padded, how the texts lie; packed, how they would.
        layout: The attention function's last arguments: ``mask``, or what tells packed texts apart.
        inputs: The kind of inputs that this is.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    layout: Mapping[str, Any]
    inputs: Inputs = "padded"

    @property
    def packed(self) -> bool:
        return self.ids.dim() == 1

    def given_as(self, inputs: Inputs) -> TokenBatch:
        """The same packed batch as another kind of inputs takes it."""
        layout = borders_as(inputs, self.mask.sum(dim=1).tolist(), self.ids.device)
        return replace(self, layout=layout, inputs=inputs)

    def real(self, x: Tensor) -> Tensor:
        """What a model gave at the real tokens: ``[batch, seq, ...]`` or ``[total_tokens, ...]`` to the latter."""
        return x if self.packed else pack(x, self.mask)[0]


def padded_tokens(texts: Sequence[Sequence[int]], pad: int = 0, device: torch.device | str | None = None) -> TokenBatch:
    """Pad texts on the right to one length.

    Args:
        texts: Token ids of each.
        pad: The id that stands for padding.
        device: Where the tensors live; the CPU by default.

    Raises:
        ValueError: There is no text, or none with a token.
    """
    if not any(texts):
        raise ValueError("there must be at least one text with a token")
    seq = max(map(len, texts))
    ids = torch.tensor([[*text, *[pad] * (seq - len(text))] for text in texts], device=device)
    places = torch.arange(seq, device=device)
    mask = places < torch.tensor([len(text) for text in texts], device=device)[:, None]  # [batch, seq]
    return TokenBatch(ids, places.expand_as(ids), mask, {"mask": mask})


def packed_tokens(texts: Sequence[Sequence[int]], device: torch.device | str | None = None) -> TokenBatch:
    """Lay texts end to end; each counts its positions from 0.

    Raises:
        ValueError: There is no text, or none with a token.
    """
    padded = padded_tokens(texts, device=device)
    packed = TokenBatch(padded.ids[padded.mask], padded.positions[padded.mask], padded.mask, {})
    return packed.given_as("packed")
