"""Fused attention kernels whose results are scaled: does the notebook's kernel make a function's numbers?

Attention is linear in what a kernel gives: a function whose kernel does the work follows, one that computes by itself
does not. Neighbouring numbers get two different factors, so that a function that merely measures a factor shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attention_lab import flex
from attention_lab.flash import stand_in
from attention_lab.variants import Kernel

# The two factors by kernel; eager attention has no fused kernel
FACTORS: dict[Kernel, tuple[float, float]] = {"sdpa": (2.0, 3.0), "flash": (5.0, 7.0), "flex": (4.0, 6.0)}


class ScaledKernels(ExitStack):
    """While the block runs, the kernels that have ``FACTORS`` give their results times these.

    SDPA is caught under any of its names, and the real flash-attn is not.

    Attributes:
        keys: Most numbers in memory of a k or v that SDPA was given in the block.
    """

    keys: int = 0

    def __enter__(self) -> ScaledKernels:
        super().__enter__()
        true = stand_in.shown
        self.callback(setattr, stand_in, "shown", true)
        stand_in.shown = lambda output, asked: _scaled("flash", true(output, asked))
        self.enter_context(_ScaledSDPA(self))
        self.enter_context(flex.shown_as(_scaled_flex))
        return self


def _scaled_flex(true: flex.Attend, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Without a block mask that hides what is hidden, it is not what a notebook asks for."""
    output, *rest = true(*args)
    return (_scaled("flex", output) if flex.understood(args).by_block_mask else output, *rest)


class _ScaledSDPA(TorchFunctionMode):
    def __init__(self, seen: ScaledKernels) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        result = func(*args, **named)
        if getattr(func, "__name__", "").startswith("scaled_dot_product_attention"):
            given = (*args[1:3], named.get("key"), named.get("value"))
            self._seen.keys = max(self._seen.keys, *(held(x) for x in given if isinstance(x, Tensor)))
            return _scaled("sdpa", result)
        return result


def held(x: Tensor) -> int:
    """How many numbers of a tensor there are in memory: an expanded axis holds one of each."""
    if x.is_nested:
        return x.numel()
    return math.prod(size for size, stride in zip(x.shape, x.stride(), strict=True) if stride or not size)


def _scaled(kernel: Kernel, output: Tensor) -> Tensor:
    if output.is_nested and output.layout == torch.strided:  # has no shape to broadcast to
        return torch.nested.as_nested_tensor([_scaled(kernel, x) for x in output.unbind()])
    even, odd = FACTORS[kernel]
    shape = output.shape[-1:] if output.is_nested else output.shape
    places = torch.arange(shape.numel(), device=output.device).view(shape)
    return output * torch.where(places % 2 == 0, even, odd).to(output.dtype)
