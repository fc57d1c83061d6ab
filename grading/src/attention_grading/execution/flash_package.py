"""A ``flash_attn`` package for machines without one, so that learners' imports of it work wherever they are judged."""

from __future__ import annotations

import types
from importlib.machinery import ModuleSpec
from typing import Any

from torch import Tensor

from attention_grading.execution.kernel_hooks import another_form
from attention_lab.flash import flash_attn_varlen_func
from attention_lab.inputs import running_sum


def build() -> tuple[types.ModuleType, types.ModuleType]:
    """``flash_attn`` and ``flash_attn.flash_attn_interface``.

    ``flash_attn_varlen_func`` is the course's own. The other forms compute the same numbers as another kernel's,
    because the notebooks ask for the variable-length one and no other.
    """
    package: Any = types.ModuleType("flash_attn")
    interface: Any = types.ModuleType("flash_attn.flash_attn_interface")
    for module in (package, interface):
        module.__spec__ = ModuleSpec(module.__name__, None)  # transformers looks for packages by their specs
        for function in (
            flash_attn_varlen_func,
            flash_attn_func,
            flash_attn_kvpacked_func,
            flash_attn_qkvpacked_func,
            flash_attn_varlen_kvpacked_func,
            flash_attn_varlen_qkvpacked_func,
        ):
            setattr(module, function.__name__, function)
        module.flash_attn_varlen_func = flash_attn_varlen_func  # whatever the route's own name is
    package.__path__ = []
    package.__version__ = "2.8.3"
    package.flash_attn_interface = interface
    return package, interface


def flash_attn_func(q: Tensor, k: Tensor, v: Tensor, *options: Any, **named: Any) -> Tensor:
    """Padded form: ``[batch, seq, num_heads, head_dim]``."""
    batch, queries, keys = q.shape[0], q.shape[1], k.shape[1]
    cu_q, cu_k = running_sum([queries] * batch, q.device), running_sum([keys] * batch, q.device)
    packed = (x.flatten(0, 1) for x in (q, k, v))
    output: Tensor = _another(*packed, cu_q, cu_k, queries, keys, *options, **named).unflatten(0, (batch, queries))
    return output


def flash_attn_kvpacked_func(q: Tensor, kv: Tensor, *options: Any, **named: Any) -> Tensor:
    """Padded form with keys and values in one tensor ``[batch, seq, 2, num_heads, head_dim]``."""
    return flash_attn_func(q, *kv.unbind(2), *options, **named)


def flash_attn_qkvpacked_func(qkv: Tensor, *options: Any, **named: Any) -> Tensor:
    """Padded form with all three in one tensor ``[batch, seq, 3, num_heads, head_dim]``."""
    return flash_attn_func(*qkv.unbind(2), *options, **named)


def flash_attn_varlen_kvpacked_func(q: Tensor, kv: Tensor, *options: Any, **named: Any) -> Tensor:
    """Packed form with keys and values in one tensor ``[total_tokens, 2, num_heads, head_dim]``."""
    return _another(q, *kv.unbind(1), *options, **named)


def flash_attn_varlen_qkvpacked_func(
    qkv: Tensor, cu_seqlens: Tensor, max_seqlen: int, *options: Any, **named: Any
) -> Tensor:
    """Packed form with all three in one tensor ``[total_tokens, 3, num_heads, head_dim]``."""
    return _another(*qkv.unbind(1), cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, *options, **named)


def _another(*arguments: Any, **named: Any) -> Tensor:
    with another_form():
        output: Tensor = flash_attn_varlen_func(*arguments, **named)
    return output
