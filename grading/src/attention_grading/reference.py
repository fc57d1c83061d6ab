"""The reference: softmax(QKᵀ/√head_dim)V in float64, for padded, packed and cached inputs.

Source of the formula: Vaswani et al., *Attention Is All You Need* (2017), equation 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attention_lab.rules import real_tokens, visible_keys
from attention_lab.variants import Variant


@dataclass(frozen=True)
class Expected:
    """What a right function gives.

    Attributes:
        output: float64, shape of ``q``; 0 at rows that see no key.
        read: bool, shape of ``q`` without its last dimension; ``True`` at real tokens, where values are judged.
        gradients: float64 gradients of ``q``, ``k``, ``v`` by name; empty without a cotangent.
        largest_score: The largest |score| after scaling, of any query with any key.
    """

    output: Tensor
    read: Tensor
    gradients: dict[str, Tensor]
    largest_score: float


def masked_softmax(scores: Tensor, visible: Tensor) -> Tensor:
    """Softmax over the visible keys; a row that sees no key gets zeros, and zero gradients.

    Args:
        scores: ``[..., queries, keys]``.
        visible: bool, broadcastable to the scores.

    Returns:
        The weights, same shape as the scores.
    """
    empty = ~visible.any(dim=-1, keepdim=True)
    filled = scores.masked_fill(~visible, float("-inf")).masked_fill(empty, 0.0)
    return filled.softmax(dim=-1).masked_fill(~visible, 0.0)


def attend(variant: Variant, arguments: Mapping[str, Any]) -> Tensor:
    """Compute the attention of one call's arguments; they may be of any dtype and layout.

    Args:
        variant: Which function's rules.
        arguments: The arguments of the learner's function by name.

    Returns:
        float64, shape of ``q``.
    """
    q, k, v = (split_heads(arguments, name) for name in ("q", "k", "v"))
    weights = masked_softmax(scaled_scores(q, k), visible_keys(variant.rules, arguments).unsqueeze(-3))
    return (weights @ v).transpose(-3, -2).flatten(-2)


def split_heads(arguments: Mapping[str, Any], name: str) -> Tensor:
    """One of q, k and v in float64, head by head: ``[..., num_heads, tokens, head_dim]``.

    In places of a cache that hold no token there are zeros: what lies there must not come in, be it NaN.
    """
    x = arguments[name].double()
    if name != "q" and "cache_seqlens" in arguments:
        used = torch.arange(x.shape[-2]) < arguments["cache_seqlens"].cpu()[:, None]
        x = torch.where(used[..., None].to(x.device), x, 0.0)
    return heads_of(x, arguments["num_heads"], arguments["head_dim"])


def heads_of(x: Tensor, num_heads: int, head_dim: int) -> Tensor:
    """``[..., tokens, width]`` becomes ``[..., num_heads, tokens, head_dim]``; x may have fewer heads."""
    return shared_heads(x.unflatten(-1, (-1, head_dim)).transpose(-3, -2), num_heads)


def shared_heads(heads: Tensor, num_heads: int) -> Tensor:
    """Each head serves a group of neighbouring query heads: ``[..., num_heads, tokens, head_dim]``."""
    return heads if heads.shape[-3] == num_heads else heads.repeat_interleave(num_heads // heads.shape[-3], dim=-3)


def scaled_scores(q: Tensor, k: Tensor) -> Tensor:
    """QKᵀ/√head_dim: ``[..., queries, keys]``."""
    scores: Tensor = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    return scores


def expect(variant: Variant, arguments: Mapping[str, Any], cotangent: Tensor | None = None) -> Expected:
    """What a right function gives for these arguments, and for this gradient of its output.

    Args:
        variant: Which function's rules.
        arguments: The arguments of the learner's function by name.
        cotangent: Gradient with respect to the output, shape of ``q``; zero where nobody reads it.
    """
    read = real_tokens(arguments)
    scores = scaled_scores(split_heads(arguments, "q").detach(), split_heads(arguments, "k").detach())
    largest = float(scores.abs().amax()) if scores.numel() else 0.0
    if cotangent is None:
        return Expected(attend(variant, arguments), read, {}, largest)
    leaves = {name: arguments[name].double().detach().requires_grad_() for name in ("q", "k", "v")}
    output = attend(variant, {**arguments, **leaves})
    gradients = torch.autograd.grad(output, list(leaves.values()), cotangent.double())
    return Expected(output.detach(), read, dict(zip(leaves, gradients, strict=True)), largest)
