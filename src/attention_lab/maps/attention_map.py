"""Read the attention weights out of any attention function, fused kernels included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from attention_lab.inputs import PackedBatch, PaddedBatch


def attention_map(function: Callable[..., Tensor], batch: PaddedBatch | PackedBatch) -> Tensor:
    """Recover the weights that a function gives to each key, by calling it with one-hot values.

    Attention is a weighted sum of values. Where the value of key j is a vector with a single 1,
    that 1 comes out scaled by the weight on key j. One call reads ``head_dim`` keys of every head at once,
    so the function is called ``ceil(keys / head_dim)`` times. It need not give its weights away, and a fused
    kernel never has them in memory.

    Args:
        function: An attention function; it is called with the batch's arguments by name.
        batch: The queries, keys and mask (or ``cu_seqlens``) to use; its values are replaced.

    Returns:
        float32 on the CPU: ``[batch, num_heads, queries, keys]`` for a padded batch,
        ``[num_heads, total_tokens, total_tokens]`` for a packed one. Rows are queries, columns keys.

    Raises:
        ValueError: The function's output does not have the shape of ``q``.
    """
    __tracebackhide__ = True  # IPython then shows the learner's lines and leaves these out
    heads, head_dim, keys = batch.num_heads, batch.head_dim, batch.k.shape[-2]
    value_heads = batch.v.shape[-1] // head_dim
    columns = []
    for start in range(0, keys, head_dim):
        # one_hot: [keys, head_dim], key start + j carries its 1 at place j of every head
        one_hot = torch.eye(keys, dtype=batch.v.dtype, device=batch.v.device)[:, start : start + head_dim]
        one_hot = torch.nn.functional.pad(one_hot, (0, head_dim - one_hot.shape[1]))
        values = one_hot.repeat(1, value_heads).expand_as(batch.v).contiguous()
        with torch.no_grad():
            output = function(**replace(batch, v=values).arguments())
        _check_shape(output, batch.q)
        columns.append(output.float().cpu().unflatten(-1, (heads, head_dim)))
    weights = torch.cat(columns, dim=-1)[..., :keys]  # [..., queries, num_heads, keys]
    return weights.movedim(-2, -3)


def _check_shape(output: object, expected: Tensor) -> None:
    if not isinstance(output, Tensor) or output.shape != expected.shape:
        got = f"a tensor {list(output.shape)}" if isinstance(output, Tensor) else f"{type(output).__name__}"
        raise ValueError(
            f"the attention map needs an output of shape {list(expected.shape)}, but your function returned {got}; "
            "run the contract check first, it says more"
        )
