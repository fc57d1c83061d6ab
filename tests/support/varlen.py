"""PyTorch's ``varlen_attn`` of two versions, computed by the stand-in: what the adapter would find on a GPU."""

from __future__ import annotations

from typing import NamedTuple

from attention_lab.flash.stand_in import flash_attn_varlen_stand_in


class AuxRequest(NamedTuple):
    lse: bool = False


def _varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, return_aux):
    if query.shape[-1] % 8 or any(x.stride(-1) != 1 for x in (query, key, value)):
        raise RuntimeError("as the kernel says")
    output, lse, _ = flash_attn_varlen_stand_in(
        query,
        key,
        value,
        cu_seq_q,
        cu_seq_k,
        max_q,
        max_k,
        softmax_scale=scale,
        window_size=window_size,
        return_attn_probs=True,
    )
    return (output, lse) if return_aux is not None and return_aux.lse else output


def varlen_2_10(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None):
    window = (-1, 0 if is_causal else -1)
    borders = (cu_seq_q, cu_seq_k, max_q, max_k)
    return _varlen(query, key, value, *borders, scale=None, window_size=window, return_aux=return_aux)


def varlen_2_11(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)
):
    borders = (cu_seq_q, cu_seq_k, max_q, max_k)
    return _varlen(query, key, value, *borders, scale=scale, window_size=window_size, return_aux=return_aux)
