"""Compute a fused kernel's true result for a marked call, times factors that the judged code never holds."""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Iterable
from typing import Any

import numpy
import torch
from torch import Tensor

from attention_grading.reference import masked_softmax
from attention_lab.flash_stand_in import flash_attn_varlen_stand_in

# A judged call is tiny; whoever asks for more is not computing one (elements of the scores; kernel calls a submission,
# which a loop over sequences, heads and queries stays below; marked numbers a call)
MAX_SCORES = 4_000_000
MAX_REQUESTS = 4096
MAX_MARKS = 200_000
MAX_LIKENESSES = 50_000_000
SHORTEST_LIKENESS = 4  # numbers of a row


# The kernels whose marks an output is searched for, by the kernel that the notebook is about
MARKED_KERNELS: dict[str, tuple[str, ...]] = {
    "eager": ("sdpa", "flash", "other"),
    "sdpa": ("sdpa",),
    "flash": ("flash",),
}


class MarkedKernels:
    """The service behind the marked calls of one submission.

    Args:
        kernels: Which kernels' results are marked: the notebook's own, or for an eager notebook all of them.

    Attributes:
        marks: What was marked since the last ``begin``, in the order of the kernel calls: each number of a true result
            with its factor, which is the same along a row (a vector of head_dim numbers).
    """

    def __init__(self, kernels: Collection[str]) -> None:
        self._kernels = kernels
        self._generator = torch.Generator().manual_seed(secrets.randbits(63))
        self._marked = False
        self._requests = 0
        self._inputs: tuple[Tensor, ...] = ()
        self.marks: list[tuple[float, float]] = []

    def begin(self, marked: bool, inputs: Iterable[Any] = ()) -> None:
        """Start a new call.

        Args:
            marked: Without it every factor is 1.
            inputs: The call's own arguments. What a kernel makes of other values than theirs is marked too, but its
                marks are not kept: it is no use to send one's own result through it.
        """
        self._marked = marked
        self._inputs = tuple(x for x in inputs if isinstance(x, Tensor) and x.is_floating_point())
        self.marks = []

    def __call__(self, kernel: str, arguments: dict[str, Any]) -> Tensor:
        """Compute the kernel's result times the factors.

        Args:
            kernel: ``"sdpa"``, ``"flash"``, or ``"other"`` for a kernel that has computed its own ``output``.
            arguments: The kernel's arguments by name.

        Raises:
            ValueError: The request is too large or one too many.
        """
        self._requests += 1
        size = arguments["output"].numel() if kernel == "other" else _scores(arguments)
        if self._requests > MAX_REQUESTS or size > MAX_SCORES:
            raise ValueError("too many or too large kernel calls for the sizes that were given")
        true = self._true(kernel, arguments)
        if not self._marked or kernel not in self._kernels:
            return true
        factors = 1.5 + 1.5 * torch.rand(*true.shape[:-1], 1, generator=self._generator, dtype=torch.float64)
        kept = self._made_of_inputs(kernel, arguments, true).cpu()
        if len(self.marks) + int(kept.sum()) > MAX_MARKS:
            raise ValueError("too many or too large kernel calls for the sizes that were given")
        self.marks += zip(true.cpu()[kept].tolist(), factors.expand(true.shape)[kept].tolist(), strict=True)
        return true * factors.to(true.device)

    def _made_of_inputs(self, kernel: str, arguments: dict[str, Any], true: Tensor) -> Tensor:
        """Which numbers of a result stay as they are when all values but the inputs' own become zero."""
        name = "v" if "v" in arguments else "value"
        if name not in arguments or not self._inputs:
            return torch.ones_like(true, dtype=torch.bool)
        values = arguments[name]
        own = torch.where(_made_of(values, self._inputs), values, 0)
        return (self._true(kernel, arguments | {name: own}) - true).abs() <= 1e-3 * true.abs()

    @staticmethod
    def _true(kernel: str, arguments: dict[str, Any]) -> Tensor:
        if kernel == "other":
            return arguments["output"].double()
        return true_sdpa(**arguments) if kernel == "sdpa" else true_flash(arguments)


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


def true_flash(arguments: dict[str, Any]) -> Tensor:
    """The stand-in's result, in float64, without dropout: which kernel did the work does not depend on it."""
    result = flash_attn_varlen_stand_in(**(arguments | {"dropout_p": 0.0}))
    return (result[0] if isinstance(result, tuple) else result).double()


def _scores(arguments: dict[str, Any]) -> int:
    """Elements of the scores; at least as many as anything else that the kernel makes."""
    q, k, v = (arguments[name] for name in (("query", "key", "value") if "query" in arguments else "qkv"))
    if "query" not in arguments:
        return max(max(1, q.numel()) * max(1, k.shape[0]), arguments["cu_seqlens_q"].numel() ** 2)
    heads = [q.shape[:-2], k.shape[:-2], v.shape[:-2]]
    if arguments.get("enable_gqa"):
        heads = [q.shape[:-2]]
    mask = arguments.get("attn_mask")
    scores = (*numpy.broadcast_shapes(*heads), q.shape[-2], k.shape[-2])  # PyTorch's own takes 50 times as long
    if mask is not None:
        scores = numpy.broadcast_shapes(scores, mask.shape)
    # an axis of length 0 hides how long the others are
    return math.prod(max(1, size) for size in (*scores, max(q.shape[-1], v.shape[-1])))


def _made_of(values: Tensor, inputs: Iterable[Tensor]) -> Tensor:
    """Which numbers are the inputs' own, or of a row that is an input's up to its length; shape of the values."""
    rows = values.reshape(-1, values.shape[-1]).double()
    known = torch.cat([x.flatten().to(values.dtype) for x in inputs]).double()
    own = torch.isin(rows, known)
    length = rows.shape[-1]
    # any short row points where some input's does
    if length >= SHORTEST_LIKENESS and rows.numel() and len(rows) * len(known) <= MAX_LIKENESSES * length:
        given = known[: len(known) // length * length].reshape(-1, length)
        likeness = torch.nn.functional.normalize(rows, dim=-1) @ torch.nn.functional.normalize(given, dim=-1).T
        own |= (likeness > 0.999).any(-1, keepdim=True)
    return own.reshape(values.shape)
