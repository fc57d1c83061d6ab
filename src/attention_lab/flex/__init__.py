"""FlexAttention as PyTorch has it, and what the checks need to know of its calls.

``from attention_lab.flex import create_block_mask, flex_attention`` gives PyTorch's own; where there are none, both say
so when they are called. PyTorch imports its compiler at the first call of either, which takes a second or two.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# It runs uncompiled here, on purpose: a few tokens take milliseconds so, and seconds to compile for
warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")

try:
    _flex: Any = importlib.import_module("torch.nn.attention.flex_attention")
except ImportError:
    _flex = None

# Where its plain operations are: the operator of the same name hides this module from ``import``
_OPERATOR = "torch._higher_order_ops.flex_attention"


def _not_here(*args: Any, **kwargs: Any) -> NoReturn:
    """Stands for PyTorch's functions."""
    raise RuntimeError(missing())


flex_attention: Callable[..., Any] = _not_here if _flex is None else _flex.flex_attention
create_block_mask: Callable[..., Any] = _not_here if _flex is None else _flex.create_block_mask


def missing() -> str:
    """Why there is no FlexAttention here, in one sentence; empty where there is."""
    if _flex is not None:
        return ""
    return f"This PyTorch ({torch.__version__}) has no flex_attention: this notebook's function cannot run here."


@cache
def forward_alone(device: str) -> str:
    """Why no gradients can be asked on a device, in words that follow "as"; empty where they can.

    Args:
        device: Its type, such as ``cpu``.
    """
    if _flex is None:
        return "this PyTorch has no flex_attention"
    x = torch.zeros(1, 1, 1, 8, device=device, requires_grad=True)
    try:
        with uncompiled():
            flex_attention(x, x, x).sum().backward()
    except NotImplementedError:  # raised before anything is imported for the call
        version = torch.__version__.partition("+")[0]
        return f"PyTorch {version} has no backward pass of flex_attention on a {device.upper()}"
    return ""


def flex_device() -> str:
    """Where functions that call ``flex_attention`` are checked: the CPU, or a GPU where gradients are there alone."""
    return "cuda" if torch.cuda.is_available() and forward_alone("cpu") else "cpu"


def load_compiler() -> None:
    """Import what PyTorch would import at the first call, and make that call: no later one is compiled."""
    importlib.import_module("torch._dynamo")
    with torch.no_grad(), uncompiled(), warnings.catch_warnings(), contextlib.suppress(RuntimeError):
        warnings.simplefilter("ignore")  # it warns once in a process, whatever filters there are by then
        x = torch.zeros(1, 1, 1, 8)
        flex_attention(x, x, x, block_mask=create_block_mask(_causal, None, None, 1, 1, device="cpu"))


