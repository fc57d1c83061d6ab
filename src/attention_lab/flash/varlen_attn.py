"""PyTorch's own FlashAttention behind flash-attn's signature.

Source: the documentation of ``torch.nn.attention.varlen.varlen_attn``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lab.flash import stand_in
from attention_lab.flash.stand_in import expanded_heads, require_arguments


def adapt(varlen_attn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``varlen_attn`` in flash-attn's signature.

    Args:
        varlen_attn: PyTorch's function; torch 2.10 takes ``is_causal`` and no ``scale``, later ones ``window_size``
            and ``scale``.

    Returns:
        A function with the signature of ``flash_attn_varlen_func``. It takes what the stand-in takes, except
        ``dropout_p`` and ``softcap``, on the GPU. ``deterministic`` is accepted; what decides is
        ``torch.use_deterministic_algorithms``.
    """
    parameters = inspect.signature(varlen_attn).parameters
    takes_window, takes_scale = "window_size" in parameters, "scale" in parameters

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
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Attention over packed sequences; see ``attention_lab.flash.stand_in`` for arguments and errors."""
        asked = dict(locals())
        stand_in.require_window(window_size)
        window = (window_size[0], 0) if causal else tuple(window_size)
        refused = {
            "dropout_p": dropout_p != 0.0,
            "softcap": softcap != 0.0,
            "alibi_slopes": alibi_slopes is not None,
            "block_table": block_table is not None,
            "window_size": window not in ((-1, -1), (-1, 0)) and not takes_window,
        }
        for name, is_used in refused.items():
            if is_used:
                raise NotImplementedError(f"{name} is not supported by PyTorch's varlen_attn; leave it at its default")
        require_arguments(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
        _require_gpu(q)
        if q.shape[0] == 0:
            lse = q.new_empty((q.shape[1], 0), dtype=torch.float32)
            return (q.clone(), lse, q.new_empty(0)) if return_attn_probs else q.clone()
        head_dim = q.shape[-1]
        k, v = expanded_heads(q, k, v)
        q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
        padding = -head_dim % 8  # the kernel wants a multiple of 8; zeros change neither scores nor output
        if padding:
            q, k, v = (F.pad(x, (0, padding)) for x in (q, k, v))
        scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
        options: dict[str, Any] = {"window_size": window} if takes_window else {"is_causal": window == (-1, 0)}
        if takes_scale:
            options["scale"] = scale
        elif scale != q.shape[-1] ** -0.5:
            q = q * (scale * q.shape[-1] ** 0.5)  # the kernel divides by √head_dim, the padded one
        if return_attn_probs:
            options["return_aux"] = _aux_request(varlen_attn)
        result = varlen_attn(q, k, v, cu_seqlens_q, cu_seqlens_k, int(max_seqlen_q), int(max_seqlen_k), **options)
        output, *more = result if return_attn_probs else (result,)
        output = stand_in.shown(output[..., :head_dim] if padding else output, asked)
        return (output, *more, q.new_empty(0)) if return_attn_probs else output

    return flash_attn_varlen_func


def _require_gpu(q: Tensor) -> None:
    if q.device.type not in ("cuda", "meta"):
        raise RuntimeError(
            f"the kernel behind flash_attn_varlen_func runs on the GPU alone, got q on {q.device}; "
            'make the inputs with device="cuda"'
        )


def _aux_request(varlen_attn: Callable[..., Any]) -> Any:
    """What asks ``varlen_attn`` for the log-sum-exp too; its class lies beside the function."""
    module = inspect.getmodule(varlen_attn)
    assert module is not None
    return module.AuxRequest(lse=True)
