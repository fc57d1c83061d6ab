"""Draws docs/attention_map.png, the picture in README.md: a causal function that forgot its triangle in one head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from attention_lab import attention_heatmap, attention_map, padded_batch


def half_causal(q: Tensor, k: Tensor, v: Tensor, num_heads: int, head_dim: int, mask: Tensor | None = None) -> Tensor:
    """Uniform weights on the visible keys; the last head sees later tokens too."""
    seq = q.shape[1]
    visible = torch.ones(num_heads, seq, seq, dtype=torch.bool).tril()
    visible[-1] = True
    allowed = (visible & (mask[:, None, None, :] if mask is not None else True)).float()
    noise = torch.rand(allowed.shape, generator=torch.Generator().manual_seed(1)) + 0.1
    weights = allowed * noise / (allowed * noise).sum(-1, keepdim=True).clamp_min(1e-9)
    values = v.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)
    return (weights @ values).transpose(1, 2).flatten(2)


if __name__ == "__main__":
    batch = padded_batch()
    figure = attention_heatmap("eager_causal", batch, attention_map(half_causal, batch), item=1)
    Path(__file__).with_suffix(".png").write_bytes(figure._repr_png_())
