"""Boxes, arrows and grids on a transparent ground, in inches: readable on light and on dark pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from attention_lab.maps.figure import DPI, NotebookFigure

# Words on the bare ground are of a grey that stands out from white and from black alike (4:1 and more);
# all others stand in boxes that bring their own ground
WORDS = "#787d85"
DARK = "#1f2933"
PLAIN, SEEN, YOURS, HIDDEN, WRONG = "#dfe5ee", "#9cc3e6", "#ffd37a", "#c9ccd1", "#f2a38c"
EDGE = "#6b7480"
SIZE = 9.5  # points; 13 pixels


class Picture(NotebookFigure):
    """A diagram without a ground of its own."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", transparent=True, pil_kwargs={"optimize": True})
        return buffer.getvalue()


def blank(width: float, height: float, caption: str) -> tuple[Picture, Axes]:
    """An empty picture of some inches, and the axes that measure it in inches from the lower left corner."""
    picture = Picture(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(picture)
    picture.caption = caption
    picture.set_label(caption)
    axes = picture.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return picture, axes


def box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str = PLAIN, **style: Any
) -> None:
    """A rounded box with its lower left corner at ``x, y`` and words in its middle."""
    shape = f"round,pad=0,rounding_size={min(0.07, height / 4)}"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, fc=colour, ec=EDGE, lw=1, zorder=3))
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SIZE, "color": DARK, "zorder": 4}
    axes.text(x + width / 2, y + height / 2, text, parse_math=False, **look | style)


def words(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Words on the bare ground."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SIZE, "color": WORDS, "zorder": 4}
    axes.text(x, y, text, parse_math=False, **look | style)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], **style: Any) -> None:
    """An arrow between two points."""
    look: dict[str, Any] = {"color": WORDS, "lw": 1.2, "zorder": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", **look | style))


def line(axes: Axes, start: tuple[float, float], end: tuple[float, float], **style: Any) -> None:
    """A straight line between two points."""
    look: dict[str, Any] = {"color": WORDS, "lw": 1, "zorder": 2}
    axes.plot([start[0], end[0]], [start[1], end[1]], **look | style)


def grid(axes: Axes, x: float, top: float, cell: float, rows: Sequence[Sequence[str]]) -> None:
    """Square cells, one colour each, the first row on top."""
    for row, colours in enumerate(rows):
        for column, colour in enumerate(colours):
            corner = (x + column * cell, top - (row + 1) * cell)
            axes.add_patch(Rectangle(corner, cell, cell, fc=colour, ec="white", lw=0.8, zorder=3))
