"""Where a causal triangle lies when there are fewer queries than keys: where it must, and where kernels put it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lab.flash import flash_attn_varlen_func, flash_route
from attention_lab.pictures.drawing import HIDDEN, SEEN, WRONG, Picture, blank, box, grid, words
from attention_lab.rules import visible_keys

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


def cached_alignments(new: int, length: int, max_len: int) -> Picture:
    """Draw what new tokens must see of a cache, and beside it what SDPA's ``is_causal`` shows them.

    Args:
        new: Tokens that ask, the last of the cache.
        length: Tokens in the cache, the new ones counted.
        max_len: Places of the cache; eight at most.

    Returns:
        The picture; its ``caption`` is its alternative text.
    """
    shapes = {"q": torch.zeros(1, new, 1), "k": torch.zeros(1, max_len, 1), "cache_seqlens": torch.tensor([length])}
    must = visible_keys(("causal", "unused"), shapes)[0]
    does = _sdpa_weights(new, max_len) > 0
    panels = {
        "the triangle ends at the last token": torch.where(must, SEES, SEES_NOT),
        "SDPA, is_causal=True": torch.where(must & ~does, MISSES, torch.where(does, SEES, SEES_NOT)),
    }
    said = (
        f"The last of {new} new tokens must see {int(must[-1].sum())} of {max_len} places, of which {length} are used"
    )
    caption = f"{said}; is_causal=True shows it {int(does[-1].sum())}, and hides {int((must & ~does)[-1].sum())}."
    picture, axes = blank(WIDTH, HEIGHT, caption)
    cell = min(0.36, 2.35 / max_len, 1.2 / new)
    for middle, (name, table) in zip((1.95, 5.25), panels.items(), strict=True):
        x, top = middle - max_len * cell / 2 + 0.25, 1.35 + new * cell / 2
        grid(axes, x, top, cell, [[_COLOURS[state] for state in row] for row in table.tolist()])
        words(axes, middle, 2.12, name, fontweight="bold")
        for query in range(new):
            words(axes, x - 0.08, top - (query + 0.5) * cell, f"query {query}", ha="right", fontsize=9)
        for key in range(max_len):
            words(axes, x + (key + 0.5) * cell, top - new * cell - 0.14, f"{key}", fontsize=9)
        words(axes, x + max_len * cell / 2, top - new * cell - 0.38, "places of the cache", fontsize=9)
    for number, (state, name) in enumerate(_NAMES.items()):
        left = 1.2 + number * 1.65
        box(axes, left, 0.1, 0.22, 0.22, "", _COLOURS[state])
        words(axes, left + 0.28, 0.21, name, ha="left", fontsize=9)
    return picture


SEES_NOT, SEES, MISSES = 0, 1, 2
_COLOURS = {SEES: SEEN, SEES_NOT: HIDDEN, MISSES: WRONG}
_NAMES = {SEES: "seen", SEES_NOT: "later, or unused", MISSES: "wrongly hidden"}


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
