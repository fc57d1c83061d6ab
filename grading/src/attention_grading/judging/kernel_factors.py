"""Compute a fused kernel's true result for a marked call, times factors that the judged code never holds."""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor

from attention_grading.reference import masked_softmax
from attention_lab.flash.stand_in import How, expanded_heads, lengths_of, require_arguments, require_borders

# A judged call is tiny; whoever asks for more is not computing one. Elements of anything that is computed for a
# request; kernel calls of a submission, which a loop over sequences, heads and queries stays below; marked numbers of a
# call, and those that are kept of a submission; sequences of a packed batch
MAX_ELEMENTS = 1_000_000
MAX_REQUESTS = 4096
MAX_MARKS = 200_000
MAX_KEPT = 500_000
MAX_SEQUENCES = 4096
MAX_LIKENESSES = 5_000_000
SHORTEST_LIKENESS = 4  # numbers of a row
TOO_LARGE = "too many or too large kernel calls for the sizes that were given"


# The kernels whose marks an output is searched for, by the kernel that the notebook is about
MARKED_KERNELS: dict[str, tuple[str, ...]] = {
    "eager": ("sdpa", "flash", "flex", "other"),
    "tiled": ("sdpa", "flash", "flex", "other"),
    "sdpa": ("sdpa",),
    "flash": ("flash",),
    "flex": ("flex",),
}


class MarkedKernels:
    """The service behind the marked calls of one submission.

    Args:
        kernels: Which kernels' results are marked: the notebook's own, or all of them where none may be used.

    Attributes:
        marks: What was marked since the last ``begin``, in the order of the kernel calls: each number of a true result
            with its factor. Each has its own: one for several would cancel where they are divided by each other.
        keys: Most numbers of a k or v that SDPA was given since then; ``kernel_hooks`` leaves expanded axes out.
    """

    def __init__(self, kernels: Collection[str]) -> None:
        self._kernels = kernels
        self._generator = torch.Generator().manual_seed(secrets.randbits(63))
        self._marked = False
        self._requests = 0
        self._drawn = 0
        self._kept = 0
        self._inputs: tuple[Tensor, ...] = ()
        self.marks: list[tuple[float, float]] = []
        self.keys = 0

    def begin(self, marked: bool, inputs: Iterable[Any] = ()) -> None:
        """Start a new call.

        Args:
            marked: Without it every factor is 1.
            inputs: The call's own arguments. What a kernel makes of other values than theirs is marked too, but its
                marks are not kept: it is no use to send one's own result through it.
        """
        self._marked = marked
        self._inputs = tuple(x for x in inputs if isinstance(x, Tensor) and x.is_floating_point())
        self._drawn = 0
        self.marks = []
        self.keys = 0

    def __call__(self, kernel: str, arguments: dict[str, Any]) -> Tensor:
        """Compute the kernel's result times the factors.

        Args:
            kernel: ``"sdpa"``, ``"flash"``, ``"flex"`` (whose mask is what its functions add to the scores), or
                ``"other"`` for a kernel that has computed its own ``output``.
            arguments: The kernel's arguments by name.

        Raises:
            ValueError: The request is too large, one too many, or none that a kernel takes.
        """
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise ValueError(TOO_LARGE)
        require_request(kernel, arguments)
        if kernel == "sdpa":
            self.keys = max(self.keys, arguments["key"].numel(), arguments["value"].numel())
        true = _true(kernel, arguments)
        if not self._marked or kernel not in self._kernels:
            return true
        self._drawn += true.numel()
        if self._drawn > MAX_MARKS:
            raise ValueError(TOO_LARGE)
        factors = 1.5 + 1.5 * torch.rand(true.shape, generator=self._generator, dtype=torch.float64)
        kept = self._made_of_inputs(kernel, arguments, true).cpu()
        self._kept += int(kept.sum())
        if self._kept > MAX_KEPT:
            raise ValueError(TOO_LARGE)
        self.marks += zip(true.cpu()[kept].tolist(), factors[kept].tolist(), strict=True)
        return true * factors.to(true.device)

    def _made_of_inputs(self, kernel: str, arguments: dict[str, Any], true: Tensor) -> Tensor:
        """Which numbers of a result stay as they are when all values but the inputs' own become zero."""
        name = "v" if "v" in arguments else "value"
        if name not in arguments or not self._inputs:
            return torch.ones_like(true, dtype=torch.bool)
        values = arguments[name]
        own = torch.where(_made_of(values, self._inputs), values, 0)
        return (_true(kernel, arguments | {name: own}) - true).abs() <= 1e-3 * true.abs()


