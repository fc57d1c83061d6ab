"""Heatmaps: where the masks act, and what a function's attention weights do about it.

Rows are queries, columns are keys. A masked cell is grey with a hatch that gives the reason; a red frame marks weight
that leaks into a masked cell. Figures are opaque white, so that they read the same in a dark theme.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from attention_lab.inputs import PAD, PackedBatch, PaddedBatch
from attention_lab.variants import Variant, get_variant


class Reason(IntEnum):
    """Why a query may not see a key. Padding and other sequences come before causality where both hold."""

    VISIBLE = 0
    CAUSAL = 1
    PADDING = 2
    OTHER_SEQUENCE = 3


class Leak(NamedTuple):
    """Weight on a key that the query may not see; ``item`` is the batch item, 0 for a packed batch."""

    head: int
    query: int
    key: int
    weight: float
    reason: Reason
    item: int = 0


# Right functions put exactly 0 on masked keys, in fp32, fp16 and bf16 alike: rounding moves weight between visible
# keys only. One tolerance does for every dtype, and it is about the smallest weight that the numbers can show.
LEAK_TOLERANCE = 1e-3
# Rows of bf16 weights sum to 1 within 3e-3.
_SUM_TOLERANCE = 2e-2

_HATCHES = {Reason.CAUSAL: "///", Reason.PADDING: "xxxx", Reason.OTHER_SEQUENCE: ".."}
_LEGEND = {
    Reason.CAUSAL: "causal: the key comes later",
    Reason.PADDING: "padding: the key is no token",
    Reason.OTHER_SEQUENCE: "the key is in another sequence",
}
_GREY, _HATCH, _VISIBLE, _LEAK, _INK, _PALE = "#d9d9d9", "#808080", "#d3e5f5", "#d62728", "#262626", "#757575"
_PALENESS = 0.7
_COLOURS = matplotlib.colormaps["cividis"]
# What a learner's matplotlib style could turn unreadable
_LOOK = {
    "axes.edgecolor": _INK,
    "axes.facecolor": "white",
    "axes.grid": False,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "hatch.linewidth": 1.0,
    "text.color": _INK,
    "text.usetex": False,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
}

_NUMBERS_UP_TO = 8  # tokens; in larger maps numbers would be too small to read
_LONGEST_LABEL = 12  # characters
_MOST_WIDTH = 10.0  # inches, a notebook's width; so are the sizes below
_LEAST_WIDTH = 5.4
_SMALLEST_CELL, _LARGEST_NUMBERED_CELL, _LARGEST_CELL = 0.195, 0.29, 0.23
_DPI = 100


class NotebookFigure(Figure):
    """A figure that shows itself once, as a cell's last expression.

    A figure made through pyplot shows twice there: as the cell's value and through the inline backend. This one is
    not pyplot's, so the inline backend does not know it; and it draws its own PNG, which a bare ``Figure`` does only
    after something has switched the inline backend on.

    Attributes:
        caption: The picture in words. It is the output's alternative text (nbconvert, and so nbgrader's feedback,
            writes it into ``alt``), its ``text/plain`` form, the PNG's ``Description`` and the figure's label.
    """

    caption: str = ""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", facecolor="white")
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = base64.b64encode(self._repr_png_()).decode()
        return {"image/png": picture, "text/plain": self.caption}, {"image/png": {"alt": self.caption}}


class _PaletteCanvas(FigureCanvasAgg):
    """Writes PNGs of 256 colours: a third of the bytes, and no colour was seen to move by more than 6 of 255.

    It sits below ``savefig``, so that a picture is small too where the inline backend draws it (Colab).
    """

    def print_png(
        self,
        filename_or_obj: Any,
        *,
        metadata: dict | None = None,
        pil_kwargs: dict | None = None,
        **already_applied: Any,  # dpi, facecolor and the like: print_figure sets them on the figure, too
    ) -> None:
        self.draw()
        size = self.get_width_height(physical=True)
        picture = Image.frombuffer("RGBA", size, self.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
        picture = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        words = PngInfo()
        for key, value in {"Description": self.figure.caption, **(metadata or {})}.items():
            words.add_text(key, str(value))
        options = {"format": "png", "dpi": (self.figure.dpi, self.figure.dpi), "pnginfo": words}
        picture.save(filename_or_obj, **options | (pil_kwargs or {}))


# ---- what is masked, what leaks -------------------------------------------------------------------------------------


def masked_cells(variant: str | Variant, batch: PaddedBatch | PackedBatch) -> Tensor:
    """Why each query may not see each key.

    Args:
        variant: One of the six, such as ``"eager_causal"``.
        batch: A padded batch for 01 to 04, a packed one for 05 and 06.

    Returns:
        int8 codes of ``Reason``: ``[batch, seq, seq]`` for a padded batch, ``[total_tokens, total_tokens]`` for a
        packed one.

    Raises:
        ValueError: The batch is of the other kind.
    """
    variant = get_variant(variant)
    if variant.packed != isinstance(batch, PackedBatch):
        wanted = "a packed batch" if variant.packed else "a padded batch"
        raise ValueError(f"{variant.name} takes {wanted}, got {type(batch).__name__}")
    place = torch.arange(batch.q.shape[-2])
    later = (place[None, :] > place[:, None]) & variant.causal
    reasons = torch.where(later, int(Reason.CAUSAL), int(Reason.VISIBLE)).to(torch.int8)
    if isinstance(batch, PackedBatch):
        sequence = torch.repeat_interleave(torch.arange(len(batch.lengths)), torch.tensor(batch.lengths))
        return reasons.masked_fill(sequence[:, None] != sequence[None, :], int(Reason.OTHER_SEQUENCE))
    reasons = reasons.expand(batch.batch, -1, -1).clone()
    if batch.mask is None:
        return reasons
    return reasons.masked_fill(~batch.mask.cpu()[:, None, :], int(Reason.PADDING))


def attention_leaks(
    variant: str | Variant,
    batch: PaddedBatch | PackedBatch,
    weights: Tensor,
    tolerance: float = LEAK_TOLERANCE,
    item: int | None = None,
) -> list[Leak]:
    """Find the weight that falls on masked keys; rows of padding queries are left out, since nobody reads them.

    Args:
        variant: One of the six.
        batch: The batch that the weights belong to.
        weights: From ``attention_map``.
        tolerance: Weights up to this much count as none.
        item: Which item of a padded batch; all of them by default.

    Returns:
        The leaks, ordered by item, head, query and key. NaN is no leak.

    Raises:
        ValueError: The weights do not have the batch's shape, or there is no such item.
    """
    variant = get_variant(variant)
    items = range(1 if isinstance(batch, PackedBatch) else batch.batch) if item is None else [item]
    return [leak for one in items for leak in _leaks(_one_map(variant, batch, weights, one), tolerance)]


def caption(variant: str | Variant, batch: PaddedBatch | PackedBatch, weights: Tensor, item: int = 0) -> str:
    """Say in one line what the map shows: what is wrong with it, or where one query looks.

    Args:
        variant: One of the six.
        batch: The batch that the weights belong to.
        weights: From ``attention_map``.
        item: Which item of a padded batch.

    Raises:
        ValueError: The weights do not have the batch's shape, or there is no such item.
    """
    map_ = _one_map(get_variant(variant), batch, weights, item)
    return " ".join(_caption(map_, _leaks(map_, LEAK_TOLERANCE)))


# ---- figures ---------------------------------------------------------------------------------------------------------


def mask_heatmap(variant: str | Variant, batch: PaddedBatch | PackedBatch) -> Figure:
    """Draw where the mask acts, before any answer: one panel for each batch item, or one for a packed batch.

    Args:
        variant: One of the six.
        batch: The batch to draw.

    Returns:
        The figure; as a cell's last expression it is shown once. Its ``caption`` is its alternative text.

    Raises:
        ValueError: The batch is of the other kind, or has no tokens.
    """
    variant = get_variant(variant)
    cells = masked_cells(variant, batch)
    packed = isinstance(batch, PackedBatch)
    panels = [cells] if packed else list(cells)
    tokens = [batch.tokens] if packed else list(batch.tokens)
    with matplotlib.rc_context(_LOOK):
        title = f"{variant.title}: where the mask acts"
        figure, axes, _ = _figure(tokens, title, _mask_caption(panels, packed), _hatch_handles(cells))
        for item, panel in enumerate(axes):
            _draw_mask(panel, panels[item], _borders(batch))
            panel.set_title("packed batch" if packed else f"batch item {item}", fontsize=9)
    return figure


def attention_heatmap(
    variant: str | Variant, batch: PaddedBatch | PackedBatch, weights: Tensor, item: int = 0
) -> Figure:
    """Draw a function's attention weights, head by head, beside the mask that they should obey.

    Args:
        variant: One of the six.
        batch: The batch that the weights belong to.
        weights: From ``attention_map``: ``[batch, num_heads, seq, seq]``, or
            ``[num_heads, total_tokens, total_tokens]``.
        item: Which item of a padded batch; a packed batch is drawn whole.

    Returns:
        The figure; as a cell's last expression it is shown once. Its ``caption`` is its alternative text.

    Raises:
        ValueError: The weights do not have the batch's shape, there is no such item, or the batch has no tokens.
    """
    variant = get_variant(variant)
    map_ = _one_map(variant, batch, weights, item)
    leaks = _leaks(map_, LEAK_TOLERANCE)
    which = "" if isinstance(batch, PackedBatch) else f", batch item {item}"
    title = f"{variant.title}{which}: your function's weights"
    heads = len(map_.weights)
    with matplotlib.rc_context(_LOOK):
        handles = [*_hatch_handles(map_.cells), *_weight_handles(map_, leaks)]
        tokens = [map_.tokens] * (1 + heads)
        figure, (first, *others), bar = _figure(tokens, title, _caption(map_, leaks), handles, colour_bar=True)
        _draw_mask(first, map_.cells, map_.borders)
        first.set_title("expected mask", fontsize=9)
        for head, axes in enumerate(others):
            image = _draw_weights(axes, map_, head, [leak for leak in leaks if leak.head == head])
            axes.set_title(f"head {head}", fontsize=9)
        figure.colorbar(image, cax=bar, ticks=[0, 0.2, 0.4, 0.6, 0.8, 1]).set_label("attention weight", fontsize=8)
        bar.tick_params(labelsize=7.5, length=2)
    return figure


# ---- data ------------------------------------------------------------------------------------------------------------


class _Map(NamedTuple):
    """One map to draw: a batch item, or a whole packed batch."""

    tokens: tuple[str, ...]
    cells: Tensor  # int8 [queries, keys], codes of Reason
    weights: Tensor  # float32 [num_heads, queries, keys]
    read: Tensor  # bool [queries], the rows of real tokens
    borders: list[int]
    item: int


def _one_map(variant: Variant, batch: PaddedBatch | PackedBatch, weights: Tensor, item: int) -> _Map:
    cells = masked_cells(variant, batch)
    tokens = cells.shape[-1]
    packed = isinstance(batch, PackedBatch)
    names = "[num_heads, total_tokens, total_tokens]" if packed else "[batch, num_heads, seq, seq]"
    expected = [batch.num_heads, tokens, tokens] if packed else [batch.batch, batch.num_heads, tokens, tokens]
    if not isinstance(weights, Tensor) or list(weights.shape) != expected:
        got = list(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"weights must be {expected}, a tensor {names} as attention_map gives it; got {got}")
    weights = weights.detach().float().cpu()
    items = 1 if packed else batch.batch
    if not 0 <= item < items:
        range_ = "be 0, a packed batch is drawn whole" if packed else f"lie between 0 and {items - 1}"
        raise ValueError(f"item must {range_}; got {item}")
    if packed:
        return _Map(batch.tokens, cells, weights, torch.ones(tokens, dtype=torch.bool), _borders(batch), 0)
    read = torch.ones(tokens, dtype=torch.bool) if batch.mask is None else batch.mask[item].cpu()
    return _Map(batch.tokens[item], cells[item], weights[item], read, [], item)


def _leaks(map_: _Map, tolerance: float) -> list[Leak]:
    leaking = (map_.weights.abs() > tolerance) & (map_.cells != Reason.VISIBLE) & map_.read[:, None]
    return [
        Leak(head, query, key, float(map_.weights[head, query, key]), Reason(int(map_.cells[query, key])), map_.item)
        for head, query, key in leaking.nonzero().tolist()
    ]


def _borders(batch: PaddedBatch | PackedBatch) -> list[int]:
    """Where one packed sequence ends and the next begins; an empty sequence has no borders of its own."""
    if not isinstance(batch, PackedBatch):
        return []
    return sorted(set(batch.cu_seqlens.tolist()) - {0, batch.total_tokens})


# ---- words -----------------------------------------------------------------------------------------------------------


def _mask_caption(panels: Sequence[Tensor], packed: bool) -> list[str]:
    seen = [int((cells == Reason.VISIBLE).sum()) for cells in panels]
    blind = sum(int((cells != Reason.VISIBLE).all(dim=1).sum()) for cells in panels)
    counts = f"{sum(seen)} of {sum(cells.numel() for cells in panels)}"
    if not packed and len(panels) <= 4:
        counts = ", ".join(
            f"{n} of {cells.numel()} (item {i})" for i, (n, cells) in enumerate(zip(seen, panels, strict=True))
        )
    sentences = [f"Blue cells are keys that a query may see: {counts}."]
    return [*sentences, f"{_count(blind, 'query sees', 'queries see')} no key at all."] if blind else sentences


def _caption(map_: _Map, leaks: Sequence[Leak]) -> list[str]:
    problems = [words for words in (_nan_words(map_), _leak_words(map_, leaks), _sum_words(map_)) if words]
    if not bool(map_.read.any()):
        return [*problems, "Every query here is padding: nobody reads these rows."]
    if problems:
        return problems
    masked = bool((map_.cells[map_.read] != Reason.VISIBLE).any())
    clean = "No weight falls on a masked key." if masked else "Nothing is masked."
    return [words for words in (_look_words(map_), clean) if words]


def _nan_words(map_: _Map) -> str:
    broken = ~torch.isfinite(map_.weights)
    if not broken.any():
        return ""
    head, query, _ = broken.nonzero()[0].tolist()
    blind = bool((map_.cells[query] != Reason.VISIBLE).all())
    where = f"the row of {_name(map_.tokens, query)} (head {head})" + (", which sees no key" if blind else "")
    number = int(broken.sum())
    kind = "NaN" if torch.isnan(map_.weights).any() else "infinite"
    return f"{_count(number, 'weight is', 'weights are')} {kind}{', the first' if number > 1 else ''} in {where}."


def _leak_words(map_: _Map, leaks: Sequence[Leak]) -> str:
    if not leaks:
        return ""
    worst = max(leaks, key=lambda leak: abs(leak.weight))
    key = _name(map_.tokens, worst.key)
    target = {
        Reason.CAUSAL: f"the later token {key}",
        Reason.PADDING: f"the padding at place {worst.key}",
        Reason.OTHER_SEQUENCE: f"{key} of another sequence",
    }[worst.reason]
    return (
        f"Weight leaks into {_count(len(leaks), 'masked cell', 'masked cells')}: "
        f"{_name(map_.tokens, worst.query)} puts {_decimal(worst.weight)} on {target} (head {worst.head})."
    )


def _sum_words(map_: _Map) -> str:
    """Rows that do not sum to 1: masked after the softmax, or no softmax at all."""
    sums = map_.weights.sum(-1)  # [num_heads, queries]
    off = torch.where(map_.read & torch.isfinite(sums), (sums - 1).abs(), 0.0)
    off = torch.where((map_.cells == Reason.VISIBLE).any(-1), off, 0.0)
    if not bool((off > _SUM_TOLERANCE).any()):
        return ""
    head, query = divmod(int(off.argmax()), len(map_.tokens))
    total = float(sums[head, query])
    return f"The weights of {_name(map_.tokens, query)} sum to {total:.2f}, not to 1 (head {head})."


def _look_words(map_: _Map) -> str:
    shown = (map_.cells == Reason.VISIBLE) & map_.read[:, None]
    shown &= ~torch.eye(len(map_.tokens), dtype=torch.bool)  # looking at oneself says little
    if not shown.any():
        return ""
    flat = int(torch.where(shown, map_.weights, -torch.inf).argmax())
    head, cell = divmod(flat, len(map_.tokens) ** 2)
    query, key = divmod(cell, len(map_.tokens))
    weight = float(map_.weights[head, query, key])
    names = f"Query {_name(map_.tokens, query)} looks most at {_name(map_.tokens, key)}"
    return f"{names} ({weight:.2f}, head {head})."


def _name(tokens: Sequence[str], place: int) -> str:
    """The token in quotes, with its place where the same word stands twice."""
    token = tokens[place]
    return f"'{token}'" + (f" at place {place}" if tokens.count(token) > 1 else "")


def _decimal(weight: float) -> str:
    return f"{weight:.2f}" if abs(weight) >= 0.01 else f"{weight:.1g}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


# ---- panels ----------------------------------------------------------------------------------------------------------


def _draw_mask(axes: Axes, cells: Tensor, borders: Sequence[int]) -> None:
    axes.imshow((cells == Reason.VISIBLE).numpy(), cmap=ListedColormap([_GREY, _VISIBLE]), vmin=0, vmax=1)
    _draw_hatches(axes, cells)
    _draw_lines(axes, len(cells), borders)


def _draw_weights(axes: Axes, map_: _Map, head: int, leaks: Sequence[Leak]) -> AxesImage:
    weights, tokens = map_.weights[head], len(map_.tokens)
    numbered = tokens <= _NUMBERS_UP_TO
    image = axes.imshow(weights.nan_to_num().clamp(0, 1).numpy(), cmap=_COLOURS, vmin=0, vmax=1)
    leaking = torch.zeros_like(map_.cells, dtype=torch.bool)
    for leak in leaks:
        leaking[leak.query, leak.key] = True
    # a leaking cell shows its weight; every other masked cell shows its reason
    _draw_hatches(axes, torch.where(leaking, int(Reason.VISIBLE), map_.cells))
    # drawn before the grid, and above: rows that nobody reads turn pale
    axes.add_patch(_squares((~map_.read)[:, None].expand(tokens, tokens), fc="white", alpha=_PALENESS, lw=0, zorder=2))
    broken = ~torch.isfinite(weights)
    axes.add_patch(_squares(broken, fc="white", lw=0, zorder=2))
    _draw_lines(axes, tokens, map_.borders)
    # red between two white lines: seen on dark blue and on yellow, and without red too
    axes.add_patch(_squares(leaking, inset=0.045, fc="none", ec="white", lw=2.2, zorder=4))
    axes.add_patch(_squares(leaking, inset=0.045, fc="none", ec=_LEAK, lw=1.3, zorder=5))
    if numbered:
        shown = ((map_.cells == Reason.VISIBLE) | leaking) & map_.read[:, None]
        _write_numbers(axes, weights, (shown | broken).nonzero().tolist())
    else:
        places = broken.nonzero().tolist()
        axes.plot([key for _, key in places], [query for query, _ in places], "x", c=_LEAK, ms=6, zorder=6)
    return image


def _draw_hatches(axes: Axes, cells: Tensor) -> None:
    for reason, hatch in _HATCHES.items():
        axes.add_patch(_squares(cells == reason, fc=_GREY, ec=_HATCH, hatch=hatch, lw=0))


def _draw_lines(axes: Axes, tokens: int, borders: Sequence[int]) -> None:
    """The white grid and, dark, where one packed sequence ends and the next begins."""
    for places, colour, width, zorder in ((range(1, tokens), "white", 0.8, 3), (borders, _INK, 1.6, 6)):
        across = [[(-0.5, place - 0.5), (tokens - 0.5, place - 0.5)] for place in places]
        lines = across + [[(y, x) for x, y in line] for line in across]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=zorder), autolim=False)


def _squares(where: Tensor, inset: float = 0.0, **look: Any) -> PathPatch:
    """One patch of all marked cells: much faster than one for each."""
    low, high = inset - 0.5, 0.5 - inset
    corners = [(low, low), (high, low), (high, high), (low, high), (low, low)]
    vertices = [(key + x, query + y) for query, key in where.nonzero().tolist() for x, y in corners]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * (len(vertices) // 5)
    path = Path(vertices, codes) if vertices else Path([(0.0, 0.0)])
    return PathPatch(path, **look, visible=bool(vertices), joinstyle="miter")


def _write_numbers(axes: Axes, weights: Tensor, places: Sequence[list[int]]) -> None:
    style = {"fontsize": 7, "ha": "center", "va": "center", "zorder": 6, "parse_math": False}
    for query, key in places:
        weight = float(weights[query, key])
        axes.text(key, query, _number(weight), color=_text_colour(weight), **style)


def _number(weight: float) -> str:
    """``.57``; ``1`` and ``0`` for what rounds to them; one decimal for what is no weight at all."""
    if not -torch.inf < weight < torch.inf:
        return "NaN" if weight != weight else "inf"
    rounded = round(weight, 2)
    if rounded in (0, 1):
        return f"{rounded:.0f}".replace("-", "")
    if abs(rounded) < 1:
        return f"{rounded:.2f}".replace("0.", ".", 1)
    return f"{weight:.1f}" if abs(weight) < 9.95 else f"{weight:.0f}"


def _text_colour(weight: float) -> str:
    """Black or white, whichever stands out more from the cell's colour."""
    if not -torch.inf < weight < torch.inf:
        return _LEAK
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _COLOURS(min(max(weight, 0.0), 1.0))[:3]
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"  # where the contrast with both is the same


