"""A second device, pretended on any machine: what would go wrong on a GPU shows without one."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from attention_lab import flex


class DevicesMeet(RuntimeError):
    """Tensors of different devices meet in one operation."""


class PretendedDevice(TorchDispatchMode):
    """While it is entered, the meta device behaves like a GPU beside the CPU.

    A tensor on the meta device is a handle there: its numbers lie on the CPU, where each operation is performed. So
    everything goes as on a GPU, reading a number included, and what a GPU refuses is refused here: an operation on
    tensors of both devices, apart from numbers without axes, and indices.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled in here; PyTorch would import its compiler, for more than a second, to tell it so."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # by id, which holds as long as both are kept alive here
        self._numbers: dict[int, Tensor] = {}
        self._handles: dict[int, Tensor] = {}
        self._written_down = _WrittenDown()
        self._others = contextlib.ExitStack()

    def __enter__(self) -> PretendedDevice:
        self._others.enter_context(flex.any_device())
        self._written_down.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        self._written_down.__exit__(*exception)  # type: ignore[no-untyped-call]
        self._others.close()

    def put(self, x: Tensor) -> Tensor:
        """The handle of a tensor on the CPU: a new one, of its shape, strides and dtype, unless it has one."""
        if id(x) in self._handles:
            return self._handles[id(x)]
        with _disable_current_modes():
            handle = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")
        self._numbers[id(handle)], self._handles[id(x)] = x, handle
        return handle

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Perform one operation, unless devices meet in it."""
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if func not in _TAKE_BOTH:
            _require_one_device(str(func), args, kwargs)
        numbers = tree_map(self._numbers_of, (args, kwargs | ({} if device is None else {"device": "cpu"})))
        result = func(*numbers[0], **numbers[1])
        there = any(_is_handle(x) for x in tree_leaves((args, kwargs)))
        if func is torch.ops.aten.copy_.default:
            there = _is_handle(args[0])
        elif device is not None:
            there = torch.device(device).type == "meta"
        return tree_map(self._handle_of, result) if there else result

    def _numbers_of(self, x: Any) -> Any:
        return self._numbers[id(x)] if _is_handle(x) else x

    def _handle_of(self, x: Any) -> Any:
        return self.put(x) if isinstance(x, Tensor) else x  # what worked in place has its handle already


flex.performed_under(PretendedDevice)


class _WrittenDown(TorchFunctionMode):
    """Numbers between Python and the meta device, where PyTorch takes a short cut past every operation.

    It drops the numbers of ``torch.tensor([1, 2], device="meta")``, and formats none.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__format__:
            return format(args[0].cpu(), *args[1:])
        device = kwargs.get("device", args[0].device if func is Tensor.new_tensor else None)
        if func not in _FROM_DATA or device is None or torch.device(device).type != "meta":
            return func(*args, **kwargs)
        if func is not Tensor.new_tensor and args and _is_handle(args[0]):
            return func(*args, **kwargs)  # is no data, and takes no short cut
        return func(*args, **kwargs | {"device": "cpu"}).to(device)


_FROM_DATA = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)
_TAKE_BOTH = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)

_INDEXED = ("aten.index.", "aten.index_put", "aten._index_put_impl_.")


def _is_handle(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_meta


def _require_one_device(operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if operation.startswith(_INDEXED) and _is_handle(args[0]):
        args = (args[0], *args[2:])  # indices may lie on the CPU
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and x.dim() > 0]
    on_cpu = [x for x in tensors if not x.is_meta]
    if 0 < len(on_cpu) < len(tensors):
        raise DevicesMeet(
            f"a tensor on the CPU, of shape {list(on_cpu[0].shape)}, meets one on q's device: expected all tensors on "
            "the same device"
        )
