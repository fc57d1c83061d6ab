"""What a block mask skips: the blocks that a learner's own function hands to ``flex_attention``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor

from attention_lab.flex import EMPTY, FULL, PARTIAL, block_masks, flex_device, uncompiled
from attention_lab.inputs import borders_as, running_sum
from attention_lab.pictures.drawing import DARK, HIDDEN, SEEN, YOURS, Picture, blank, box, grid, line, words
from attention_lab.tracebacks import TellsInLines, shows_learners_lines

WIDTH, SIDE, TOP = 6.9, 2.56, 3.32  # inches: of the picture, of a panel, of a panel's upper edge
LENGTHS = (614, 148, 262)  # 1,024 tokens; no border lies on a block's
WINDOW = 100
_COLOURS = {EMPTY: HIDDEN, PARTIAL: YOURS, FULL: SEEN}


class NoBlocks(TellsInLines, ValueError):
    """A function that handed no block mask over; two lines say so and what to do."""


class _Blocks(NamedTuple):
    """The blocks of one call.

    Attributes:
        name: What is drawn above them.
        blocks: Codes of ``flex``, ``[query blocks, key blocks]``.
    """

    name: str
    blocks: Tensor

    @property
    def said(self) -> str:
        full, partial = (int((self.blocks == code).sum()) for code in (FULL, PARTIAL))
        most = self.blocks.numel()
        computed = full + partial
        return (
            f"{self.name}: of {most} blocks {computed} are computed, {full} without the mask function and {partial} "
            f"with it; {most - computed} are skipped, {100 * (most - computed) / most:.0f}%."
        )


@shows_learners_lines
def block_sparsity(function: Callable[..., Any], lengths: Sequence[int] = LENGTHS, window: int = WINDOW) -> Picture:
    """Draw the blocks of the block masks that your function hands to ``flex_attention``.

    Args:
        function: Your ``flex_document_attention``.
        lengths: Of the documents, in tokens.
        window: Of the second of two calls; the first has none.

    Returns:
        The picture; its ``caption`` is its alternative text.

    Raises:
        NoBlocks: The function handed no block mask over.
    """
    total, borders = sum(lengths), running_sum(lengths).tolist()
    drawn = [_asked(function, lengths, None), _asked(function, lengths, window)]
    count = len(lengths)
    said = f"{total} tokens in {count} documents of {', '.join(map(str, lengths))}. "
    picture, axes = blank(WIDTH, 4.2, said + " ".join(each.said for each in drawn))
    size = -(-total // len(drawn[0].blocks))
    title = f"{total} tokens in {count} documents, in blocks of {size}"
    words(axes, WIDTH / 2, 4.02, title, fontweight="bold")
    for x, each in zip((0.62, 3.92), drawn, strict=True):
        _panel(axes, x, each, borders)
    for x, colour, text in (
        (0.62, SEEN, "full: computed as it is"),
        (2.72, YOURS, "partial: masked cell by cell"),
        (5.05, HIDDEN, "empty: skipped"),
    ):
        box(axes, x, 0.12, 0.2, 0.2, "", colour)
        words(axes, x + 0.27, 0.22, text, ha="left", fontsize=8.5)
    return picture


def _panel(axes: Axes, x: float, shown: _Blocks, borders: Sequence[int]) -> None:
    rows, columns = shown.blocks.shape
    cell = SIDE / max(rows, columns)
    scale = SIDE / borders[-1]
    grid(axes, x, TOP, cell, [[_COLOURS[int(code)] for code in row] for row in shown.blocks])
    words(axes, x + SIDE / 2, TOP + 0.33, shown.name)
    computed = int((shown.blocks != EMPTY).sum())
    words(axes, x + SIDE / 2, TOP + 0.12, f"computes {computed} of {shown.blocks.numel()} blocks", fontsize=8.5)
    for start, end in pairwise(borders):  # each document's triangle
        left, right, high, low = x + start * scale, x + end * scale, TOP - start * scale, TOP - end * scale
        for one, other in (((left, high), (right, low)), ((left, high), (left, low)), ((left, low), (right, low))):
            line(axes, one, other, color=DARK, lw=1.3, zorder=5)
    words(axes, x + SIDE / 2, TOP - SIDE - 0.16, "keys", fontsize=8.5)
    words(axes, x - 0.16, TOP - SIDE / 2, "queries", rotation=90, fontsize=8.5)


def _asked(function: Callable[..., Any], lengths: Sequence[int], window: int | None) -> _Blocks:
    device, heads, head_dim = flex_device(), 1, 8
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(sum(lengths), heads * head_dim, generator=generator).to(device) for _ in range(3))
    labels = borders_as("documents", lengths, device)
    with block_masks() as found, uncompiled(), torch.no_grad():
        function(q=q, k=k, v=v, num_heads=heads, head_dim=head_dim, **labels, window=window)
    if not found:
        raise NoBlocks(
            "There are no blocks to draw: your function handed no block mask to flex_attention.\n"
            "Look at step 3 of the task."
        )
    return _Blocks("window=None" if window is None else f"window={window}", found[-1])