# ---- legend ----------------------------------------------------------------------------------------------------------


def _hatch_handles(cells: Tensor) -> list[Patch]:
    return [
        Patch(facecolor=_GREY, edgecolor=_HATCH, hatch=hatch, linewidth=0, label=_LEGEND[reason])
        for reason, hatch in _HATCHES.items()
        if bool((cells == reason).any())
    ]


def _weight_handles(map_: _Map, leaks: Sequence[Leak]) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = []
    if not bool(map_.read.all()):
        pale = [_PALENESS + (1 - _PALENESS) * c for c in _COLOURS(0.1)[:3]]
        handles.append(Patch(facecolor=pale, linewidth=0, label="pale: a padding query, nobody reads its row"))
    if leaks:
        handles.append(
            Patch(facecolor="white", edgecolor=_LEAK, linewidth=1.8, label="weight leaks into a masked cell")
        )
    if len(map_.tokens) > _NUMBERS_UP_TO and not bool(torch.isfinite(map_.weights).all()):
        handles.append(Line2D([], [], color=_LEAK, marker="x", linestyle="", label="NaN or infinite"))
    return handles


# ---- layout ----------------------------------------------------------------------------------------------------------
# Placed by hand, in inches: matplotlib's constrained layout takes longer than all of the drawing.


def _figure(
    tokens: Sequence[Sequence[str]],
    title: str,
    sentences: Sequence[str],
    handles: Sequence[Patch | Line2D],
    colour_bar: bool = False,
) -> tuple[NotebookFigure, list[Axes], Axes | None]:
    """An empty figure with a panel for each row of tokens, its texts and its legend."""
    panels, keys = len(tokens), len(tokens[0]) if tokens else 0
    if keys == 0:
        raise ValueError("there is nothing to draw: the batch has no tokens")
    labels = [[_shortened(token) for token in row] for row in tokens]
    beside = max(_width(label, 8) for row in labels for label in row) + 0.1
    left, right, gap = 0.37, 0.75 if colour_bar else 0.15, 0.16
    columns, cell = _fit(panels, keys, _MOST_WIDTH - left - right, beside + gap)
    rows, side = -(-panels // columns), keys * cell
    slanted = cell >= 0.18
    below = beside * (0.72 if slanted else 1) + 0.33
    block = left + columns * (beside + side) + (columns - 1) * gap + right
    width = min(_MOST_WIDTH, max(block, _LEAST_WIDTH, _width(title, 10) * 1.15 + 0.3))
    lines = _wrapped(sentences, width - 0.4, 8.5)
    legend_columns = _legend_columns(handles, width)
    legend_rows = -(-len(handles) // legend_columns)
    bottom = 0.1 + 0.21 * legend_rows + 0.18 * len(lines) + 0.1
    height = 0.34 + rows * (0.28 + side + below) + bottom

    figure = NotebookFigure(figsize=(width, height), dpi=_DPI, facecolor="white")
    _PaletteCanvas(figure)
    figure.caption = f"{title}. {' '.join(sentences)}"
    figure.set_label(figure.caption)
    plain = {"ha": "center", "parse_math": False}
    figure.text(0.5, 1 - 0.1 / height, title, va="top", fontsize=10, fontweight="bold", **plain)
    figure.text(0.5, (0.16 + 0.21 * legend_rows) / height, "\n".join(lines), va="bottom", fontsize=8.5, **plain)
    if handles:
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.07 / height), "ncols": legend_columns}
        looks = {"fontsize": 8, "frameon": False, "borderpad": 0, "borderaxespad": 0, "handlelength": 2.2}
        figure.legend(handles=handles, **place, **looks, handleheight=1.0, columnspacing=1.6, labelspacing=0.4)

    start = (width - block) / 2 + left
    axes = []
    for number in range(panels):
        row, column = divmod(number, columns)
        x = start + beside + column * (side + beside + gap)
        y = height - 0.34 - row * (0.28 + side + below) - 0.28 - side
        panel = figure.add_axes((x / width, y / height, side / width, side / height))
        _label(panel, labels[number], max(1, math.ceil(0.13 / cell)), slanted)
        figure.text((x + side / 2) / width, (y - below + 0.08) / height, "key", fontsize=8, ha="center")
        if column == 0:
            place = {"x": (x - beside - 0.08) / width, "y": (y + side / 2) / height}
            figure.text(**place, s="query", fontsize=8, rotation=90, ha="right", va="center")
        axes.append(panel)
    if not colour_bar:
        return figure, axes, None
    top = 1 - (0.34 + 0.28) / height
    x = (start + columns * (beside + side) + (columns - 1) * gap + 0.12) / width
    return figure, axes, figure.add_axes((x, top - side / height, 0.13 / width, side / height))


