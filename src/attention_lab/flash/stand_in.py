"""A stand-in for flash-attn's ``flash_attn_varlen_func`` in plain PyTorch, for any device.

It accepts and rejects what the real kernel (flash-attn 2.8) does, with errors that say how to mend the call. It is
stricter only where the real kernel would be silently wrong or undefined, and for the arguments that it lists as
unsupported. Source of the signature: flash-attention's repository, ``flash_attn_interface.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_HEAD_DIM = 256
# Queries whose scores are held at once: all of a sequence's would fill memory with the square of its length
BLOCK = 128


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
    require_window(window_size)
    if q.device.type == "meta":  # no data to compute with
        output = torch.empty_like(q)
        lse = torch.empty(q.shape[1], q.shape[0], device="meta")
    else:
        starts = require_borders(q, k, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
        scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
        how = How(scale, causal, window_size, softcap, dropout_p, return_attn_probs)
        output, lse = _attend(q, *expanded_heads(q, k, v), *starts, how, asked)
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


@dataclass(frozen=True)
class How:
    """What a call asks for besides its tensors; see ``flash_attn_varlen_stand_in``."""

    scale: float
    causal: bool = False
    window_size: tuple[int, int] = (-1, -1)
    softcap: float = 0.0
    dropout_p: float = 0.0
    with_lse: bool = False

    @property
    def reach(self) -> tuple[int | None, int | None]:
        """How many keys a query sees to the left and to the right of its own place; ``None``: all."""
        left, right = self.window_size
        return None if left < 0 else left, 0 if self.causal else None if right < 0 else right

    def keys_of(self, queries: range, total: int) -> range:
        """Where the keys lie that any of these queries sees, of so many; places are counted along the keys."""
        left, right = self.reach
        first = 0 if left is None else queries.start - left
        last = total if right is None else queries.stop + right
        return range(*(min(max(place, 0), total) for place in (first, last)))

    def hidden(self, queries: range, keys: range, device: torch.device) -> Tensor | None:
        """Which of the keys each query does not see, bool ``[queries, keys]``; ``None``: it sees them all."""
        (left, right), away = self.reach, queries.start - keys.start
        if left is None and right is None:
            return None
        everything = torch.ones(len(queries), len(keys), dtype=torch.bool, device=device)
        too_late = None if right is None else everything.triu(away + right + 1)
        if left is None:
            return too_late
        too_early = everything.tril(away - left - 1)
        return too_early if too_late is None else too_early | too_late

    def blind(self, queries: range, total: int) -> int:
        """How many of these queries, the first ones, see no key although there are so many."""
        right = self.reach[1]
        return 0 if right is None or not total else min(max(-right - queries.start, 0), len(queries))


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    starts_q: Sequence[int],
    starts_k: Sequence[int],
    how: How,
    asked: dict[str, Any] | None = None,
) -> tuple[Tensor, Tensor]:
    """Output and, if asked for, log-sum-exp; in float32 inside, as the real kernel.

    No table of all scores is ever held: it goes through the sequences one by one, a block of queries at a time.
    """
    # [total, num_heads, head_dim] -> for each sequence [num_heads, length, head_dim]
    queries = (q.float() * how.scale).transpose(0, 1).split(lengths_of(starts_q), dim=1)
    keys, values = (x.float().transpose(0, 1).split(lengths_of(starts_k), dim=1) for x in (k, v))
    blocks = []
    for all_queries, own_keys, own_values in zip(queries, keys, values, strict=True):
        # the last query sits at the last key, as in flash-attn since 2.1
        first = own_keys.shape[1] - all_queries.shape[1]
        for block in all_queries.split(BLOCK, dim=1):
            blocks.append(_attend_block(block, own_keys, own_values, first, how))
            first += block.shape[1]
    output, lse = (torch.cat(parts, dim=1) for parts in zip(*blocks, strict=True))
    return shown(output.transpose(0, 1).to(q.dtype).contiguous(), asked or {}), lse


def _attend_block(queries: Tensor, keys: Tensor, values: Tensor, first: int, how: How) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp of a sequence's queries, the first of them at this place along its keys."""
    places = range(first, first + queries.shape[1])
    blind = how.blind(places, keys.shape[1])  # they get zeros; a softmax of nothing would be NaN, on the way back too
    places, queries = places[blind:], queries[:, blind:]
    near = how.keys_of(places, keys.shape[1])
    keys, values = (x[:, near.start : near.stop] for x in (keys, values))
    scores = torch.matmul(queries, keys.transpose(1, 2))
    if how.softcap > 0.0:
        scores = how.softcap * torch.tanh(scores / how.softcap)
    hidden = how.hidden(places, near, queries.device)
    if hidden is not None:
        scores = scores.masked_fill(hidden, float("-inf"))
    weights = scores.softmax(dim=-1)
    if how.dropout_p > 0.0:
        weights = torch.dropout(weights, how.dropout_p, True)
    output = torch.matmul(weights, values)
    lse = scores.detach().logsumexp(dim=-1) if how.with_lse and near else scores.new_full(scores.shape[:2], torch.inf)
    if blind:
        output, lse = F.pad(output, (0, 0, blind, 0)), F.pad(lse, (blind, 0), value=torch.inf)
    return output, lse


def lengths_of(starts: Sequence[int]) -> list[int]:
    """The lengths of the sequences between their borders."""
    return [end - start for start, end in itertools.pairwise(starts)]


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


def require_window(window_size: Any) -> None:
    """Reject a window that is no pair of integers, as the real kernel does.

    Raises:
        TypeError: It is a number, holds other than two, or others than integers.
    """
    is_pair = isinstance(window_size, list | tuple) and len(window_size) == 2
    if not (is_pair and all(map(_is_integer, window_size))):
        raise TypeError(
            f"window_size must be a pair of integers, (left, right), got {window_size}: how many keys a query sees "
            "before its own and behind it; -1 is no limit"
        )


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
        ValueError: The real kernel would silently read past the tensors, or leave tokens out.
    """
    starts_q = _require_fit("q", q, cu_seqlens_q, max_seqlen_q)
    if cu_seqlens_k is cu_seqlens_q and k.shape[0] == q.shape[0] and int(max_seqlen_k) >= int(max_seqlen_q):
        return starts_q, starts_q
    return starts_q, _require_fit("k", k, cu_seqlens_k, max_seqlen_k)


def _require_fit(name: str, x: Tensor, cu_seqlens: Tensor, max_seqlen: Any) -> list[int]:
    starts = cu_seqlens.tolist()
    lengths = lengths_of(starts)
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
