"""The reference: softmax(QKᵀ/√head_dim)V in float64, for padded and for packed inputs.

Source of the formula: Vaswani et al., *Attention Is All You Need* (2017), equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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


def visible_keys(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Which key each query may see.

    Returns:
        bool ``[batch, seq, seq]`` for padded inputs, ``[total_tokens, total_tokens]`` for packed ones.
        Rows are queries, columns keys.
    """
    q = arguments["q"]
    length = q.shape[-2]
    ones = torch.ones(length, length, dtype=torch.bool)
    triangle = ones.tril() if variant.causal else ones
    if variant.packed:
        cu_seqlens = arguments["cu_seqlens"].long()
        sequence = torch.repeat_interleave(torch.arange(len(cu_seqlens) - 1), cu_seqlens.diff())
        return (sequence[:, None] == sequence[None, :]) & triangle
    visible = triangle.expand(q.shape[0], -1, -1)
    mask = arguments.get("mask")
    return visible if mask is None else visible & mask[:, None, :]


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


def attend(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Compute the attention of one call's arguments; they may be of any dtype and layout.

    Args:
        variant: One of the six.
        arguments: The arguments of the learner's function by name.

    Returns:
        float64, shape of ``q``.
    """
    q, k, v = (split_heads(arguments, name) for name in ("q", "k", "v"))
    weights = masked_softmax(scaled_scores(q, k), visible_keys(variant, arguments).unsqueeze(-3))
    return (weights @ v).transpose(-3, -2).flatten(-2)


def split_heads(arguments: dict[str, Any], name: str) -> Tensor:
    """One of q, k and v in float64: ``[..., tokens, hidden_dim]`` becomes ``[..., num_heads, tokens, head_dim]``."""
    sizes = (arguments["num_heads"], arguments["head_dim"])
    return arguments[name].double().unflatten(-1, sizes).transpose(-3, -2)


def scaled_scores(q: Tensor, k: Tensor) -> Tensor:
    """QKᵀ/√head_dim: ``[..., queries, keys]``."""
    return q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5


def real_tokens(arguments: dict[str, Any]) -> Tensor:
    """bool, shape of ``q`` without its last dimension: where outputs are judged."""
    mask = arguments.get("mask")
    return torch.ones(arguments["q"].shape[:-1], dtype=torch.bool) if mask is None else mask


def expect(variant: Variant, arguments: dict[str, Any], cotangent: Tensor | None = None) -> Expected:
    """What a right function gives for these arguments, and for this gradient of its output.

    Args:
        variant: One of the six.
        arguments: The arguments of the learner's function by name.
        cotangent: Gradient with respect to the output, shape of ``q``; zero where nobody reads it.
    """
    read = real_tokens(arguments)
    scores = scaled_scores(split_heads(arguments, "q").detach(), split_heads(arguments, "k").detach())
    largest = float(scores.abs().amax()) if scores.numel() else 0.0
    if cotangent is None:
        return Expected(attend(variant, arguments), read, {}, largest)
    leaves = {name: arguments[name].double().detach().requires_grad_() for name in ("q", "k", "v")}
    output = attend(variant, arguments | leaves)
    gradients = torch.autograd.grad(output, list(leaves.values()), cotangent.double())
    return Expected(output.detach(), read, dict(zip(leaves, gradients, strict=True)), largest)