# ---- what a kernel gives ---------------------------------------------------------------------------------------------


def _true(kernel: str, arguments: dict[str, Any]) -> Tensor:
    if kernel == "other":
        output: Tensor = arguments["output"]
        return output.double()
    return true_flash(**arguments) if kernel == "flash" else true_sdpa(**arguments)


def true_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool | None = False,
    scale: float | None = None,
    enable_gqa: bool | None = False,
) -> Tensor:
    """SDPA in float64: shapes ``[..., queries, head_dim]``; a bool mask is True where a key takes part.

    Source: the documentation of ``torch.nn.functional.scaled_dot_product_attention``.
    """
    q, k, v = query.double(), key.double(), value.double()
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], dim=-3) for x in (k, v))
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    visible = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
    if is_causal:
        visible = visible.tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        visible = visible & attn_mask
    elif attn_mask is not None:
        scores = scores + attn_mask.double()
        visible = visible & (scores > -1e300)
    return masked_softmax(scores, visible.expand(scores.shape)) @ v


def true_flash(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Collection[int] = (-1, -1),
    softcap: float = 0.0,
) -> Tensor:
    """``flash_attn_varlen_func`` in float64, without dropout: which kernel did the work does not depend on it."""
    require_arguments(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    starts = require_borders(q, k, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    lengths_q, lengths_k = map(lengths_of, starts)
    left, right = window_size
    how = How(q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale, causal, (left, right), softcap)
    k, v = expanded_heads(q, k, v)
    # [total, num_heads, head_dim] -> for each sequence [num_heads, length, head_dim]
    queries = q.double().transpose(0, 1).split(lengths_q, dim=1)
    keys, values = (x.double().transpose(0, 1).split(lengths_k, dim=1) for x in (k, v))
    outputs = [_one_sequence(*sequence, how) for sequence in zip(queries, keys, values, strict=True)]
    return torch.cat(outputs, dim=1).transpose(0, 1).contiguous()


def _one_sequence(q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
    scores = q @ k.transpose(1, 2) * how.scale
    if how.softcap > 0.0:
        scores = how.softcap * torch.tanh(scores / how.softcap)
    total, more = k.shape[1], k.shape[1] - q.shape[1]
    hidden = how.hidden(range(more, total), range(total), q.device)
    visible = torch.ones_like(scores, dtype=torch.bool) if hidden is None else ~hidden.expand(scores.shape)
    return masked_softmax(scores, visible) @ v


# ---- what a request may ask ------------------------------------------------------------------------------------------

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def _is_integer(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and abs(x) < 2**31


def _is_number(x: Any) -> bool:
    return isinstance(x, float) or _is_integer(x)


def _is_flag(x: Any) -> bool:
    return isinstance(x, bool)


def _is_float_tensor(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype in FLOATS and x.dim() <= 16


def _is_borders(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype == torch.int32 and x.dim() == 1 and x.numel() <= MAX_SEQUENCES + 1


def _is_mask(x: Any) -> bool:
    return _is_float_tensor(x) or (isinstance(x, Tensor) and x.dtype == torch.bool and x.dim() <= 16)


def _is_window(x: Any) -> bool:
    return isinstance(x, list | tuple) and len(x) == 2 and all(map(_is_integer, x))


# Each kernel's arguments: those that it needs, and those that may be missing or None
_NEEDED: dict[str, dict[str, Callable[[Any], bool]]] = {
    "sdpa": dict.fromkeys(("query", "key", "value"), _is_float_tensor),
    "flex": dict.fromkeys(("query", "key", "value", "attn_mask"), _is_float_tensor),
    "flash": dict.fromkeys("qkv", _is_float_tensor)
    | dict.fromkeys(("cu_seqlens_q", "cu_seqlens_k"), _is_borders)
    | dict.fromkeys(("max_seqlen_q", "max_seqlen_k"), _is_integer),
    "other": {"output": _is_float_tensor},
}
_OPTIONAL: dict[str, dict[str, Callable[[Any], bool]]] = {
    "sdpa": {"attn_mask": _is_mask, "is_causal": _is_flag, "scale": _is_number, "enable_gqa": _is_flag},
    "flex": {"scale": _is_number, "enable_gqa": _is_flag},
    "flash": {"softmax_scale": _is_number, "causal": _is_flag, "window_size": _is_window, "softcap": _is_number},
    "other": {},
}


def require_request(kernel: Any, arguments: dict[str, Any]) -> None:
    """Refuse what no kernel takes and what would be large, before anything is computed.

    Raises:
        ValueError: The kernel or an argument is unknown, missing or of the wrong kind, or what would be computed of
            the arguments has more than ``MAX_ELEMENTS`` elements.
    """
    if not isinstance(kernel, str) or kernel not in _NEEDED:
        raise ValueError("there is no such kernel")
    needed, optional = _NEEDED[kernel], _OPTIONAL[kernel]
    for name in needed.keys() - arguments.keys():
        raise ValueError(f"{name} is missing")
    for name, value in arguments.items():
        fits = needed.get(name) or optional.get(name)
        if fits is None:
            raise ValueError(f"the kernel has no argument {str(name)[:40]!r}")
        if not (fits(value) or (value is None and name in optional)):
            kind = f"a tensor of dtype {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"the kernel does not take {kind} for {name}")
    if _elements(kernel, arguments) > MAX_ELEMENTS:
        raise ValueError(TOO_LARGE)


def _elements(kernel: str, arguments: dict[str, Any]) -> int:
    """At least as many elements as anything has that is computed, by the shapes of all tensors together.

    Raises:
        ValueError: A tensor has the wrong number of axes, or an empty one that is not the tokens'.
    """
    if kernel == "other":
        output: Tensor = arguments["output"]
        return output.numel()
    if kernel in ("sdpa", "flex"):
        q, k, v = (arguments[name].shape for name in ("query", "key", "value"))
    else:  # [total_tokens, num_heads, head_dim] -> [num_heads, total_tokens, head_dim]
        q, k, v = (arguments[name].transpose(0, 1).shape if arguments[name].dim() == 3 else () for name in "qkv")
    for shape in (q, k, v):
        if len(shape) < 2 or 0 in (*shape[:-2], shape[-1]):
            raise ValueError("a kernel's arguments have tokens and head_dim, and no axis but the tokens' is empty")
    mask = arguments.get("attn_mask")
    mask = (1, 1) if mask is None else (1, 1, *mask.shape)
    # axis by axis the largest of all: an axis that is empty, or does not fit, would hide how long the others are
    leading = itertools.zip_longest(*(reversed(shape[:-2]) for shape in (q, k, v, mask)), fillvalue=1)
    rows, columns = max(1, q[-2], mask[-2]), max(1, k[-2], v[-2], mask[-1])
    return math.prod((*map(max, leading), rows, columns, max(q[-1], k[-1], v[-1])))


# ---- what a result is made of ----------------------------------------------------------------------------------------


def _made_of(values: Tensor, inputs: Iterable[Tensor]) -> Tensor:
    """Which numbers are the inputs' own, or of a row that is an input's up to its length; shape of the values."""
    rows = values.reshape(-1, values.shape[-1]).double()
    known = torch.cat([x.flatten().to(values.dtype) for x in inputs]).double()
    own = torch.isin(rows, known)
    length = rows.shape[-1]
    # any short row points where some input's does
    if length >= SHORTEST_LIKENESS and rows.numel() and len(rows) * len(known) <= MAX_LIKENESSES * length:
        given = known[: len(known) // length * length].reshape(-1, length)
        rows, given = (torch.nn.functional.normalize(x, dim=-1).float() for x in (rows, given))
        own |= (rows @ given.T > 0.999).any(-1, keepdim=True)
    return own.reshape(values.shape)
