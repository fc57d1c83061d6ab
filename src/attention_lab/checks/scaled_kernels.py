"""Fused attention kernels whose results are scaled: does the notebook's kernel make a function's numbers?

Attention is linear in what a kernel gives: a function whose kernel does the work follows, one that computes by itself
does not. Neighbouring numbers get two different factors, so that a function that merely measures a factor shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attention_lab import flex
from attention_lab.flash import stand_in
from attention_lab.variants import Kernel

# The two factors by kernel; eager attention has no fused kernel
FACTORS: dict[Kernel, tuple[float, float]] = {"sdpa": (2.0, 3.0), "flash": (5.0, 7.0), "flex": (4.0, 6.0)}


@contextlib.contextmanager
def scaled_kernels() -> Iterator[None]:
    """While the block runs, the kernels that have ``FACTORS`` give their results times these.

    SDPA is caught under any of its names, and the real flash-attn is not.
    """
    true = stand_in.shown
    stand_in.shown = lambda output, asked: _scaled("flash", true(output, asked))
    try:
        with _ScaledSDPA(), flex.shown_as(_scaled_flex):
            yield
    finally:
        stand_in.shown = true


def _scaled_flex(true: flex.Attend, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Without a block mask that hides what is hidden, it is not what a notebook asks for."""
    output, *rest = true(*args)
    return (_scaled("flex", output) if flex.understood(args).by_block_mask else output, *rest)


class _ScaledSDPA(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "").startswith("scaled_dot_product_attention"):
            return _scaled("sdpa", result)
        return result


def _scaled(kernel: Kernel, output: Tensor) -> Tensor:
    if output.is_nested and output.layout == torch.strided:  # has no shape to broadcast to
        return torch.nested.as_nested_tensor([_scaled(kernel, x) for x in output.unbind()])
    even, odd = FACTORS[kernel]
    shape = output.shape[-1:] if output.is_nested else output.shape
    places = torch.arange(shape.numel(), device=output.device).view(shape)
    return output * torch.where(places % 2 == 0, even, odd).to(output.dtype)
