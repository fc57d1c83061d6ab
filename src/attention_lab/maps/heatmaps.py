"""Heatmaps: where the masks act, and what a function's attention weights do about it.

Rows are queries, columns are keys. A masked cell is grey with a hatch that gives the reason; a red frame marks weight
that leaks into a masked cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from attention_lab.caches import Batch
from attention_lab.inputs import PackedBatch
from attention_lab.maps.captions import (
    LEAK_TOLERANCE,
    Leak,
    WeightMap,
    first_queries,
    group_words,
    leaks_of,
    mask_caption,
    one_map,
    weights_caption,
)
from attention_lab.maps.cells import (
    LOOK,
    NUMBERS_UP_TO,
    SLANTED_FROM,
    broken_handle,
    broken_is_written,
    draw_mask,
    draw_weights,
    hatch_handles,
    label_tokens,
    label_width,
    leak_handle,
    pale_handle,
)
from attention_lab.maps.figure import NotebookFigure, blank_figure, text_width
from attention_lab.maps.layout import NARROW, TOP, foot, write_around
from attention_lab.maps.masks import borders, masked_cells
from attention_lab.variants import Variant, get_variant

# inches
_LEAST_WIDTH = 5.4
_SMALLEST_NUMBERED_CELL, _SMALLEST_CELL, _LARGEST_NUMBERED_CELL, _LARGEST_CELL = 0.2, 0.135, 0.32, 0.23
_LEFT, _RIGHT, _BAR, _GAP, _PANEL_TITLE = 0.37, 0.15, 0.75, 0.16, 0.28


def attention_leaks(
    variant: str | Variant,
    batch: Batch,
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
    return [leak for one in items for leak in leaks_of(one_map(variant, batch, weights, one), tolerance)]


def caption(variant: str | Variant, batch: Batch, weights: Tensor, item: int = 0) -> str:
    """Say in one line what the map shows: what is wrong with it, or where one query looks.

    Args:
        variant: One of the six.
        batch: The batch that the weights belong to.
        weights: From ``attention_map``.
        item: Which item of a padded batch.

    Raises:
        ValueError: The weights do not have the batch's shape, or there is no such item.
    """
    map_ = one_map(get_variant(variant), batch, weights, item)
    return " ".join(weights_caption(map_, leaks_of(map_, LEAK_TOLERANCE)))


# ---- figures ---------------------------------------------------------------------------------------------------------


def mask_heatmap(variant: str | Variant, batch: Batch) -> NotebookFigure:
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
    tokens = [batch.tokens] if isinstance(batch, PackedBatch) else list(batch.tokens)
    with matplotlib.rc_context(LOOK):
        title = f"{variant.title}: where the mask acts"
        starts = zip(tokens, first_queries(batch, cells), strict=True)
        asking = [row[first : first + cells.shape[-2]] for row, first in starts]
        sentences = mask_caption(panels, packed)
        if batch.num_kv_heads < batch.num_heads:
            sentences.append(group_words(batch.num_heads, batch.num_kv_heads))
        figure, axes, _ = _figure(tokens, asking, title, sentences, hatch_handles(cells))
        for item, panel in enumerate(axes):
            draw_mask(panel, panels[item], borders(batch))
            panel.set_title("packed batch" if packed else f"batch item {item}", fontsize=9)
    return figure


def attention_heatmap(variant: str | Variant, batch: Batch, weights: Tensor, item: int = 0) -> NotebookFigure:
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
    map_ = one_map(variant, batch, weights, item)
    leaks = leaks_of(map_, LEAK_TOLERANCE)
    which = "" if isinstance(batch, PackedBatch) else f", batch item {item}"
    title = f"{variant.title}{which}: your function's weights"
    heads = len(map_.weights)
    with matplotlib.rc_context(LOOK):
        tokens, asking = [map_.tokens] * (1 + heads), [map_.queries] * (1 + heads)
        cell = _grid(tokens, colour_bar=True).cell
        handles = [*hatch_handles(map_.cells), *_weight_handles(map_, leaks, cell)]
        sentences = weights_caption(map_, leaks)
        figure, (first, *others), bar = _figure(tokens, asking, title, sentences, handles, colour_bar=True)
        draw_mask(first, map_.cells, map_.borders)
        first.set_title("expected mask", fontsize=9)
        for head, axes in enumerate(others):
            leaking = torch.zeros_like(map_.cells, dtype=torch.bool)
            for leak in leaks:
                leaking[leak.query, leak.key] |= leak.head == head
            weights_ = map_.weights[head]
            image = draw_weights(axes, weights_, map_.cells, map_.read, cell, leaking, map_.borders)
            axes.set_title(*_head_title(batch, head))
        figure.colorbar(image, cax=bar, ticks=[0, 0.2, 0.4, 0.6, 0.8, 1]).set_label("attention weight", fontsize=8)
        assert bar is not None  # it was asked for
        bar.tick_params(labelsize=7.5, length=2)
    return figure


# ---- words -----------------------------------------------------------------------------------------------------------


def _head_title(batch: Batch, head: int) -> tuple[str, dict[str, Any]]:
    """A panel's title and its look; where heads share keys, it names the key head."""
    if batch.num_kv_heads == batch.num_heads:
        return f"head {head}", {"fontsize": 9}
    return f"head {head}, key head {head * batch.num_kv_heads // batch.num_heads}", {"fontsize": 7.5}