def _fit(panels: int, keys: int, room: float, beside: float) -> tuple[int, float]:
    """Panels in a row and inches of a cell: as few rows as leave the cells readable."""
    largest = max(1.3 / (keys + 1), _LARGEST_NUMBERED_CELL if keys <= _NUMBERS_UP_TO else _LARGEST_CELL)
    for rows in range(1, panels + 1):
        columns = -(-panels // rows)
        cell = min(largest, (room / columns - beside) / keys)
        if cell >= _SMALLEST_CELL or columns <= 2:
            break
    return columns, cell


def _label(axes: Axes, labels: Sequence[str], step: int, slanted: bool) -> None:
    """Name the tokens on both axes; where there are too many, every ``step``-th.

    As texts, not tick labels: these take a third of the whole figure's time.
    """
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    beside, below = axes.get_yaxis_text1_transform(4)[0], axes.get_xaxis_text1_transform(4)[0]
    turn = {"rotation": 45, "ha": "right", "va": "top"} if slanted else {"rotation": 90, "ha": "center", "va": "top"}
    for place in range(0, len(labels), step):
        style = {"fontsize": 8, "parse_math": False, "color": _PALE if labels[place] == PAD else _INK}
        axes.text(0, place, labels[place], transform=beside, ha="right", va="center", **style)
        axes.text(
            place, 0, labels[place], transform=below, rotation_mode="anchor" if slanted else None, **turn, **style
        )


def _legend_columns(handles: Sequence[Patch | Line2D], width: float) -> int:
    widest = max((_width(handle.get_label(), 8) for handle in handles), default=0.0) + 0.6
    columns = max(1, min(len(handles), int((width - 0.1) // widest)))
    return max(1, -(-len(handles) // -(-len(handles) // columns))) if handles else 1  # even rows


def _wrapped(sentences: Sequence[str], width: float, size: float) -> list[str]:
    """One line where that fits, else a line for each sentence, broken only where it must be."""
    line = " ".join(sentences)
    if _width(line, size) <= width:
        return [line]
    letters = max(20, int(len(line) * width / _width(line, size)))
    return [part for sentence in sentences for part in textwrap.wrap(sentence, letters)]


def _shortened(token: str) -> str:
    return token if len(token) <= _LONGEST_LABEL else token[: _LONGEST_LABEL - 1] + "…"


def _width(text: str, size: float) -> float:
    """Inches that a text takes."""
    return _ruler().get_text_width_height_descent(text, FontProperties(size=size), False)[0] / _DPI


@cache
def _ruler() -> RendererAgg:
    return RendererAgg(1, 1, _DPI)
