"""One map of queries and keys: its cells, hatches, numbers, borders and labels. Rows are queries, columns are keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from torch import Tensor

from attention_lab.inputs import PAD
from attention_lab.maps.figure import text_width
from attention_lab.rules import RULES, Reason, Rule

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

GREY, HATCH, LEAK, INK, PALE_INK = "#d9d9d9", "#808080", "#d62728", "#262626", "#757575"
# From nearly white to blue: a key that may be seen and gets no weight looks in a map as it does in a mask, and no
# weight looks like the grey of a mask
VISIBLE = "#cfe1f2"
WEIGHT_COLOURS = LinearSegmentedColormap.from_list("weights", [VISIBLE, "#9ecae1", "#4292c6", "#08519c", "#08306b"])
SCORE_COLOURS = matplotlib.colormaps["RdBu_r"]
# What a learner's matplotlib style could turn unreadable
LOOK: dict[RcKeyType, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "white",
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "hatch.linewidth": 1.0,
    "text.color": INK,
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelcolor": INK,
    "ytick.color": INK,
    "ytick.labelcolor": INK,
}
NUMBERS_UP_TO = 8  # tokens; in larger maps numbers would be too small to read
SLANTED_FROM = 0.18  # inches of a cell: in narrower ones slanted labels would touch

_PALENESS = 0.7
_LONGEST_LABEL = 12  # characters
_SMALLEST_NUMBER, _LARGEST_NUMBER = 7.0, 8.5  # points


# ---- cells -----------------------------------------------------------------------------------------------------------


def draw_mask(axes: Axes, cells: Tensor, borders: Sequence[int] = ()) -> None:
    """Draw who may see whom.

    Args:
        axes: An empty panel.
        cells: int8 ``[queries, keys]``, codes of ``Reason``.
        borders: Places where one packed sequence ends and the next begins.
    """
    axes.imshow((cells == Reason.VISIBLE).numpy(), cmap=ListedColormap([GREY, VISIBLE]), vmin=0, vmax=1)
    _draw_hatches(axes, cells)
    _draw_lines(axes, cells, borders)


def draw_weights(
    axes: Axes,
    weights: Tensor,
    cells: Tensor,
    read: Tensor,
    cell: float,
    leaking: Tensor | None = None,
    borders: Sequence[int] = (),
) -> AxesImage:
    """Draw weights from 0 to 1, with the mask drawn over.

    Args:
        axes: An empty panel.
        weights: float32 ``[queries, keys]``.
        cells: int8 ``[queries, keys]``, codes of ``Reason``.
        read: bool ``[queries]``; rows of padding queries turn pale.
        cell: Size of a cell in inches; decides on numbers.
        leaking: bool ``[queries, keys]``, masked cells that hold weight: framed in red, and showing it.
        borders: Places where one packed sequence ends and the next begins.

    Returns:
        The image, for a colour bar.
    """
    leaking = torch.zeros_like(cells, dtype=torch.bool) if leaking is None else leaking
    image = axes.imshow(weights.nan_to_num().clamp(0, 1).numpy(), cmap=WEIGHT_COLOURS, vmin=0, vmax=1)
    # a leaking cell shows its weight; every other masked cell shows its reason
    _draw_hatches(axes, torch.where(leaking, int(Reason.VISIBLE), cells))
    # drawn before the grid, and above: rows that nobody reads turn pale
    axes.add_patch(_squares((~read)[:, None].expand_as(cells), fc="white", alpha=_PALENESS, lw=0, zorder=2))
    broken = ~torch.isfinite(weights)
    axes.add_patch(_squares(broken, fc="white", lw=0, zorder=2))
    _draw_lines(axes, cells, borders)
    # red between two white lines: seen on dark blue, and without red too
    axes.add_patch(_squares(leaking, inset=0.045, fc="none", ec="white", lw=2.2, zorder=4))
    axes.add_patch(_squares(leaking, inset=0.045, fc="none", ec=LEAK, lw=1.3, zorder=5))
    shown = ((cells == Reason.VISIBLE) | leaking) & read[:, None] & ~broken
    if has_numbers(cells):
        _write_numbers(axes, weights, shown.nonzero().tolist(), WEIGHT_COLOURS, cell)
    places = broken.nonzero().tolist()
    if broken_is_written(cells, cell):
        _write_numbers(axes, weights, places, WEIGHT_COLOURS, cell)
    else:
        axes.plot([key for _, key in places], [query for query, _ in places], "x", c=LEAK, ms=6, zorder=6)
    return image


def draw_scores(axes: Axes, scores: Tensor, cells: Tensor | None, limit: float, cell: float) -> AxesImage:
    """Draw scores, diverging around 0.

    Args:
        axes: An empty panel.
        scores: float32 ``[queries, keys]``.
        cells: int8 ``[queries, keys]``, codes of ``Reason``; ``None`` before any mask.
        limit: The score whose colour is the strongest; larger ones look the same and keep their numbers.
        cell: Size of a cell in inches; decides on the numbers' size.

    Returns:
        The image, for a colour bar.
    """
    image = axes.imshow(scores.clamp(-limit, limit).numpy(), cmap=SCORE_COLOURS, vmin=-limit, vmax=limit)
    shown = torch.ones_like(scores, dtype=torch.bool) if cells is None else cells == Reason.VISIBLE
    if cells is not None:
        _draw_hatches(axes, cells)
    _draw_lines(axes, scores, ())
    if has_numbers(scores):
        _write_numbers(axes, scores, shown.nonzero().tolist(), SCORE_COLOURS, cell, limit)
    return image


def draw_choice(axes: Axes, query: int, key: int) -> None:
    """Frame one cell in black between white lines: the one that a sentence is about."""
    chosen = torch.zeros(query + 1, key + 1, dtype=torch.bool)
    chosen[query, key] = True
    axes.add_patch(_squares(chosen, inset=0.03, fc="none", ec="white", lw=4, zorder=7))
    axes.add_patch(_squares(chosen, inset=0.03, fc="none", ec="black", lw=2, zorder=8))


def has_numbers(cells: Tensor) -> bool:
    """Whether a map ``[queries, keys]`` shows its numbers."""
    return max(cells.shape) <= NUMBERS_UP_TO


def broken_is_written(cells: Tensor, cell: float) -> bool:
    """Whether the word NaN has room in a cell; a cross stands for it otherwise."""
    return has_numbers(cells) and cell >= text_width("NaN", _SMALLEST_NUMBER) + 0.02


def _draw_hatches(axes: Axes, cells: Tensor) -> None:
    for rule in _acting_on(cells):
        axes.add_patch(_squares(cells == rule.reason, fc=GREY, ec=HATCH, hatch=rule.hatch, lw=0))


def _acting_on(cells: Tensor) -> list[Rule]:
    """The rules that hide some of the cells."""
    return [rule for rule in RULES.values() if bool((cells == rule.reason).any())]


def _draw_lines(axes: Axes, cells: Tensor, borders: Sequence[int]) -> None:
    """The white grid and, dark, where one packed sequence ends and the next begins."""
    queries, keys = cells.shape
    for rows, columns, colour, width, zorder in (
        (range(1, queries), range(1, keys), "white", 0.8, 3),
        (borders, borders, INK, 1.6, 6),
    ):
        lines = [[(-0.5, place - 0.5), (keys - 0.5, place - 0.5)] for place in rows]
        lines += [[(place - 0.5, -0.5), (place - 0.5, queries - 0.5)] for place in columns]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=zorder), autolim=False)


def _squares(where: Tensor, inset: float = 0.0, **look: Any) -> PathPatch:
    """One patch of all marked cells: much faster than one for each."""
    low, high = inset - 0.5, 0.5 - inset
    corners = [(low, low), (high, low), (high, high), (low, high), (low, low)]
    vertices = [(key + x, query + y) for query, key in where.nonzero().tolist() for x, y in corners]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * (len(vertices) // 5)
    path = Path(vertices, codes) if vertices else Path([(0.0, 0.0)])
    return PathPatch(path, **look, visible=bool(vertices), joinstyle="miter")


# ---- numbers ---------------------------------------------------------------------------------------------------------


def _write_numbers(
    axes: Axes, values: Tensor, places: Sequence[list[int]], colours: Colormap, cell: float, limit: float = 0.0
) -> None:
    """Write weights or, where there is a limit, scores into their cells."""
    size = min(_LARGEST_NUMBER, max(_SMALLEST_NUMBER, 26 * cell))
    style: dict[str, Any] = {"fontsize": size, "ha": "center", "va": "center", "zorder": 6, "parse_math": False}
    for query, key in places:
        value = float(values[query, key])
        text = score_text(value) if limit else weight_text(value)
        colour = _text_colour(value / limit / 2 + 0.5 if limit else value, colours)
        axes.text(key, query, text, color=colour, **style)


def weight_text(weight: float) -> str:
    """``.57``; ``1`` and ``0`` for what rounds to them; one decimal for what is no weight at all."""
    if not -torch.inf < weight < torch.inf:
        return "NaN" if weight != weight else "inf"
    rounded = round(weight, 2)
    if rounded in (0, 1):
        return f"{rounded:.0f}".replace("-", "")
    if abs(rounded) < 1:
        return f"{rounded:.2f}".replace("0.", ".", 1)
    return f"{weight:.1f}" if abs(weight) < 9.95 else f"{weight:.0f}"


def score_text(score: float) -> str:
    """``−1.5``; whole numbers without decimals, and from 10 on no decimals at all."""
    text = f"{score:.1f}" if abs(score) < 9.95 else f"{score:.0f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text.replace("-", "−")


def _text_colour(place: float, colours: Colormap) -> str:
    """Black or white, whichever stands out more from the cell's colour."""
    if not -torch.inf < place < torch.inf:
        return LEAK
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colours(min(max(place, 0.0), 1.0))[:3]
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"  # where the contrast with both is the same