def _causal(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return query >= key


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Nothing is compiled while the block runs; what would be runs as it stands.

    Without it PyTorch traces each call of a new size, for a tenth of a second. Where its compiler is not imported yet,
    nothing is done: that alone takes longer.
    """
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"), _plain_indices():
        yield


# Where an index in a mask function becomes an operation
_INDICES = "torch._dynamo._trace_wrapped_higher_order_op"


@contextlib.contextmanager
def _plain_indices() -> Iterator[None]:
    """Indices in mask functions without their way to gradients, where nobody wants any.

    Each is wrapped in a function of autograd, once for every axis: that takes three quarters of a small call's time.
    """
    module: Any = sys.modules.get(_INDICES)
    if torch.is_grad_enabled() or not hasattr(module, "mod_index"):
        yield
        return
    true = module.mod_index
    module.mod_index = torch.ops.aten.index
    try:
        yield
    finally:
        module.mod_index = true


# ---- its calls -------------------------------------------------------------------------------------------------------


class FlexCall(NamedTuple):
    """One call of ``flex_attention``, as its plain operations see it.

    Attributes:
        query: ``[batch, num_heads, queries, head_dim]``.
        key: ``[batch, heads, keys, head_dim]``; heads that are fewer serve groups.
        value: As the key.
        visible: bool ``[batch, num_heads, queries, keys]``: what ``mask_mod`` and ``score_mod`` leave.
        bias: What ``score_mod`` adds to visible scores; shape of ``visible``.
        scale: What q·k is multiplied by.
        by_block_mask: Whether there is a block mask, and all that is hidden is hidden by it.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    visible: Tensor
    bias: Tensor
    scale: float
    by_block_mask: bool


Attend = Callable[..., tuple[Tensor, ...]]


@contextlib.contextmanager
def shown_as(show: Callable[[Attend, tuple[Any, ...]], tuple[Tensor, ...]]) -> Iterator[None]:
    """While the block runs, uncompiled calls of ``flex_attention`` give what ``show`` makes of them.

    Args:
        show: Gets PyTorch's function of plain operations and its arguments, which ``understood`` reads.
    """
    module: Any = sys.modules.get(_OPERATOR)
    if module is None:
        yield
        return
    true = module.math_attention
    module.math_attention = lambda *args: show(true, args)
    try:
        yield
    finally:
        module.math_attention = true


def understood(args: tuple[Any, ...]) -> FlexCall:
    """What a call of the plain operations is asked for."""
    query, key, value, score_mod, block_mask, scale = args[:6]
    inner = sys.modules[_OPERATOR]._math_attention_inner
    group = query.shape[1] // key.shape[1]
    keys = key.repeat_interleave(group, dim=1).expand(query.shape[0], -1, -1, -1)
    rest = (block_mask, scale, *args[6:])
    scores, final = inner(query, keys, value, score_mod, *rest)
    masked = final
    if score_mod is not _flex._identity:
        _, masked = inner(query, keys, value, _flex._identity, *rest[:3], (), *args[8:9])
    hidden = masked == -torch.inf
    no_block_mask = any(isinstance(x, int) and x == _flex._LARGE_SPARSE_BLOCK_SIZE for x in block_mask)
    by_block_mask = not no_block_mask and torch.equal(hidden, final == -torch.inf)
    visible = final != -torch.inf
    bias = torch.where(visible, final - scores, 0.0)
    return FlexCall(query, key, value, visible, bias, float(scale), by_block_mask)


# ---- other devices ---------------------------------------------------------------------------------------------------


def performed_under(mode: type[TorchDispatchMode]) -> None:
    """Let ``flex_attention`` run under a mode that sees its plain operations one by one."""
    if _flex is None:
        return

    def perform(entered: TorchDispatchMode, *args: Any) -> Any:
        with entered:
            return sys.modules[_OPERATOR].sdpa_dense(*args)

    sys.modules[_OPERATOR].flex_attention.py_impl(mode)(perform)


@contextlib.contextmanager
def any_device() -> Iterator[None]:
    """While the block runs, ``flex_attention`` takes tensors on any device."""
    true = getattr(_flex, "_validate_device", None)
    if true is None:
        yield
        return
    _flex._validate_device = lambda *tensors: None
    try:
        yield
    finally:
        _flex._validate_device = true


# ---- its block masks -------------------------------------------------------------------------------------------------

EMPTY, PARTIAL, FULL = 0, 1, 2


@contextlib.contextmanager
def block_masks() -> Iterator[list[Tensor]]:
    """Collect the blocks of each block mask that ``flex_attention`` gets while the block runs.

    Yields:
        A list that grows: int64 ``[query blocks, key blocks]`` of the first batch item and head, each ``EMPTY``
        (skipped), ``PARTIAL`` (computed, and masked cell by cell) or ``FULL`` (computed alone).
    """
    found: list[Tensor] = []
    if _flex is None:
        yield found
        return
    true = _flex.BlockMask.as_tuple

    def as_tuple(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(blocks_of(self))
        return true(self, *args, **kwargs)

    _flex.BlockMask.as_tuple = as_tuple
    try:
        yield found
    finally:
        _flex.BlockMask.as_tuple = true


def blocks_of(block_mask: Any) -> Tensor:
    """The blocks of a ``BlockMask``, as ``block_masks`` gives them."""
    partial = _dense(block_mask.kv_num_blocks, block_mask.kv_indices)
    blocks = partial * PARTIAL
    if block_mask.full_kv_num_blocks is not None:
        blocks = blocks + _dense(block_mask.full_kv_num_blocks, block_mask.full_kv_indices) * FULL
    return blocks.cpu()


def _dense(counts: Tensor, indices: Tensor) -> Tensor:
    """1 at the blocks that are listed: of each row's indices the first so many count."""
    counts, indices = counts[0, 0].long(), indices[0, 0].long()
    listed = (torch.arange(indices.shape[1], device=indices.device) < counts[:, None]).long()
    return torch.zeros_like(indices).scatter_add_(1, indices, listed)
