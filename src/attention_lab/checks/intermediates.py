"""What a function holds while it runs: the tensors that its operations make, seen one by one below autograd."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


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
    """Follows the intermediates of what runs in its block, until it is stopped.

    What a fused kernel keeps inside itself is not seen: that is little, and the point of such kernels.
    """

    def __init__(self) -> None:
        super().__init__()
        self._largest = self._peak = self._longest_sum = self._work = 0
        self._living = 0
        self._holders: dict[int, int] = {}  # storage -> tensors that hold it
        self._stopped = False

    def stop(self) -> Intermediates:
        """What was seen so far; what follows is not followed any more."""
        self._stopped = True
        return Intermediates(self._largest, self._peak, self._longest_sum, self._work)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._stopped:
            return func(*args, **(kwargs or {}))
        self._longest_sum = max(self._longest_sum, _terms(func, args, kwargs or {}))
        given = {_storage(x) for x in _tensors((*args, *(kwargs or {}).values()))}
        result = func(*args, **(kwargs or {}))
        writes = not _is_view(func)
        for tensor in _tensors((result,)):
            self._largest = max(self._largest, tensor.untyped_storage().nbytes() // tensor.element_size())
            if writes and tensor.is_floating_point():
                self._work += tensor.numel()
            if _storage(tensor) in self._holders or _storage(tensor) not in given:
                self._hold(tensor)
        return result

    def _hold(self, tensor: Tensor) -> None:
        storage, size = _storage(tensor), tensor.untyped_storage().nbytes()
        if storage not in self._holders:
            self._living += size
            self._peak = max(self._peak, self._living)
        self._holders[storage] = self._holders.get(storage, 0) + 1
        weakref.finalize(tensor, self._release, storage, size)

    def _release(self, storage: int, size: int) -> None:
        self._holders[storage] -= 1
        if not self._holders[storage]:
            del self._holders[storage]
            self._living -= size


def _storage(tensor: Tensor) -> int:
    storage: int = tensor.untyped_storage()._cdata
    return storage


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among values and in their lists."""
    for value in values:
        if isinstance(value, Tensor):
            if not value.is_nested:
                yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


@cache
def _is_view(func: Any) -> bool:
    """Whether an operator gives another look at its argument, and writes nothing."""
    aliases = [returned.alias_info for returned in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


# ---- sums ------------------------------------------------------------------------------------------------------------

# Place of the left factor, whose last axis is summed over
_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "vdot": 0, "addmm": 1, "baddbmm": 1, "addbmm": 1, "addmv": 1}
_PRODUCTS |= {f"{name}_": place for name, place in _PRODUCTS.items() if place} | {"linear": 0, "matmul": 0}
_SOFTMAXES = {"_softmax", "softmax", "_log_softmax", "log_softmax", "_safe_softmax", "logsumexp", "logcumsumexp"}
_ALONG_AXES = {"sum", "nansum", "mean", "amax", "amin", "max", "min", "cumsum", "cummax", "prod", "norm"}
_FEW = 4  # rows that are summed up together


def _terms(func: Any, args: Any, kwargs: dict[str, Any]) -> int:
    """How many numbers an operation brings together in one; 0 where it does not, or not along an axis."""
    name = func._schema.name.removeprefix("aten::")
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
