"""A right answer as text, and right functions made from the reference."""

from __future__ import annotations

import torch

from attention_grading.reference import attend
from attention_lab import get_variant
from attention_lab.roles import by_role

# To the task ``eager_causal``; tests spoil it by replacing a line
RIGHT = """
def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
"""


def right(name: str):
    """A right function of a variant."""
    variant = get_variant(name)

    def function(*by_place, **named):
        arguments = dict.fromkeys(variant.optional) | dict(zip(variant.parameters, by_place, strict=False))
        if variant.cached and by_place:
            arguments |= {x: arguments[x].flatten(-2) for x in ("k", "v")}
        arguments |= by_role(named)
        q = arguments["q"]
        if q.device.type == "meta":
            return torch.empty_like(q)
        return attend(variant, arguments).to(q.dtype)

    return function