def _weight_handles(map_: WeightMap, leaks: Sequence[Leak], cell: float) -> list[Patch | Line2D]:
    broken = ~torch.isfinite(map_.weights)
    handles: list[Patch | Line2D] = []
    if bool((~map_.read[:, None] & ~broken).any()):
        handles.append(pale_handle())
    if leaks:
        handles.append(leak_handle())
    if not broken_is_written(map_.cells, cell) and bool(broken.any()):
        handles.append(broken_handle())
    return handles


# ---- layout ----------------------------------------------------------------------------------------------------------


class _Grid(NamedTuple):
    """Where the panels stand, in inches."""

    columns: int
    cell: float
    shared: bool  # whether one row of labels does for all panels


def _figure(
    tokens: Sequence[Sequence[str]],
    asking: Sequence[Sequence[str]],
    title: str,
    sentences: Sequence[str],
    handles: Sequence[Patch | Line2D],
    colour_bar: bool = False,
) -> tuple[NotebookFigure, list[Axes], Axes | None]:
    """An empty figure with a panel for each row of tokens, which are its keys, its texts and its legend."""
    grid = _grid(tokens, colour_bar)
    panels, columns, cell, queries = len(tokens), grid.columns, grid.cell, len(asking[0])
    beside = _beside(tokens)
    rows, side, tall = -(-panels // columns), len(tokens[0]) * cell, queries * cell
    slanted = cell >= SLANTED_FROM
    below = beside * (0.72 if slanted else 1) + 0.33
    step_right = side + _GAP + (0 if grid.shared else beside)
    block = _LEFT + beside + (columns - 1) * step_right + side + (_BAR if colour_bar else _RIGHT)
    width = min(NARROW, max(block, _LEAST_WIDTH, text_width(title, 10) * 1.15 + 0.3))
    bottom = foot(sentences, handles, width)
    height = TOP + rows * (_PANEL_TITLE + tall + below) + bottom.height
    figure = blank_figure(width, height, f"{title}. {' '.join(sentences)}")
    write_around(figure, title, bottom)

    start = (width - block) / 2 + _LEFT
    axes = []
    for number, (row_of_tokens, queries_of_it) in enumerate(zip(tokens, asking, strict=True)):
        row, column = divmod(number, columns)
        x = start + beside + column * step_right
        y = height - TOP - row * (_PANEL_TITLE + tall + below) - _PANEL_TITLE - tall
        panel = figure.add_axes((x / width, y / height, side / width, tall / height))
        labelled = column == 0 or not grid.shared
        names = queries_of_it if labelled else ()
        label_tokens(panel, row_of_tokens, names, step=max(1, math.ceil(0.13 / cell)), slanted=slanted)
        figure.text((x + side / 2) / width, (y - below + 0.08) / height, "key", fontsize=8, ha="center")
        if column == 0:
            left, middle = (x - beside - 0.08) / width, (y + tall / 2) / height
            figure.text(left, middle, "query", fontsize=8, rotation=90, ha="right", va="center")
        axes.append(panel)
    if not colour_bar:
        return figure, axes, None
    top = 1 - (TOP + _PANEL_TITLE) / height
    x = (start + beside + (columns - 1) * step_right + side + 0.12) / width
    return figure, axes, figure.add_axes((x, top - tall / height, 0.13 / width, tall / height))


def _grid(tokens: Sequence[Sequence[str]], colour_bar: bool) -> _Grid:
    """As few rows as leave the cells readable; maps of the same tokens share the names of their queries."""
    panels, keys = len(tokens), len(tokens[0]) if tokens else 0
    if keys == 0:
        raise ValueError("there is nothing to draw: the batch has no tokens")
    room = NARROW - _LEFT - (_BAR if colour_bar else _RIGHT)
    shared, beside = len(set(map(tuple, tokens))) == 1, _beside(tokens)
    numbered = keys <= NUMBERS_UP_TO
    largest = max(1.3 / (keys + 1), _LARGEST_NUMBERED_CELL if numbered else _LARGEST_CELL)
    smallest = _SMALLEST_NUMBERED_CELL if numbered else _SMALLEST_CELL
    for rows in range(1, panels + 1):
        columns = -(-panels // rows)
        taken = beside * (1 if shared else columns) + (columns - 1) * _GAP
        cell = min(largest, (room - taken) / columns / keys)
        if cell >= smallest or columns <= 2:
            break
    return _Grid(columns, cell, shared)


def _beside(tokens: Sequence[Sequence[str]]) -> float:
    return max(label_width(row) for row in tokens) + 0.1
