"""Read the attention weights out of any attention function, fused kernels included."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from attention_lab.caches import Batch
from attention_lab.flex import uncompiled
from attention_lab.roles import as_called, by_role
from attention_lab.tracebacks import TellsInLines, shows_learners_lines

# Of what a function prints; more would bury the map
PRINTED_LINES = 8
LINE_WIDTH = 200  # characters


class NoMap(TellsInLines, ValueError):
    """A function's output that no map can be read from; two lines say so and what to do."""


@shows_learners_lines
def attention_map(function: Callable[..., Tensor], batch: Batch) -> Tensor:
    """Recover the weights that a function gives to each key, by calling it with one-hot values.

    Attention is a weighted sum of values. Where the value of key j is a vector with a single 1,
    that 1 comes out scaled by the weight on key j. One call reads ``head_dim`` keys of every head at once,
    so the function is called ``ceil(keys / head_dim)`` times. It need not give its weights away, and a fused
    kernel never has them in memory. Of what it prints, the first lines are shown.

    Args:
        function: An attention function; it is called with the batch's arguments by name.
        batch: The queries, keys and mask (``cu_seqlens``, ``cache_seqlens``) to use; its values are replaced.

    Returns:
        float32 on the CPU: ``[batch, num_heads, queries, keys]`` for a padded or cached batch,
        ``[num_heads, total_tokens, total_tokens]`` for a packed one. Rows are queries, columns keys.

    Raises:
        NoMap: The function's output does not have the shape of ``q``.
    """
    arguments = by_role(batch.arguments())
    heads, head_dim, v = batch.num_heads, batch.head_dim, arguments["v"]
    keys, value_heads = v.shape[-2], v.shape[-1] // head_dim
    columns = []
    with _prints_shortened(), torch.no_grad(), uncompiled():
        for start in range(0, keys, head_dim):
            # one_hot: [keys, head_dim], key start + j carries its 1 at place j of every head
            one_hot = torch.eye(keys, dtype=v.dtype, device=v.device)[:, start : start + head_dim]
            one_hot = torch.nn.functional.pad(one_hot, (0, head_dim - one_hot.shape[1]))
            values = one_hot.repeat(1, value_heads).expand_as(v).contiguous()
            output = function(**as_called(arguments | {"v": values}))
            require_shape(output, batch.q)
            columns.append(output.float().cpu().unflatten(-1, (heads, head_dim)))
    weights = torch.cat(columns, dim=-1)[..., :keys]  # [..., queries, num_heads, keys]
    return weights.movedim(-2, -3)


def require_shape(output: object, expected: Tensor) -> None:
    """Raise where no map can be read from what a function returned."""
    if not isinstance(output, Tensor) or output.shape != expected.shape:
        got = f"a tensor of shape {list(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise NoMap(
            f"There is no map to draw: your function returned {got}, not one tensor of shape {list(expected.shape)}.\n"
            "Look at what the check contract says."
        )


@contextlib.contextmanager
def _prints_shortened() -> Iterator[None]:
    """Show the first lines of what is printed, at the end, and count the others."""
    kept = _FirstLines()
    try:
        with contextlib.redirect_stdout(kept):
            yield
    finally:
        kept.show()


class _FirstLines(io.TextIOBase):
    """Keeps the beginning of a text and counts its lines, of which a loop may print any number."""

    def __init__(self) -> None:
        self.text, self.ends = "", 0

    def write(self, text: str, /) -> int:
        room = PRINTED_LINES * LINE_WIDTH - len(self.text)
        if self.ends < PRINTED_LINES and room > 0:
            self.text += text[:room]
        self.ends += text.count("\n")
        return len(text)

    def show(self) -> None:
        shown = self.text.splitlines()[:PRINTED_LINES]
        for line in shown:
            print(line if len(line) <= LINE_WIDTH else f"{line[:LINE_WIDTH]} …")
        if self.ends > len(shown):
            print(f"… and {self.ends - len(shown)} more lines that your function printed; call it yourself to see all.")
