"""Mark the results of fused attention kernels, to see whether a function's output comes from them.

While a marked call runs, every fused kernel returns its true result times random factors, drawn anew for each call and
each of its numbers. A function whose kernel does the work carries the factors in its output; one that computes the
attention by itself, or throws the kernel's result away, does not.

SDPA is caught in the dispatcher, where every alias ends, under ``torch.vmap`` and gradients' transforms too, and so are
PyTorch's other fused operators. The flash stand-in and ``varlen_attn`` behind flash-attn's signature hand their results
to ``flash_stand_in.shown``; the real flash-attn is caught at the autograd functions through which its forms reach their
kernels. Attention that PyTorch has as plain Python is exchanged in place, for whoever has bound its name.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch._C import DispatchKey, DispatchKeySet, _functorch
from torch.nn.attention import SDPBackend

from attention_lab import flex
from attention_lab.flash import stand_in

# A kernel service takes the kernel's name ("sdpa", "flash", "flex" or "other") and its arguments, and returns the
# marked one; for "other" kernels, whose work it does not know, the only argument is their own ``output``
KernelService = Callable[[str, dict[str, Any]], Tensor]


@contextlib.contextmanager
def marked_kernels(service: KernelService) -> Iterator[None]:
    """Let a service compute or mark the results of fused attention kernels while the block runs.

    Args:
        service: Called with ``"sdpa"``, ``"flash"`` or ``"flex"`` and the kernel's arguments by name, or with
            ``"other"`` and what another fused kernel gave.
    """
    service = _one_at_a_time(service)
    with (
        _marked_operators(service),
        _marked_stand_in(service),
        _marked_flash_attn(service),
        _marked_python("torch.nn.functional", "multi_head_attention_forward", partial(_marked_result, service)),
        _marked_python("torch._higher_order_ops.flex_attention", "math_attention", partial(_marked_flex, service)),
    ):
        yield


def _one_at_a_time(service: KernelService) -> KernelService:
    """Requests from threads of the function's own, one after the other."""
    lock = threading.RLock()

    def locked(kernel: str, arguments: dict[str, Any]) -> Tensor:
        with lock:
            return service(kernel, arguments)

    return locked


# ---- the dispatcher --------------------------------------------------------------------------------------------------

_EVERYWHERE = ("CompositeImplicitAutograd", "FuncTorchVmapMode", "FuncTorchBatched")
# The public operator, and the ones below it that a function might call by name: dispatch keys, names of the positional
# arguments after query, key and value, and whether the operator returns a tuple.
_SDPA_OPERATORS = (
    ("scaled_dot_product_attention", _EVERYWHERE, ("attn_mask", "dropout_p", "is_causal"), False),
    ("_scaled_dot_product_attention_math", _EVERYWHERE, ("attn_mask", "dropout_p", "is_causal", "dropout_mask"), True),
    ("_scaled_dot_product_flash_attention_for_cpu", ("CPU",), ("dropout_p", "is_causal"), True),
)
# Fused attention by other names; PyTorch's own modules end in the first two
_OTHER_OPERATORS = (
    "_native_multi_head_attention",
    "_transformer_encoder_layer_fwd",
    "_triton_multi_head_attention",
    "_triton_scaled_dot_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_flash_attention_forward",
    "_efficient_attention_forward",
    "_cudnn_attention_forward",
)
SDPA_OPTIONS = ("attn_mask", "is_causal", "scale", "enable_gqa")


@contextlib.contextmanager
def _marked_operators(service: KernelService) -> Iterator[None]:
    library = torch.library.Library("aten", "IMPL")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that a kernel is overridden: it is meant
            for name, keys, names, returns_tuple in _SDPA_OPERATORS:
                if hasattr(torch.ops.aten, name):
                    substitute = _substitute(service, getattr(torch.ops.aten, name).default, names, returns_tuple)
                    for key in keys:
                        library.impl(name, substitute, key, allow_override=True)
            for name, key, kernel in _other_kernels():
                library.impl(name, _marked_kernel(service, kernel), key, with_keyset=True, allow_override=True)
        yield
    finally:
        library._destroy()


@cache
def _other_kernels() -> tuple[tuple[str, str, Any], ...]:
    """The kernels that the other operators have in this PyTorch, each with its operator and dispatch key."""
    return tuple(
        (name, key, torch.library.get_kernel(f"aten::{name}", key))
        for name in _OTHER_OPERATORS
        for key in ("CPU", "CUDA")
        if hasattr(torch.ops.aten, name) and torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", key)
    )


def _marked_kernel(service: KernelService, kernel: Any) -> Callable[..., Any]:
    return lambda keys, *args, **kwargs: _marked_other(service, kernel.call_boxed(keys, *args, **kwargs))


