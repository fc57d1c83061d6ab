"""Where a causal triangle lies when there are fewer queries than keys, asked of the kernels themselves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lab.flash import flash_attn_varlen_func, flash_route
from attention_lab.pictures.drawing import HIDDEN, SEEN, Picture, blank, grid, words

WIDTH, HEIGHT = 6.9, 2.3


def alignments(queries: int, keys: int) -> Picture:
    """Draw which keys have weight in SDPA's ``is_causal`` and in FlashAttention's ``causal``.

    Args:
        queries: How many queries.
        keys: How many keys; at least as many, and eight at most.

    Returns:
        The picture; its ``caption`` is its alternative text.
    """
    asked = {
        "SDPA, is_causal=True": _sdpa_weights(queries, keys),
        "flash_attn_varlen_func, causal": _flash_weights(queries, keys),
    }
    said = [
        f"{name}: the last of {queries} queries gives weight to {int((weights[-1] > 0).sum())} of {keys} keys."
        for name, weights in asked.items()
    ]
    picture, axes = blank(WIDTH, HEIGHT, " ".join(said))
    cell = min(0.44, 2.6 / keys, 1.2 / queries)
    for middle, (name, weights) in zip((1.95, 5.25), asked.items(), strict=True):
        x, top = middle - keys * cell / 2, 1.25 + queries * cell / 2
        grid(axes, x, top, cell, [[SEEN if weight > 0 else HIDDEN for weight in row] for row in weights.tolist()])
        words(axes, middle, 2.1, name, fontweight="bold")
        for query in range(queries):
            words(axes, x - 0.08, top - (query + 0.5) * cell, f"query {query}", ha="right", fontsize=9)
        for key in range(keys):
            words(axes, x + (key + 0.5) * cell, top - queries * cell - 0.14, f"{key}", fontsize=9)
        words(axes, middle, top - queries * cell - 0.36, "keys: blue ones have weight", fontsize=9)
    return picture


def _sdpa_weights(queries: int, keys: int) -> Tensor:
    """``[queries, keys]``: equal scores, and one-hot values that bring the weights out."""
    return F.scaled_dot_product_attention(
        torch.zeros(queries, keys), torch.zeros(keys, keys), torch.eye(keys), is_causal=True
    )


def _flash_weights(queries: int, keys: int) -> Tensor:
    """The same of one packed sequence and one head; ``head_dim`` is 8, which every kernel takes."""
    device = flash_route().device
    shape = {"dtype": torch.bfloat16, "device": device}
    one_hot = torch.eye(8, **shape)[:keys, None]  # [keys, 1 head, 8]
    of_queries, of_keys = (torch.tensor([0, length], dtype=torch.int32, device=device) for length in (queries, keys))
    output = flash_attn_varlen_func(
        torch.zeros(queries, 1, 8, **shape),
        torch.zeros(keys, 1, 8, **shape),
        one_hot,
        of_queries,
        of_keys,
        queries,
        keys,
        causal=True,
    )
    weights: Tensor = output[:, 0, :keys].float().cpu()
    return weights
