"""Mark the results of fused attention kernels, to see whether a function's output comes from them.

While a marked call runs, every fused kernel returns its true result times random factors, drawn anew for each call and
each of its rows. A function whose kernel does the work carries the factors in its output; one that computes the
attention by itself, or throws the kernel's result away, does not.

SDPA is caught in the dispatcher, where every alias ends. The flash stand-in and ``varlen_attn`` behind flash-attn's
signature are overridable torch functions, as are PyTorch's other fused functions, and are caught by a
``TorchFunctionMode``; the real flash-attn is caught at the autograd function through which ``flash_attn_varlen_func``,
and no other of its forms, reaches its kernel; flex attention in the registry of its operator.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# A kernel service takes the kernel's name ("sdpa", "flash" or "other") and its arguments, and returns the marked one;
# for "other" kernels, whose work it does not know, the only argument is their own ``output``
KernelService = Callable[[str, dict[str, Any]], Tensor]


@contextlib.contextmanager
def marked_kernels(service: KernelService) -> Iterator[None]:
    """Let a service compute or mark the results of fused attention kernels while the block runs.

    Args:
        service: Called with ``"sdpa"`` or ``"flash"`` and the kernel's arguments by name, or with ``"other"`` and what
            another fused kernel gave.
    """
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that a kernel is overridden: it is meant
        for operator, key, names, returns_tuple in _FUSED_OPERATORS:
            if hasattr(torch.ops.aten, operator):
                library.impl(operator, _substitute(service, names, returns_tuple), key, allow_override=True)
    try:
        with _FusedFunctionsMode(service), _marked_flash_attn(service), _marked_flex_attention(service):
            yield
    finally:
        library._destroy()


@contextlib.contextmanager
def _marked_flash_attn(service: KernelService) -> Iterator[None]:
    """Mark the real flash-attn, however a function has bound its name."""
    interface = sys.modules.get("flash_attn.flash_attn_interface")
    real = getattr(interface, "FlashAttnVarlenFunc", None)  # a package that stands in for it has none
    if real is None:
        yield
        return

    class Marked:
        @staticmethod
        def apply(*args: Any) -> Any:
            # the mode is off meanwhile: a service in this process may call the stand-in, which is not to be marked too
            with torch._C.DisableTorchFunction():
                return _marked_flash(service, real.apply(*args), dict(zip(FLASH_PARAMETERS, args, strict=False)))

    interface.FlashAttnVarlenFunc = Marked
    try:
        yield
    finally:
        interface.FlashAttnVarlenFunc = real


def _marked_flash(service: KernelService, true_result: Any, arguments: dict[str, Any]) -> Any:
    """The true result with its output replaced by the service's; the log-sum-exp, where there is one, stays."""
    return _with_output(true_result, service("flash", arguments).to(arguments["q"]))


# The public operator, and the ones below it that a function might call by name: dispatch key, names of the positional
# arguments after query, key and value, and whether the operator returns a tuple.
_FUSED_OPERATORS = (
    ("scaled_dot_product_attention", "CompositeImplicitAutograd", ("attn_mask", "dropout_p", "is_causal"), False),
    ("_scaled_dot_product_attention_math", "CompositeImplicitAutograd", ("attn_mask", "dropout_p", "is_causal"), True),
    ("_scaled_dot_product_flash_attention_for_cpu", "CPU", ("dropout_p", "is_causal"), True),
)


def _substitute(service: KernelService, names: tuple[str, ...], returns_tuple: bool) -> Callable[..., Any]:
    def kernel(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any) -> Any:
        given = dict(zip(names, rest, strict=False)) | named
        arguments = {"query": query, "key": key, "value": value} | {name: given.get(name) for name in SDPA_OPTIONS}
        result = service("sdpa", arguments).to(query)
        return (result, result.new_zeros(result.shape[:-1])) if returns_tuple else result

    return kernel


class _FusedFunctionsMode(TorchFunctionMode):
    def __init__(self, service: KernelService):
        super().__init__()
        self._service = service

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        true_result = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "").partition(".")[0]  # an overload is called name.overload
        if name in FLASH_NAMES:
            arguments = dict(zip(FLASH_PARAMETERS, args, strict=False)) | (kwargs or {})
            return _marked_flash(self._service, true_result, arguments)
        if name in OTHER_NAMES:
            return _marked_other(self._service, true_result)
        return true_result


@contextlib.contextmanager
def _marked_flex_attention(service: KernelService) -> Iterator[None]:
    """Exchange the operator that ``flex_attention`` ends in, for whoever imported it, compiled or not."""
    operator = getattr(sys.modules.get("torch._higher_order_ops.flex_attention"), "flex_attention", None)
    key = torch._C.DispatchKey.CompositeExplicitAutograd
    kernels, cached = getattr(operator, "py_kernels", {}), getattr(operator, "_dispatch_cache", {})
    true_kernel = kernels.get(key)
    if true_kernel is None:  # a PyTorch that has none, or keeps it elsewhere
        yield
        return
    kernels[key] = lambda *args, **kwargs: _marked_other(service, true_kernel(*args, **kwargs))
    cached.clear()
    try:
        yield
    finally:
        kernels[key] = true_kernel
        cached.clear()


def _marked_other(service: KernelService, result: Any) -> Any:
    output = result[0] if isinstance(result, tuple) else result
    if not isinstance(output, Tensor) or output.device.type == "meta":
        return result
    return _with_output(result, service("other", {"output": output}).to(output))


def _with_output(result: Any, output: Tensor) -> Any:
    return (output, *result[1:]) if isinstance(result, tuple) else output


SDPA_OPTIONS = ("attn_mask", "is_causal", "scale", "enable_gqa")
FLASH_NAMES = ("flash_attn_varlen_func", "flash_attn_varlen_stand_in")
# Fused attention by other names. PyTorch's own modules end in the first three; the rest can only be called by name
OTHER_NAMES = (
    "multi_head_attention_forward",
    "_native_multi_head_attention",
    "_transformer_encoder_layer_fwd",
    "_triton_multi_head_attention",
    "_triton_scaled_dot_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_flash_attention_forward",
    "_efficient_attention_forward",
    "varlen_attn",
    "_varlen_attn",
)
FLASH_PARAMETERS = (
    "q",
    "k",
    "v",
    "cu_seqlens_q",
    "cu_seqlens_k",
    "max_seqlen_q",
    "max_seqlen_k",
    "dropout_p",
    "softmax_scale",
    "causal",
    "window_size",
    "softcap",
    "alibi_slopes",
    "deterministic",
    "return_attn_probs",
    "block_table",
)
