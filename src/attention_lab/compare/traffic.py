"""Why a fused kernel is fast: what travels between the GPU's memory and its chip, and what never does."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.patches import Patch

from attention_lab.compare.curves import look, panels
from attention_lab.maps.cells import GREY, INK, LOOK, VISIBLE, WEIGHT_COLOURS
from attention_lab.maps.figure import NotebookFigure

# An H200: bytes a second of its memory, from NVIDIA's data sheet; operations a second of a bf16 matrix product, as
# recorded in data/kernels.json
MEMORY_RATE, MATRIX_RATE = 4.8e12, 796e12
_BYTES = 2  # of a number in bf16
_SEGMENTS = {"q, k, v and the output": "#7f7f7f", "scores": look("eager")["color"], "weights": "#f0b27a"}
_BLOCKS, _KEYS, _NOW = 8, 256, 35


@dataclass(frozen=True)
class Traffic:
    """One head's forward pass over one sequence, in bf16.

    Attributes:
        seq: Tokens.
        head_dim: Size of the head.
    """

    seq: int
    head_dim: int

    @property
    def inputs_and_output(self) -> int:
        """Bytes of q, k, v and the output, each once: what is read again of k and v comes from the chip's cache."""
        return 4 * self.seq * self.head_dim * _BYTES

    @property
    def table(self) -> int:
        """Bytes of one table of all queries and keys, written once and read once."""
        return 2 * self.seq**2 * _BYTES

    @property
    def eager(self) -> int:
        """Bytes where scores and weights go through memory."""
        return self.inputs_and_output + 2 * self.table

    @property
    def operations(self) -> int:
        """Two matrix products, QKᵀ and the weighted sum."""
        return 4 * self.seq**2 * self.head_dim


def traffic_figure(seq: int = 4096, head_dim: int = 128) -> NotebookFigure:
    """Draw what eager attention sends through memory, and how a fused kernel does without.

    Args:
        seq: Tokens of a sequence.
        head_dim: Size of one head.

    Returns:
        The figure; its ``caption`` is its alternative text.
    """
    traffic = Traffic(seq, head_dim)
    sentences = [
        f"Arithmetic takes {1e6 * traffic.operations / MATRIX_RATE:.0f} µs on an H200; the traffic of eager attention "
        f"{1e6 * traffic.eager / MEMORY_RATE:.0f} µs, that of a fused kernel "
        f"{1e6 * traffic.inputs_and_output / MEMORY_RATE:.1f} µs.",
        "A block of scores lives on the chip, and is gone when the next one comes.",
        "Of a query stay its largest score, the sum of its exponentials and its output so far: exact at the end.",
    ]
    above = {f"megabytes to and from the GPU's memory: one head, {seq} tokens": (0.16, 0.78)}
    below = {"scores, a block at a time": (0.12, 0.3), "a query's output, block by block": (0.57, 0.4)}
    handles = [Patch(facecolor=colour, label=name) for name, colour in _SEGMENTS.items()]
    with matplotlib.rc_context(LOOK):
        figure, axes = panels("Why flash is fast", sentences, handles, 1.5, above, below)
        _draw_traffic(axes[0], traffic)
        _draw_blocks(axes[1])
        _draw_output(axes[2])
    return figure


def _draw_traffic(axes: Axes, traffic: Traffic) -> None:
    sizes = (traffic.inputs_and_output, traffic.table, traffic.table)
    left = 0.0
    for size, colour in zip(sizes, _SEGMENTS.values(), strict=True):
        axes.barh(0, size / 1e6, left=left, color=colour, height=0.6)
        left += size / 1e6
    axes.barh(1, sizes[0] / 1e6, color=next(iter(_SEGMENTS.values())), height=0.6)
    for place, megabytes in enumerate((left, sizes[0] / 1e6)):
        axes.text(megabytes, place, f" {megabytes:.0f}", va="center", fontsize=8)
    for place, name in enumerate(("eager ", "fused ")):
        axes.text(0, place, name, va="center", ha="right", fontsize=8.5)
    axes.set(xlim=(0, 1.1 * left), ylim=(1.5, -0.5), xticks=[], yticks=[])


def _draw_blocks(axes: Axes) -> None:
    """The table of all scores: the blocks that are done, the one at work, and those to come."""
    blocks = torch.zeros(_BLOCKS, _BLOCKS)
    blocks.view(-1)[:_NOW] = 1
    blocks.view(-1)[_NOW] = 2
    axes.imshow(blocks.numpy(), cmap=ListedColormap(["white", VISIBLE, to_hex(WEIGHT_COLOURS(0.8))]), vmin=0, vmax=2)
    ends = (-0.5, _BLOCKS - 0.5)
    places = [place - 0.5 for place in range(1, _BLOCKS)]
    lines = [line for place in places for line in ([(place, end) for end in ends], [(end, place) for end in ends])]
    axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.6), autolim=False)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("keys", fontsize=8)
    axes.set_ylabel("queries", fontsize=8)


def _draw_output(axes: Axes) -> None:
    """One number of one query's output after each block: attention to the keys so far."""
    generator = torch.Generator().manual_seed(3)
    scores, values = (2 * torch.randn(_KEYS, generator=generator) for _ in range(2))
    ends = [_KEYS // _BLOCKS * (block + 1) for block in range(_BLOCKS)]
    so_far = [float(scores[:end].softmax(-1) @ values[:end]) for end in ends]
    axes.plot(ends, so_far, color=WEIGHT_COLOURS(0.8), marker="o", ms=4, lw=1.4, label="so far")
    axes.axhline(so_far[-1], color=INK, lw=1, ls=":", label="over all keys")
    axes.set_xlabel("keys seen", fontsize=8)
    axes.set(xticks=[0, _KEYS], yticks=[])
    axes.legend(fontsize=7.5, frameon=False)
    axes.tick_params(labelsize=7.5, length=2)
