"""What padding wastes: the tokens and the floating-point operations of a padded batch, against the packed one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from attention_lab.compare.curves import panels
from attention_lab.maps.cells import GREY, HATCH, INK, LOOK
from attention_lab.maps.figure import NotebookFigure

REAL = "#0072b2"
_PADDING: dict[str, Any] = {"color": GREY, "edgecolor": HATCH, "hatch": "xxx", "linewidth": 0}


@dataclass(frozen=True)
class Waste:
    """Counts of one attention layer's forward pass, without causality.

    Attributes:
        lengths: Tokens of each sequence.
        hidden_dim: ``num_heads * head_dim``.
    """

    lengths: tuple[int, ...]
    hidden_dim: int

    @property
    def padded_tokens(self) -> int:
        return len(self.lengths) * max(self.lengths)

    @property
    def packed_tokens(self) -> int:
        return sum(self.lengths)

    @property
    def padded_flops(self) -> int:
        """Two matrix products, QKᵀ and the weighted sum, of two operations a term."""
        return 4 * self.hidden_dim * len(self.lengths) * max(self.lengths) ** 2

    @property
    def packed_flops(self) -> int:
        return 4 * self.hidden_dim * sum(length**2 for length in self.lengths)

    def __str__(self) -> str:
        tokens, flops = 1 - self.packed_tokens / self.padded_tokens, 1 - self.packed_flops / self.padded_flops
        return (
            f"Padded: {self.padded_tokens:,} tokens, {self.padded_flops / 1e9:.2f} GFLOP. "
            f"Packed: {self.packed_tokens:,} tokens, {self.packed_flops / 1e9:.2f} GFLOP. "
            f"Padding wastes {tokens:.0%} of the tokens and {flops:.0%} of the operations."
        )


def ragged_lengths(batch: int = 16, longest: int = 256, seed: int = 0) -> tuple[int, ...]:
    """Lengths as texts have them: many short ones, a few long ones, the longest given."""
    draw = random.Random(seed)
    lengths = [min(longest, max(1, round(draw.lognormvariate(0, 0.6) * longest / 4))) for _ in range(batch - 1)]
    lengths.insert(draw.randrange(batch), longest)
    return tuple(lengths)


def waste_figure(lengths: Sequence[int], hidden_dim: int = 128) -> NotebookFigure:
    """Draw a batch's real tokens and its padding, and what both cost.

    Args:
        lengths: Tokens of each sequence.
        hidden_dim: ``num_heads * head_dim``.

    Returns:
        The figure; its ``caption`` is its alternative text.
    """
    waste = Waste(tuple(lengths), hidden_dim)
    sentences = [sentence if sentence.endswith(".") else f"{sentence}." for sentence in str(waste).split(". ")]
    row = {
        "real tokens blue, padding hatched": (0.09, 0.45),
        "shares of what it costs": (0.72, 0.25),
    }
    with matplotlib.rc_context(LOOK):
        figure, (batch, costs) = panels("What padding wastes", sentences, [], 2.6, row)
        _draw_batch(batch, waste)
        _draw_costs(costs, waste)
    return figure


def _draw_batch(axes: Axes, waste: Waste) -> None:
    longest, places = max(waste.lengths), range(len(waste.lengths))
    gaps = [longest - length for length in waste.lengths]
    axes.barh(places, waste.lengths, color=REAL, height=0.8)
    axes.barh(places, gaps, left=waste.lengths, **_PADDING, height=0.8)
    axes.set_xlabel("token", fontsize=8)
    axes.set_ylabel("sequence", fontsize=8)
    axes.set(xlim=(0, longest), ylim=(len(waste.lengths) - 0.4, -0.6))
    axes.tick_params(labelsize=7.5, length=2)


def _draw_costs(axes: Axes, waste: Waste) -> None:
    shares = [waste.packed_tokens / waste.padded_tokens, waste.packed_flops / waste.padded_flops]
    axes.barh([0, 1], shares, color=REAL, height=0.6)
    axes.barh([0, 1], [1 - share for share in shares], left=shares, **_PADDING, height=0.6)
    for place, share in enumerate(shares):
        if share > 0.2:  # else it has no room
            axes.text(share / 2, place, f"{share:.0%}", color="white", ha="center", va="center", fontsize=8)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        if share < 1:
            axes.text((1 + share) / 2, place, f"{1 - share:.0%} wasted", ha="center", va="center", fontsize=9, bbox=box)
    axes.set_yticks([0, 1], ["tokens", "operations"], fontsize=8.5, color=INK)
    axes.set(xlim=(0, 1), ylim=(1.5, -0.5), xticks=[])
