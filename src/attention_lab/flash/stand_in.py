"""A stand-in for flash-attn's ``flash_attn_varlen_func`` in plain PyTorch, for any device.

It accepts and rejects what the real kernel (flash-attn 2.8) does, with errors that say how to mend the call. It is
stricter only where the real kernel would be silently wrong or undefined, and for the arguments that it lists as
unsupported. Source of the signature: flash-attention's repository, ``flash_attn_interface.py``.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

MAX_HEAD_DIM = 256


def flash_attn_varlen_stand_in(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    block_table: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Attention over packed sequences: each token sees the tokens of its own sequence.

    Args:
        q: Queries, fp16 or bf16 ``[total_q, num_heads, head_dim]``.
        k: Keys ``[total_k, num_kv_heads, head_dim]``; ``num_heads`` is a multiple of ``num_kv_heads``.
        v: Values, same shape as ``k``.
        cu_seqlens_q: int32 ``[batch + 1]``, the running sum of the queries' sequence lengths, from 0.
        cu_seqlens_k: int32 ``[batch + 1]``, the same of the keys'.
        max_seqlen_q: The longest of the queries' sequences.
        max_seqlen_k: The longest of the keys' sequences.
        dropout_p: Probability with which a weight is dropped; this course leaves it at 0.
        softmax_scale: Factor on the scores; ``1/√head_dim`` by default.
        causal: Whether a query sees only keys up to its own place, counted from the sequences' ends.
        window_size: How many keys to the left and to the right a query sees; -1: all.
        softcap: Where positive, scores become ``softcap * tanh(scores / softcap)``.
        alibi_slopes: Unsupported.
        deterministic: Accepted; the stand-in is always deterministic.
        return_attn_probs: Whether to return the log-sum-exp of the scores too.
        block_table: Unsupported.

    Returns:
        ``[total_q, num_heads, head_dim]``, the dtype of ``q``; zeros for a query that sees no key. With
        ``return_attn_probs`` the output, the log-sum-exp (float32 ``[num_heads, total_q]``) and an empty tensor.

    Raises:
        RuntimeError: As the real kernel: wrong dtypes, devices, shapes or head counts.
        IndexError: As the real kernel: ``q`` has two dimensions.
        ValueError: ``cu_seqlens`` or ``max_seqlen`` do not fit the tensors; the real kernel would be silently wrong.
        NotImplementedError: An unsupported argument is used.
    """
    asked = dict(locals())
    for name, value in (("alibi_slopes", alibi_slopes), ("block_table", block_table)):
        if value is not None:
            raise NotImplementedError(f"{name} is not supported by the stand-in; leave it at None")
    if not 0.0 <= dropout_p < 1.0:
        raise RuntimeError(f"dropout_p must lie in [0, 1), got {dropout_p}; this course uses no dropout")
    require_arguments(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    if q.device.type == "meta":  # no data to compute with
        output = torch.empty_like(q)
        lse = torch.empty(q.shape[1], q.shape[0], device="meta")
    else:
        starts_q, starts_k = require_borders(q, k, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
        visible = visible_keys(starts_q, starts_k, causal, window_size).to(q.device)
        scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
        output, lse = _attend(q, *expanded_heads(q, k, v), visible, scale, softcap, dropout_p, asked)
    return (output, lse, torch.empty(0, dtype=q.dtype, device=q.device)) if return_attn_probs else output


# what Python calls it where an argument is missing
flash_attn_varlen_stand_in.__name__ = flash_attn_varlen_stand_in.__qualname__ = "flash_attn_varlen_func"


# ---- computation -----------------------------------------------------------------------------------------------------


def shown(output: Tensor, asked: dict[str, Any]) -> Tensor:
    """What a kernel gives, on its way out: a grader that wants to know which one made an output looks at it here.

    Args:
        output: The result.
        asked: The arguments of ``flash_attn_varlen_func`` by name; none where it was not what was called.
    """
    return output


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    visible: Tensor,
    scale: float,
    softcap: float,
    dropout_p: float,
    asked: dict[str, Any] | None = None,
) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp; in float32 inside, as the real kernel. ``visible``: ``[total_q, total_k]``."""
    # [total, num_heads, head_dim] -> [num_heads, total, head_dim]
    queries, keys, values = (x.float().transpose(0, 1) for x in (q, k, v))
    scores = torch.matmul(queries * scale, keys.transpose(1, 2))
    if softcap > 0.0:
        scores = softcap * torch.tanh(scores / softcap)
    empty = ~visible.any(dim=1)  # [total_q]: such a query gets zeros, and no NaN on the way back
    scores = scores.masked_fill(~(visible | empty[:, None]), float("-inf"))
    lse = scores.detach().logsumexp(dim=-1).masked_fill(empty, float("inf"))
    weights = scores.softmax(dim=-1).masked_fill(empty[:, None], 0.0)
    if dropout_p > 0.0:
        weights = torch.dropout(weights, dropout_p, True)
    output = torch.matmul(weights, values).transpose(0, 1).to(q.dtype).contiguous() if k.shape[0] else q * 0
    return shown(output, asked or {}), lse


def visible_keys(starts_q: list[int], starts_k: list[int], causal: bool, window_size: tuple[int, int]) -> Tensor:
    """Which key each query sees, bool ``[total_q, total_k]``: those of its own sequence, within the window.

    The places of queries and keys are counted from the end of their sequences, as flash-attn does since 2.1.
    """
    left, right = window_size
    if causal:
        right = 0
    sequence_q, place_q = _places(starts_q)
    sequence_k, place_k = _places(starts_k)
    visible = sequence_q[:, None] == sequence_k[None, :]
    distance = place_k[None, :] - place_q[:, None]
    if left >= 0:
        visible &= distance >= -left
    if right >= 0:
        visible &= distance <= right
    return visible


def _places(starts: list[int]) -> tuple[Tensor, Tensor]:
    """For each token the number of its sequence, and its place counted from that sequence's end."""
    ends = torch.tensor(starts[1:], dtype=torch.long)
    lengths = ends - torch.tensor(starts[:-1], dtype=torch.long)
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return sequence, torch.arange(starts[-1]) - ends[sequence]


def expanded_heads(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values with as many heads as the queries (grouped-query attention)."""
    groups = q.shape[1] // k.shape[1]
    if groups == 1:
        return k, v
    return k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)


# ---- what the real kernel rejects ------------------------------------------------------------------------------------


def require_arguments(
    q: Any, k: Any, v: Any, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: Any, max_seqlen_k: Any
) -> None:
    """Reject what the real kernel rejects, without looking at data."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(x).__name__}")
    _require_shapes(q, k, v)
    if q.dtype not in (torch.float16, torch.bfloat16):
        raise RuntimeError(f"FlashAttention takes fp16 and bf16 only, got {_name(q.dtype)}; convert q, k and v first")
    for name, x in (("key", k), ("value", v)):
        if x.dtype != q.dtype:
            raise RuntimeError(
                f"query and {name} must have the same dtype, got {_name(q.dtype)} and {_name(x.dtype)}; "
                "convert all three to the same"
            )
    _require_cu_seqlens("cu_seqlens_q", cu_seqlens_q, q)
    if cu_seqlens_k is not cu_seqlens_q:
        _require_cu_seqlens("cu_seqlens_k", cu_seqlens_k, q)
    if cu_seqlens_q.shape != cu_seqlens_k.shape:
        raise RuntimeError(
            f"cu_seqlens_k must have shape (batch_size + 1) as cu_seqlens_q has, got {list(cu_seqlens_k.shape)} "
            f"and {list(cu_seqlens_q.shape)}"
        )
    for name, length in (("max_seqlen_q", max_seqlen_q), ("max_seqlen_k", max_seqlen_k)):
        if not _is_integer(length):
            raise RuntimeError(f"{name} must be an integer, got {type(length).__name__} {length}")


def _require_shapes(q: Tensor, k: Tensor, v: Tensor) -> None:
    wanted = "q, k and v must be [total_tokens, num_heads, head_dim]"
    shape_q, shape_k, shape_v = q.shape, k.shape, v.shape
    if len(shape_q) < 3:
        raise IndexError(f"{wanted}, got {_shapes(q, k, v)}; split hidden_dim into num_heads and head_dim first")
    if len(shape_q) > 3 or len(shape_k) != 3 or len(shape_v) != 3:
        raise RuntimeError(f"{wanted}, got {_shapes(q, k, v)}; packed tokens have no batch dimension")
    if shape_k != shape_v or shape_k[2] != shape_q[2]:
        raise RuntimeError(f"{wanted} with one head_dim, and k and v alike; got {_shapes(q, k, v)}")
    if not 0 < shape_q[2] <= MAX_HEAD_DIM:
        raise RuntimeError(f"head_dim must lie between 1 and {MAX_HEAD_DIM}, got {shape_q[2]}")
    if shape_k[1] == 0 or shape_q[1] % shape_k[1]:
        got = _shapes(q, k, v)
        raise RuntimeError(f"the number of query heads must be a multiple of that of the key heads, got {got}")
    device = q.device
    for name, x in (("k", k), ("v", v)):
        if x.device != device:
            raise RuntimeError(f"q and {name} must be on the same device")


def _shapes(q: Tensor, k: Tensor, v: Tensor) -> str:
    return ", ".join(f"{name} {list(x.shape)}" for name, x in (("q", q), ("k", k), ("v", v)))


def _require_cu_seqlens(name: str, x: Any, q: Tensor) -> None:
    if not isinstance(x, Tensor):
        raise RuntimeError(f"{name} must be a tensor of dtype int32, got {type(x).__name__}")
    if x.dtype != torch.int32:
        raise RuntimeError(
            f"{name} must have dtype int32, got {_name(x.dtype)}; "
            "mind that cumsum of an int32 tensor gives int64 unless it is told a dtype"
        )
    if x.device != q.device:
        raise RuntimeError(f"{name} must be on the same device as q")
    if x.dim() != 1 or x.numel() < 2:
        raise RuntimeError(f"{name} must have shape (batch_size + 1), got {list(x.shape)}")
    if not x.is_contiguous():
        raise RuntimeError(f"{name} must be contiguous, and every {x.stride(0)}th number was taken; call contiguous()")


# ---- where the real kernel is silently wrong -------------------------------------------------------------------------


def require_borders(
    q: Tensor, k: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, max_seqlen_q: Any, max_seqlen_k: Any
) -> tuple[list[int], list[int]]:
    """Reject borders that do not fit the tensors; returns both ``cu_seqlens`` as lists.

    Raises:
        ValueError: The real kernel would read past the tensors, or leave tokens out, without a word.
    """
    starts_q = _require_fit("q", q, cu_seqlens_q, max_seqlen_q)
    if cu_seqlens_k is cu_seqlens_q and k.shape[0] == q.shape[0] and int(max_seqlen_k) >= int(max_seqlen_q):
        return starts_q, starts_q
    return starts_q, _require_fit("k", k, cu_seqlens_k, max_seqlen_k)


def _require_fit(name: str, x: Tensor, cu_seqlens: Tensor, max_seqlen: Any) -> list[int]:
    starts = cu_seqlens.tolist()
    lengths = [end - start for start, end in itertools.pairwise(starts)]
    if starts[0] != 0 or min(lengths) < 0:
        raise ValueError(f"cu_seqlens_{name} must start at 0 and never fall, got {starts[:8]}")
    if starts[-1] != x.shape[0]:
        raise ValueError(
            f"cu_seqlens_{name} ends at {starts[-1]}, but {name} has {x.shape[0]} tokens in its first dimension "
            f"({list(x.shape)}); if that is num_heads, the heads come first: flash-attn wants "
            "[total_tokens, num_heads, head_dim], without a transpose"
        )
    if int(max_seqlen) < max(lengths):
        raise ValueError(
            f"max_seqlen_{name} is {int(max_seqlen)}, but the longest sequence has {max(lengths)} tokens; "
            "the real kernel would silently leave tokens out"
        )
    return starts


def _is_integer(x: Any) -> bool:
    if isinstance(x, Tensor):
        return x.dim() == 0 and not x.is_floating_point() and x.dtype != torch.bool
    return hasattr(x, "__index__")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
