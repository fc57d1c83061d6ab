"""Heatmaps: where the masks act, and what a function's attention weights do about it.

Rows are queries, columns are keys. A masked cell is grey with a hatch that gives the reason; a red frame marks weight
that leaks into a masked cell. Figures are opaque white, so that they read the same in a dark theme.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
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
    """Weight on a key that the query may not see."""

    head: int
    query: int
    key: int
    weight: float
    reason: Reason


_HATCHES = {Reason.CAUSAL: "////", Reason.PADDING: "xxxx", Reason.OTHER_SEQUENCE: "...."}
_LEGEND = {
    Reason.CAUSAL: "causal: the key comes later",
    Reason.PADDING: "padding: the key is no token",
    Reason.OTHER_SEQUENCE: "the key is in another sequence",
}
_WORDS = {
    Reason.CAUSAL: "the later token",
    Reason.PADDING: "the padding at place",
    Reason.OTHER_SEQUENCE: "the other sequence's",
}
_GREY, _VISIBLE, _LEAK, _INK = "#d9d9d9", "#dce9f5", "#d62728", "#404040"
_COLOURS = matplotlib.colormaps["cividis"]
_NUMBERS_UP_TO = 8  # tokens; more numbers than that are too small to read

# Rounding in bf16 leaves sums off by 3e-3 but masked weights at 0; what is larger is a leak in any dtype
LEAK_TOLERANCE = 1e-3


class NotebookFigure(Figure):
    """A figure that shows itself once, as a cell's last expression.

    A figure made through pyplot shows twice there: as the cell's value and through the inline backend. This one is
    not pyplot's, and draws its own PNG. ``caption`` is its one line of text, for readers who cannot see it.
    """

    caption: str = ""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", metadata={"Description": self.caption})
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # text/plain is what a screen reader and a terminal get
        return {"image/png": self._repr_png_(), "text/plain": self.caption}


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
    tokens = batch.q.shape[-2]
    place = torch.arange(tokens)
    later = (place[None, :] > place[:, None]) & variant.causal
    reasons = torch.where(later, int(Reason.CAUSAL), int(Reason.VISIBLE)).to(torch.int8)
    if isinstance(batch, PackedBatch):
        sequence = torch.repeat_interleave(torch.arange(len(batch.lengths)), torch.tensor(batch.lengths))
        return reasons.masked_fill(sequence[:, None] != sequence[None, :], int(Reason.OTHER_SEQUENCE))
    reasons = reasons.expand(batch.batch, -1, -1).clone()
    if batch.mask is None:
        return reasons
    return reasons.masked_fill(~batch.mask.cpu()[:, None, :], int(Reason.PADDING))


def mask_heatmap(variant: str | Variant, batch: PaddedBatch | PackedBatch) -> Figure:
    """Draw where the mask acts, before any answer: one panel for each batch item, or one for a packed batch.

    Args:
        variant: One of the six.
        batch: The batch to draw.

    Returns:
        The figure; as a cell's last expression it is shown once.
    """
    variant = get_variant(variant)
    reasons = masked_cells(variant, batch)
    packed = isinstance(batch, PackedBatch)
    panels = [reasons] if packed else list(reasons)
    figure = _figure(len(panels), _panel_size(reasons.shape[-1]), colour_bar=False)
    for item, (axes, cells) in enumerate(zip(figure.axes, panels, strict=True)):
        _draw_mask(axes, cells, _tokens(batch, item), _borders(batch))
        _label(axes, "packed batch" if packed else f"batch item {item}", _tokens(batch, item), first=item == 0)
    seen = [int((cells == Reason.VISIBLE).sum()) for cells in panels]
    where = "the packed batch" if packed else "each batch item"
    caption = (
        f"Blue cells are keys that a query may see: {' and '.join(map(str, seen))} of {reasons[0].numel()} in {where}."
        if not packed
        else f"Blue cells are keys that a query may see: {seen[0]} of {reasons.numel()} in {where}."
    )
    return _finish(figure, f"{variant.title}: where the mask acts", caption, reasons)


def attention_heatmap(
    variant: str | Variant, batch: PaddedBatch | PackedBatch, weights: Tensor, item: int = 0
) -> Figure:
    """Draw a function's attention weights, head by head, beside the mask that they should obey.

    Args:
        variant: One of the six.
        batch: The batch that the weights belong to.
        weights: From ``attention_map``: ``[batch, num_heads, seq, seq]``, or ``[num_heads, total, total]``.
        item: Which item of a padded batch.

    Returns:
        The figure; as a cell's last expression it is shown once.

    Raises:
        ValueError: The weights do not have the batch's shape, or there is no such item.
    """
    variant = get_variant(variant)
    cells, heads = _one_item(variant, batch, weights, item)
    tokens, borders, rows = _tokens(batch, item), _borders(batch), _read_rows(batch, item)
    leaks = attention_leaks(variant, batch, weights, item=item)
    figure = _figure(1 + len(heads), _panel_size(len(tokens)), colour_bar=True)
    first, *others = figure.axes[: 1 + len(heads)]
    _draw_mask(first, cells, tokens, borders)
    _label(first, "expected mask", tokens, first=True)
    image = None
    for head, (axes, map_) in enumerate(zip(others, heads, strict=True)):
        image = _draw_weights(axes, map_, cells, rows, [leak for leak in leaks if leak.head == head])
        _draw_borders(axes, borders)
        _label(axes, f"head {head}", tokens, first=False)
    bar = figure.colorbar(image, ax=figure.axes[: 1 + len(heads)], fraction=0.03, pad=0.02, aspect=30)
    bar.set_label("attention weight", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    which = "" if isinstance(batch, PackedBatch) else f", batch item {item}"
    title = f"{variant.title}{which}: your function's weights"
    return _finish(figure, title, caption(batch, heads, cells, leaks, item), cells, leaks)


def attention_leaks(
    variant: str | Variant,
    batch: PaddedBatch | PackedBatch,
    weights: Tensor,
    tolerance: float = LEAK_TOLERANCE,
    item: int = 0,
) -> list[Leak]:
    """Find the weight that falls on masked keys; rows of padding queries are left out, since nobody reads them.

    Args:
        variant: One of the six.
        batch: The batch that the weights belong to.
        weights: From ``attention_map``.
        tolerance: Weights up to this much count as none.
        item: Which item of a padded batch.

    Returns:
        The leaks, head by head.
    """
    cells, heads = _one_item(get_variant(variant), batch, weights, item)
    leaking = (heads.abs() > tolerance) & (cells != Reason.VISIBLE) & _read_rows(batch, item)[:, None]
    return [
        Leak(head, query, key, float(heads[head, query, key]), Reason(int(cells[query, key])))
        for head, query, key in leaking.nonzero().tolist()
    ]


def caption(
    batch: PaddedBatch | PackedBatch, heads: Tensor, cells: Tensor, leaks: Sequence[Leak], item: int = 0
) -> str:
    """One line about the map: NaN, else the largest leak, else where one query looks.

    Args:
        batch: The batch.
        heads: Weights ``[num_heads, queries, keys]``.
        cells: Codes of ``Reason``, ``[queries, keys]``.
        leaks: From ``attention_leaks``.
        item: Which item of a padded batch.
    """
    tokens, rows = _tokens(batch, item), _read_rows(batch, item)
    broken = ~torch.isfinite(heads) & rows[:, None]
    if broken.any():
        head, query, _ = broken.nonzero()[0].tolist()
        return f"{int(broken.sum())} weights are NaN; the first in the row of '{tokens[query]}' (head {head})."
    if leaks:
        worst = max(leaks, key=lambda leak: leak.weight)
        target = worst.key if worst.reason == Reason.PADDING else f"'{tokens[worst.key]}'"
        return (
            f"Weight leaks into {len(leaks)} masked cells: '{tokens[worst.query]}' puts {worst.weight:.2f} on "
            f"{_WORDS[worst.reason]} {target} (head {worst.head})."
        )
    visible = torch.where((cells == Reason.VISIBLE) & rows[:, None], heads, -1.0)
    visible = torch.where(torch.eye(len(tokens), dtype=torch.bool), -1.0, visible)  # looking at oneself says little
    flat = int(visible.argmax())
    head, query, key = flat // len(tokens) ** 2, flat // len(tokens) % len(tokens), flat % len(tokens)
    clean = "No weight falls on a masked key."
    if not bool((cells != Reason.VISIBLE).any()):
        clean = "Nothing is masked."
    if visible[head, query, key] < 0:
        return clean
    return f"'{tokens[query]}' looks most at '{tokens[key]}' ({visible[head, query, key]:.2f}, head {head}). {clean}"


# ---- panels ----------------------------------------------------------------------------------------------------------


def _draw_mask(axes: Axes, cells: Tensor, tokens: Sequence[str], borders: Sequence[int]) -> None:
    axes.imshow((cells == Reason.VISIBLE).numpy(), cmap=ListedColormap([_GREY, _VISIBLE]), vmin=0, vmax=1)
    _draw_hatches(axes, cells)
    _draw_grid(axes, len(tokens))
    _draw_borders(axes, borders)


def _draw_weights(axes: Axes, weights: Tensor, cells: Tensor, rows: Tensor, leaks: Sequence[Leak]) -> Any:
    tokens = len(weights)
    image = axes.imshow(weights.nan_to_num(0.0).clamp(0, 1).numpy(), cmap=_COLOURS, vmin=0, vmax=1)
    _draw_hatches(axes, cells)
    _draw_grid(axes, tokens)
    small = tokens <= _NUMBERS_UP_TO
    for query, key in torch.isnan(weights).nonzero().tolist():
        if rows[query]:
            axes.add_patch(Rectangle((key - 0.5, query - 0.5), 1, 1, facecolor="white", edgecolor=_LEAK))
            axes.text(key, query, "NaN", color=_LEAK, fontsize=6 if small else 4, ha="center", va="center")
    if small:
        for query, key in ((cells == Reason.VISIBLE) & ~torch.isnan(weights)).nonzero().tolist():
            _write(axes, query, key, float(weights[query, key]), "black" if weights[query, key] > 0.5 else "white")
    for leak in leaks:
        frame = Rectangle((leak.key - 0.5, leak.query - 0.5), 1, 1)
        frame.set(facecolor=_COLOURS(min(1.0, leak.weight)), edgecolor=_LEAK, linewidth=2.0, zorder=4)
        axes.add_patch(frame)
        if small:
            _write(axes, leak.query, leak.key, leak.weight, "black" if leak.weight > 0.5 else "white", zorder=5)
    for query in (~rows).nonzero().flatten().tolist():  # dimmed: nobody reads a padding query
        axes.add_patch(
            Rectangle((-0.5, query - 0.5), tokens, 1, facecolor="white", alpha=0.65, edgecolor="none", zorder=6)
        )
    return image


def _write(axes: Axes, query: int, key: int, weight: float, colour: str, zorder: int = 3) -> None:
    text = "1" if weight >= 0.995 else f"{weight:.2f}".lstrip("0")
    axes.text(key, query, text, color=colour, fontsize=6.5, ha="center", va="center", zorder=zorder)


def _draw_hatches(axes: Axes, cells: Tensor) -> None:
    for reason, hatch in _HATCHES.items():
        for query, start, width in _runs(cells == reason):
            patch = Rectangle((start - 0.5, query - 0.5), width, 1, hatch=hatch, linewidth=0)
            patch.set(facecolor=_GREY, edgecolor="#8a8a8a")
            axes.add_patch(patch)


def _runs(where: Tensor) -> Iterator[tuple[int, int, int]]:
    """Row, start and width of each unbroken run, so that a hatch is drawn once a run and not once a cell."""
    for row, line in enumerate(where.tolist()):
        start = None
        for place, inside in enumerate([*line, False]):
            if inside and start is None:
                start = place
            elif not inside and start is not None:
                yield row, start, place - start
                start = None


def _draw_grid(axes: Axes, tokens: int) -> None:
    lines = [place - 0.5 for place in range(1, tokens)]
    axes.hlines(lines, -0.5, tokens - 0.5, color="white", linewidth=0.8)
    axes.vlines(lines, -0.5, tokens - 0.5, color="white", linewidth=0.8)


def _draw_borders(axes: Axes, borders: Sequence[int]) -> None:
    for border in borders:
        axes.axhline(border - 0.5, color=_INK, linewidth=1.4, zorder=7)
        axes.axvline(border - 0.5, color=_INK, linewidth=1.4, zorder=7)


def _label(axes: Axes, title: str, tokens: Sequence[str], first: bool) -> None:
    size = 8 if len(tokens) <= 10 else 7
    axes.set_title(title, fontsize=9)
    axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=size)
    axes.set_yticks(range(len(tokens)), tokens, fontsize=size)
    axes.tick_params(length=0)
    axes.set_xlabel("key", fontsize=8)
    axes.set_ylabel("query" if first else "", fontsize=8)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        if label.get_text() == PAD:
            label.set_color("#8a8a8a")
    for spine in axes.spines.values():
        spine.set_color(_INK)


# ---- figure ----------------------------------------------------------------------------------------------------------


def _panel_size(tokens: int) -> float:
    """Inches of one panel: so that numbers fit where they are written."""
    return 2.35 if tokens <= _NUMBERS_UP_TO else min(4.2, 0.24 * tokens + 1.2)


def _figure(panels: int, size: float, colour_bar: bool) -> NotebookFigure:
    # as many panels side by side as fit into ten inches: the width of a notebook
    columns = max(1, min(panels, int((9.6 if colour_bar else 10) // size)))
    if panels > columns:
        columns = -(-panels // -(-panels // columns))  # even rows
    rows = -(-panels // columns)
    width = min(10.0, max(5.4, columns * size + (0.8 if colour_bar else 0.4)))  # the caption wants its room
    figure = NotebookFigure(figsize=(width, rows * (size + 0.45) + 0.95), dpi=100, layout="constrained")
    figure.set_facecolor("white")
    FigureCanvasAgg(figure)
    for number in range(panels):
        figure.add_subplot(rows, columns, number + 1)
    return figure


def _finish(figure: NotebookFigure, title: str, line: str, cells: Tensor, leaks: Sequence[Leak] = ()) -> NotebookFigure:
    figure.suptitle(title, fontsize=10, fontweight="bold")
    handles = [
        Patch(facecolor=_GREY, edgecolor="#8a8a8a", hatch=_HATCHES[reason], label=_LEGEND[reason])
        for reason in _HATCHES
        if bool((cells == reason).any())
    ]
    if leaks:
        handles.append(Patch(facecolor="white", edgecolor=_LEAK, linewidth=2, label="weight leaks into a masked cell"))
    # the caption is the legend's title: two texts below the axes would be laid over each other
    options = {
        "loc": "outside lower center",
        "ncols": 3 if figure.get_figwidth() > 8 else 2,
        "fontsize": 8,
        "frameon": False,
        "title_fontsize": 8,
    }
    figure.legend(handles=handles, title=line, **options)
    figure.caption = f"{title}. {line}"
    return figure


# ---- data ------------------------------------------------------------------------------------------------------------


def _one_item(variant: Variant, batch: PaddedBatch | PackedBatch, weights: Tensor, item: int) -> tuple[Tensor, Tensor]:
    """Cells ``[queries, keys]`` and weights ``[num_heads, queries, keys]`` of one batch item."""
    cells = masked_cells(variant, batch)
    tokens = cells.shape[-1]
    expected = [batch.num_heads, tokens, tokens]
    if not isinstance(batch, PackedBatch):
        expected = [batch.batch, *expected]
    if list(weights.shape) != expected:
        raise ValueError(f"weights must be {expected}, as attention_map gives them; got {list(weights.shape)}")
    if isinstance(batch, PackedBatch):
        return cells, weights.float().cpu()
    if not 0 <= item < batch.batch:
        raise ValueError(f"item must lie between 0 and {batch.batch - 1}, got {item}")
    return cells[item], weights[item].float().cpu()


def _tokens(batch: PaddedBatch | PackedBatch, item: int) -> tuple[str, ...]:
    return batch.tokens if isinstance(batch, PackedBatch) else batch.tokens[item]


def _borders(batch: PaddedBatch | PackedBatch) -> list[int]:
    """Where one packed sequence ends and the next begins."""
    return batch.cu_seqlens.tolist()[1:-1] if isinstance(batch, PackedBatch) else []


def _read_rows(batch: PaddedBatch | PackedBatch, item: int) -> Tensor:
    """bool ``[queries]``: the rows of real tokens."""
    if isinstance(batch, PackedBatch) or batch.mask is None:
        return torch.ones(batch.q.shape[-2], dtype=torch.bool)
    return batch.mask[item].cpu()
