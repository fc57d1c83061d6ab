"""Curves of what attention costs, over the length of the sequences: one look for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from attention_lab.maps.figure import NotebookFigure
from attention_lab.maps.layout import NARROW, TOP, foot, framed
from attention_lab.variants import VARIANTS

# Okabe and Ito's colours, told apart with colour-vision loss too; markers say the same without colour
_LOOKS = {
    "eager": ("#d55e00", "o"),
    "tiled": ("#e69f00", "v"),
    "flex": ("#56b4e9", "h"),
    "sdpa": ("#0072b2", "s"),
    "flash": ("#009e73", "^"),
    "flash-attn": ("#009e73", "^"),
    "varlen_attn": ("#cc79a7", "D"),
}
_MORE_MARKERS = ("P", "X", "*")
_ABOVE, _BETWEEN, _BELOW = 0.3, 0.85, 0.5  # inches for panels' titles, and for their axes


class Point(NamedTuple):
    """A measured value and how far it scattered."""

    x: float
    y: float
    low: float
    high: float


def panels(
    title: str,
    sentences: Sequence[str],
    handles: Sequence[Patch | Line2D],
    tall: float,
    *rows: dict[str, tuple[float, float]],
) -> tuple[NotebookFigure, list[Axes]]:
    """A figure with a caption below and panels of one height.

    Args:
        title: Of the figure.
        sentences: The caption.
        handles: The legend's entries.
        tall: Height of a panel, in inches.
        rows: By title of a panel its left edge and its width, as shares of the figure's.
    """
    below = foot(sentences, handles, NARROW)
    height = TOP + _ABOVE + len(rows) * (tall + _BETWEEN) - _BETWEEN + _BELOW + below.height
    figure, axes = framed(NARROW, height, title, sentences, below), []
    for number, places in enumerate(rows):
        bottom = height - TOP - _ABOVE - tall - number * (tall + _BETWEEN)
        for text, (left, wide) in places.items():
            axes.append(figure.add_axes((left, bottom / height, wide, tall / height)))
            axes[-1].set_title(text, fontsize=9)
    return figure, axes


Curves = Mapping[str, Sequence[Point]]


def draw_curves(axes: Axes, curves: Curves, x_label: str, y_label: str, *, log: bool = True) -> None:
    """Draw one line a name; a causal variant's is dashed.

    Args:
        axes: An empty panel.
        curves: Points by name of a variant, or of a kernel.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
        log: Whether both axes are logarithmic; else x is a share.
    """
    for name, points in curves.items():
        x, y, low, high = zip(*points, strict=True) if points else ((), (), (), ())
        style = look(name)
        axes.plot(x, y, **style)
        axes.fill_between(x, low, high, color=style["color"], alpha=0.15, lw=0)
    ticks = sorted({point.x for points in curves.values() for point in points})
    if log:
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks, [_short(tick) if log else f"{tick:.0%}" for tick in ticks])
    axes.set_xlabel(x_label, fontsize=8)
    axes.set_ylabel(y_label, fontsize=8)
    axes.tick_params(labelsize=7.5, length=2)
    axes.grid(True, color="#e5e5e5", lw=0.7)
    axes.set_axisbelow(True)


def _short(number: float) -> str:
    """``16384`` to ``16k``: six lengths have to fit below a narrow panel."""
    return f"{number:g}" if number < 1024 else f"{number / 1024:g}k"


def look(name: str) -> dict[str, Any]:
    """Colour, marker and line of a kernel or a variant."""
    variant = VARIANTS.get(name)
    colour, marker = _LOOKS[name if variant is None else variant.kernel]
    causal = variant is not None and variant.causal
    if variant is not None:  # those of one kernel and direction are told apart by their markers
        alike = [other.name for other in VARIANTS.values() if (other.kernel, other.causal) == (variant.kernel, causal)]
        markers = (marker, *_MORE_MARKERS)
        marker = markers[alike.index(name) % len(markers)]
    # two kernels that take the same time lie one on the other: a broad line shows below a narrow one
    size = {"lw": 3.4, "ms": 8} if name == "flash-attn" else {"lw": 1.6, "ms": 5}
    line = {"ls": "--", "mfc": "white"} if causal else {"ls": "-", "mfc": colour}
    return {"color": colour, "marker": marker} | line | size


def handles(names: Sequence[str]) -> list[Line2D]:
    """Legend entries."""
    return [Line2D([], [], **look(name), label=name if name in _LOOKS else name.replace("_", " ")) for name in names]
