"""PyTorch's own FlashAttention behind flash-attn's signature.

Source: the documentation of ``torch.nn.attention.varlen.varlen_attn``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from attention_lab.flash_stand_in import expanded_heads, require_arguments


def adapt(varlen_attn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrap ``varlen_attn`` in flash-attn's signature.

    Args:
        varlen_attn: PyTorch's function; torch 2.10 takes ``is_causal``, torch 2.12 ``window_size``.

    Returns:
        A function with the signature of ``flash_attn_varlen_func``.
    """
    takes_window = "window_size" in inspect.signature(varlen_attn).parameters

    def flash_attn_varlen_func(
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
    ) -> Tensor:
        """Attention over packed sequences; see ``attention_lab.flash_stand_in`` for arguments and errors."""
        refused = {
            "dropout_p": dropout_p != 0.0,
            "softcap": softcap != 0.0,
            "alibi_slopes": alibi_slopes is not None,
            "return_attn_probs": return_attn_probs,
            "block_table": block_table is not None,
            "window_size": tuple(window_size) not in ((-1, -1), (-1, 0)) and not takes_window,
        }
        for name, is_used in refused.items():
            if is_used:
                raise NotImplementedError(f"{name} is not supported by PyTorch's varlen_attn; leave it at its default")
        require_arguments(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
        if q.shape[0] == 0:
            return q.clone()
        window = (window_size[0], 0) if causal else tuple(window_size)
        options: dict[str, Any] = {"window_size": window} if takes_window else {"is_causal": window == (-1, 0)}
        head_dim = q.shape[-1]
        k, v = expanded_heads(q, k, v)
        padding = -head_dim % 8  # the kernel wants a multiple of 8; zeros change neither scores nor output
        if padding:
            q, k, v = (F.pad(x, (0, padding)) for x in (q, k, v))
        scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
        output = varlen_attn(
            q, k, v, cu_seqlens_q, cu_seqlens_k, int(max_seqlen_q), int(max_seqlen_k), scale=scale, **options
        )
        return output[..., :head_dim] if padding else output

    return flash_attn_varlen_func