def _substitute(
    service: KernelService, operator: Any, names: tuple[str, ...], returns_tuple: bool
) -> Callable[..., Any]:
    def kernel(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any) -> Any:
        arguments = {"query": query, "key": key, "value": value} | dict(zip(names, rest, strict=False)) | named
        transform = _functorch.peek_interpreter_stack()
        if transform is not None:
            return _below(transform, operator, arguments)
        if query.is_nested:
            return _item_by_item(operator, arguments)
        asked = {name: arguments.get(name) for name in ("query", "key", "value", *SDPA_OPTIONS)}
        result = service("sdpa", asked | {name: _unexpanded(asked, name) for name in ("key", "value")}).to(query)
        if result.shape == query.shape and _is_fused(operator, asked):  # lies in memory as the query does
            result = torch.empty_like(query).copy_(result)
        return (result, result.new_zeros(result.shape[:-1])) if returns_tuple else result

    return kernel


def _unexpanded(asked: dict[str, Any], name: str) -> Tensor:
    """A key or value without the copies that an expanded axis only pretends, where q brings that axis."""
    query, x = asked["query"], asked[name]
    for axis in range(-x.dim(), -2):
        shared = axis == -3 and bool(asked["enable_gqa"])
        if x.stride(axis) == 0 and query.dim() >= -axis and (shared or query.shape[axis] == x.shape[axis]):
            x = x.narrow(axis, 0, min(1, x.shape[axis]))
    narrowed: Tensor = x
    return narrowed


def _is_fused(operator: Any, asked: dict[str, Any]) -> bool:
    """Whether the real operator would run a fused kernel on these arguments, and not SDPA's MATH backend."""
    if operator is not torch.ops.aten.scaled_dot_product_attention.default:
        return operator is not torch.ops.aten._scaled_dot_product_attention_math.default
    return torch._fused_sdp_choice(**{name: x for name, x in asked.items() if x is not None}) != SDPBackend.MATH.value


_BATCHED = DispatchKeySet(DispatchKey.FuncTorchBatched) | DispatchKeySet(DispatchKey.FuncTorchVmapMode)


def _below(transform: Any, operator: Any, arguments: dict[str, Any]) -> Any:
    """Call an operator one level below a transform of ``torch.func``: there is another one, or plain tensors."""
    if transform.key() != _functorch.TransformType.Vmap:
        with torch._C._AutoDispatchBelowAutograd():  # PyTorch itself takes its wrappers off
            return operator(**arguments)
    level, size = transform.level(), _functorch.CVmapInterpreterPtr(transform).batchSize()
    tensors = {name: x for name, x in arguments.items() if isinstance(x, Tensor)}
    unwrapped = {name: _functorch._unwrap_batched(x, level) for name, x in tensors.items()}
    rank = max(x.dim() for x in tensors.values())

    def in_front(x: Tensor, axis: int | None) -> Tensor:
        """[size, 1, ..., 1, *the rest]: the rest's axes are lined up by broadcasting."""
        x = x.expand(size, *x.shape) if axis is None else x.movedim(axis, 0)
        return x[(slice(None), *(rank + 1 - x.dim()) * (None,))]

    batched = any(axis is not None for _, axis in unwrapped.values())
    with torch._C._ExcludeDispatchKeyGuard(_BATCHED):
        plain = {name: in_front(x, axis) if batched else x for name, (x, axis) in unwrapped.items()}
        result = operator(**(arguments | plain))
    if not batched:
        return result
    wrapped = tuple(
        _functorch._add_batch_dim(x, 0, level) for x in (result if isinstance(result, tuple) else (result,))
    )
    return wrapped if isinstance(result, tuple) else wrapped[0]


def _item_by_item(operator: Any, arguments: dict[str, Any]) -> Any:
    """Call an operator for each tensor of nested ones."""
    nested = {name: x.unbind() for name, x in arguments.items() if isinstance(x, Tensor) and x.is_nested}
    results = [
        operator(**(arguments | dict(zip(nested, items, strict=True)))) for items in zip(*nested.values(), strict=True)
    ]
    if isinstance(results[0], tuple):
        return tuple(torch.nested.as_nested_tensor(list(parts)) for parts in zip(*results, strict=True))
    return torch.nested.as_nested_tensor(results)


# ---- flash-attn ------------------------------------------------------------------------------------------------------

# Whether a form other than ``flash_attn_varlen_func`` is at work
_another_form: ContextVar[bool] = ContextVar("another_form", default=False)


@contextlib.contextmanager
def another_form() -> Iterator[None]:
    """What ``flash_attn_varlen_func`` computes in this block is another kernel's."""
    token = _another_form.set(True)
    try:
        yield
    finally:
        _another_form.reset(token)


@contextlib.contextmanager
def _marked_stand_in(service: KernelService) -> Iterator[None]:
    """Mark what the stand-in and ``varlen_attn`` behind its signature give."""

    def shown(output: Tensor, asked: dict[str, Any]) -> Tensor:
        if asked and not _another_form.get():
            return service("flash", _flash_request(asked)).to(output)
        marked: Tensor = _marked_other(service, output)
        return marked

    true = stand_in.shown
    stand_in.shown = shown
    try:
        yield
    finally:
        stand_in.shown = true


