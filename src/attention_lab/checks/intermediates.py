"""What a function holds while it runs: the tensors that its operations make, seen one by one below autograd."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from attention_lab import flex


class Intermediates(NamedTuple):
    """What a meter saw of one call.

    Attributes:
        largest: Elements of the largest tensor, as it lies in memory: a view or an expanded axis takes none.
        peak: Most bytes of tensors that lived at once beside what was there before.
        longest_sum: Most terms of a sum, a maximum or a softmax along an axis, or of a matrix product.
        work: Elements of floating-point tensors that operations wrote, all together.
    """

    largest: int
    peak: int
    longest_sum: int
    work: int


class Meter(TorchDispatchMode):
    """Follows the intermediates of what runs in its block.

    What a fused kernel keeps inside itself is not seen: that is little, and the point of such kernels.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """As on the pretended device: PyTorch would import its compiler, for more than a second, to be told so."""
        return False

    def __init__(self) -> None:
        super().__init__()
        self._largest = self._peak = self._longest_sum = self._work = 0
        self._living = 0
        self._holders: dict[int, int] = {}  # storage -> tensors that hold it
        self._references: dict[int, weakref.ref[Tensor]] = {}

    def seen(self) -> Intermediates:
        """What was seen so far."""
        return Intermediates(self._largest, self._peak, self._longest_sum, self._work)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operation = _operation(func)
        self._longest_sum = max(self._longest_sum, _terms(operation, args, kwargs or {}))
        given = {x.untyped_storage()._cdata for x in _tensors((*args, *(kwargs or {}).values()))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors((result,)):
            storage = tensor.untyped_storage()
            size, place = storage.nbytes(), storage._cdata
            self._largest = max(self._largest, size // tensor.element_size())
            if operation.writes and tensor.is_floating_point():
                self._work += tensor.numel()
            if place in self._holders or place not in given:
                self._hold(tensor, place, size)
        return result

    def _hold(self, tensor: Tensor, storage: int, size: int) -> None:
        if storage not in self._holders:
            self._living += size
            self._peak = max(self._peak, self._living)
        self._holders[storage] = self._holders.get(storage, 0) + 1
        reference = weakref.ref(tensor, partial(self._release, storage, size))
        self._references[id(reference)] = reference  # one that nobody keeps is never told

    def _release(self, storage: int, size: int, reference: weakref.ref[Tensor]) -> None:
        del self._references[id(reference)]
        self._holders[storage] -= 1
        if not self._holders[storage]:
            del self._holders[storage]
            self._living -= size


flex.performed_under(Meter)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among values and in their lists."""
    for value in values:
        if isinstance(value, Tensor):
            if not value.is_nested:
                yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


class _Operation(NamedTuple):
    """What is to know of an operator.

    Attributes:
        name: Without its namespace and overload.
        writes: Whether it gives numbers of its own, and not another look at its argument.
    """

    name: str
    writes: bool


@cache
def _operation(func: Any) -> _Operation:
    aliases = [returned.alias_info for returned in func._schema.returns]
    is_view = any(alias is not None and not alias.is_write for alias in aliases)
    return _Operation(func._schema.name.partition("::")[2], not is_view)


# ---- sums ------------------------------------------------------------------------------------------------------------

# Place of the left factor, whose last axis is summed over
_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "vdot": 0, "addmm": 1, "baddbmm": 1, "addbmm": 1, "addmv": 1}
_PRODUCTS |= {f"{name}_": place for name, place in _PRODUCTS.items() if place} | {"linear": 0, "matmul": 0}
_SOFTMAXES = {"_softmax", "softmax", "_log_softmax", "log_softmax", "_safe_softmax", "logsumexp", "logcumsumexp"}
_ALONG_AXES = {"sum", "nansum", "mean", "amax", "amin", "max", "min", "cumsum", "cummax", "prod", "norm"}
_FEW = 4  # rows that are summed up together


def _terms(operation: _Operation, args: Any, kwargs: dict[str, Any]) -> int:
    """How many numbers an operation brings together in one; 0 where it does not, or not along an axis."""
    name = operation.name
    if name in _PRODUCTS and len(args) > _PRODUCTS[name]:
        factor = args[_PRODUCTS[name]]
        return int(factor.shape[-1]) if isinstance(factor, Tensor) and factor.dim() else 0
    if name not in _SOFTMAXES and name not in _ALONG_AXES:
        return 0
    x = args[0] if args else None
    axes = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(x, Tensor) or not x.is_floating_point() or not x.dim() or axes is None:
        return 0
    if not isinstance(axes, int | list | tuple):
        return 0  # the second argument is another tensor, or a number: max(x, y), norm(x, 2)
    along = [axes] if isinstance(axes, int) else axes or range(x.dim())
    terms = math.prod(x.shape[axis] for axis in along)
    # how many tokens of a sequence are real is a sum, too: of one row for all heads
    return terms if name in _SOFTMAXES or x.numel() >= _FEW * terms else 0