# ---- legend ----------------------------------------------------------------------------------------------------------


def hatch_handles(cells: Tensor) -> list[Patch]:
    """Legend entries of the reasons that occur in some cells."""
    return [
        Patch(facecolor=GREY, edgecolor=HATCH, hatch=rule.hatch, linewidth=0, label=rule.legend)
        for rule in _acting_on(cells)
    ]


def pale_handle() -> Patch:
    """Legend entry of the rows of padding queries."""
    red, green, blue = (_PALENESS + (1 - _PALENESS) * c for c in WEIGHT_COLOURS(0.1)[:3])
    return Patch(
        facecolor=(red, green, blue),
        edgecolor=HATCH,
        linewidth=0.4,
        label="pale: a padding query, nobody reads its row",
    )


def leak_handle(label: str = "weight leaks into a masked cell") -> Patch:
    """Legend entry of the red frames."""
    return Patch(facecolor="white", edgecolor=LEAK, linewidth=1.8, label=label)


def broken_handle() -> Line2D:
    """Legend entry of the crosses."""
    return Line2D([], [], color=LEAK, marker="x", linestyle="", label="NaN or infinite")


# ---- labels ----------------------------------------------------------------------------------------------------------


def label_tokens(axes: Axes, keys: Sequence[str], queries: Sequence[str], *, step: int, slanted: bool) -> None:
    """Name keys below and queries beside, if a neighbour does not; where there are too many, every ``step``-th.

    As texts, not tick labels: these take a third of the whole figure's time.
    """
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    left, below = axes.get_yaxis_text1_transform(4)[0], axes.get_xaxis_text1_transform(4)[0]
    turn: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "top"}
    if slanted:
        turn = {"rotation": 45, "ha": "right", "va": "top", "rotation_mode": "anchor"}
    for place in range(0, len(keys), step):
        axes.text(place, 0, shortened(keys[place]), transform=below, **turn, **_label_look(keys[place]))
    for place in range(0, len(queries), step):
        look = _label_look(queries[place])
        axes.text(0, place, shortened(queries[place]), transform=left, ha="right", va="center", **look)


def _label_look(token: str) -> dict[str, Any]:
    return {"fontsize": 8, "parse_math": False, "color": PALE_INK if token == PAD else INK}


def label_width(tokens: Sequence[str]) -> float:
    """Inches that the widest label takes."""
    return max((text_width(shortened(token), 8) for token in tokens), default=0.0)


def shortened(token: str) -> str:
    """The token as its label shows it."""
    return token if len(token) <= _LONGEST_LABEL else token[: _LONGEST_LABEL - 1] + "…"