# Forms of the real flash-attn, by the autograd functions through which they reach their kernels
_FLASH_FORMS = (
    "FlashAttnVarlenFunc",
    "FlashAttnFunc",
    "FlashAttnKVPackedFunc",
    "FlashAttnQKVPackedFunc",
    "FlashAttnVarlenKVPackedFunc",
    "FlashAttnVarlenQKVPackedFunc",
)


@contextlib.contextmanager
def _marked_flash_attn(service: KernelService) -> Iterator[None]:
    """Mark the real flash-attn, however a function has bound its names."""
    interface = sys.modules.get("flash_attn.flash_attn_interface")
    # a package that stands in for it has none
    real = {name: getattr(interface, name) for name in _FLASH_FORMS if hasattr(interface, name)}
    for name, form in real.items():
        setattr(interface, name, _marked_form(service, form, name == "FlashAttnVarlenFunc"))
    try:
        yield
    finally:
        for name, form in real.items():
            setattr(interface, name, form)


def _marked_form(service: KernelService, form: Any, counts: bool) -> type:
    class Marked:
        @staticmethod
        def apply(*args: Any) -> Any:
            with another_form():
                true_result = form.apply(*args)
            if not counts:
                return _marked_other(service, true_result)
            asked = dict(zip(_FLASH_PARAMETERS, args, strict=False))
            output = service("flash", _flash_request(asked)).to(asked["q"])
            # the log-sum-exp, where there is one, stays
            return _with_output(true_result, output)

    return Marked


_FLASH_PARAMETERS = (
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
)


def _flash_request(asked: dict[str, Any]) -> dict[str, Any]:
    """The arguments that decide what ``flash_attn_varlen_func`` gives, but for dropout, as plain numbers."""
    if asked.get("alibi_slopes") is not None or asked.get("block_table") is not None:
        raise NotImplementedError("alibi_slopes and block_table are not judged; leave them at None")
    scale = asked.get("softmax_scale")
    return {name: asked[name] for name in ("q", "k", "v", "cu_seqlens_q", "cu_seqlens_k")} | {
        "max_seqlen_q": int(asked["max_seqlen_q"]),
        "max_seqlen_k": int(asked["max_seqlen_k"]),
        "softmax_scale": None if scale is None else float(scale),
        "causal": bool(asked.get("causal", False)),
        "window_size": [int(size) for size in asked.get("window_size", (-1, -1))],
        "softcap": float(asked.get("softcap", 0.0)),
    }


# ---- FlexAttention ---------------------------------------------------------------------------------------------------


def _marked_flex(service: KernelService, own: flex.Attend, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Mark an uncompiled call: as FlexAttention's where a block mask hides what is hidden, else as another kernel's."""
    output, *rest = own(*args, **kwargs)
    call = None if kwargs else flex.understood(args)  # PyTorch itself names none of them
    if call is None or not call.by_block_mask:
        return (_marked_other(service, output), *rest)
    asked = {
        "query": call.query,
        "key": call.key,
        "value": call.value,
        "attn_mask": call.bias.masked_fill(~call.visible, -torch.inf),
        "scale": call.scale,
        "enable_gqa": call.query.shape[1] != call.key.shape[1],
    }
    return (service("flex", asked).to(output), *rest)


# ---- other kernels ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _marked_python(module: str, name: str, mark: Callable[..., Any]) -> Iterator[None]:
    """Mark what a function in Python gives, whoever has bound its name: it gets other code, which calls its own.

    Args:
        module: Where the function is.
        name: Its name there.
        mark: Gets the function with its own code, and a call's arguments by place and by name.
    """
    function = getattr(sys.modules.get(module), name, None)
    if function is None:  # nobody has imported it, or this PyTorch has none
        yield
        return
    own = type(function)(function.__code__, function.__globals__, name, function.__defaults__, function.__closure__)
    own.__kwdefaults__ = function.__kwdefaults__
    function.__code__, function.__defaults__ = _call_marked.__code__, None
    function.__kwdefaults__ = {"marked": lambda *args, **kwargs: mark(own, args, kwargs)}
    try:
        yield
    finally:
        function.__code__, function.__defaults__ = own.__code__, own.__defaults__
        function.__kwdefaults__ = own.__kwdefaults__


def _call_marked(*args: Any, marked: Any, **kwargs: Any) -> Any:
    return marked(*args, **kwargs)


def _marked_result(
    service: KernelService, own: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return _marked_other(service, own(*args, **kwargs))


def _marked_other(service: KernelService, result: Any) -> Any:
    output = result[0] if isinstance(result, tuple) else result
    if not isinstance(output, Tensor) or output.device.type == "meta":
        return result
    return _with_output(result, service("other", {"output": output}).to(output))


def _with_output(result: Any, output: Tensor) -> Any:
    return (output, *result[1:]) if isinstance(result, tuple) else output
