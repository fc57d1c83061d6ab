"""Scores, masked scores and weights of one table of queries and keys, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from torch import Tensor

from attention_lab.inputs import PAD
from attention_lab.maps.cells import (
    LOOK,
    SLANTED_FROM,
    draw_choice,
    draw_scores,
    draw_weights,
    hatch_handles,
    label_tokens,
    label_width,
    pale_handle,
)
from attention_lab.maps.figure import MOST_WIDTH, NotebookFigure, text_width
from attention_lab.maps.layout import NARROW, TOP, foot, framed
from attention_lab.rules import Reason

# Where the scores' scale may end: it stays at the first while that holds, so that a move shows as another colour
SCALE_ENDS = (4.0, 8.0, 20.0, 40.0, 80.0)

# inches
LEFT, GAP, BAR, BAR_ROOM, PANEL_TITLE = 0.37, 0.16, 0.13, 0.72, 0.28
_LARGEST_CELL, _SMALLEST_CELL = 0.34, 0.26  # many tokens make the picture wider than a page, not their cells smaller


class Panel(NamedTuple):
    """One map in the picture, and what its cells are about."""

    axes: Axes
    table: Table


class Drawing(NamedTuple):
    """A picture and its panels."""

    figure: NotebookFigure
    panels: list[Panel]


def steps_figure(
    tokens: Sequence[str],
    scores: Sequence[Sequence[float]],
    visible: Sequence[Sequence[bool]],
    weights: Sequence[Sequence[float]],
) -> NotebookFigure:
    """Draw the steps of attention that were calculated by hand.

    Args:
        tokens: The tokens, as queries and as keys; padding is ``"<pad>"``.
        scores: One row a query, one number a key, before any mask.
        visible: The same shape: whether the query may see the key.
        weights: The same shape, each row summing to 1.

    Returns:
        The figure; its ``caption`` is its alternative text.
    """
    unseen = ~torch.tensor(visible)
    padding = torch.tensor([token == PAD for token in tokens])
    cells = torch.where(unseen, int(Reason.CAUSAL), int(Reason.VISIBLE)).to(torch.int8)
    cells = cells.masked_fill(unseen & padding, int(Reason.PADDING))
    table = Table(tuple(tokens), cells, torch.tensor(scores), torch.tensor(weights), ~padding, [])
    masked = int(unseen.sum())
    said = f"{masked} of {unseen.numel()} cells are masked: their scores are −∞, and they get no weight."
    with matplotlib.rc_context(LOOK):
        return draw_steps(table, "From scores to weights", said, "q · k / √head_dim", columns=2).figure


def draw_steps(
    table: Table, title: str, said: str, divided: str, chosen: tuple[int, int] | None = None, *, columns: int = 3
) -> Drawing:
    """Draw scores, masked scores and weights.

    Args:
        table: What to draw.
        title: The figure's title.
        said: Its caption.
        divided: How the scores come about.
        chosen: Query and key of the cell to frame.
        columns: 3 for all three side by side, 2 for the weights below the scores.
    """
    tokens = len(table.tokens)
    beside = label_width(table.tokens) + 0.1
    bars = columns - 1
    most = MOST_WIDTH if columns == 3 else NARROW
    cell = min(_LARGEST_CELL, (most - LEFT - beside - GAP - bars * BAR_ROOM) / columns / tokens)
    titles = [f"scores: {divided}", "masked scores: hatched is −∞", "weights: softmax of each row"]
    first, second, _ = (text_width(text, 9) for text in titles)
    cell = max(
        cell, _SMALLEST_CELL, 1.75 / tokens, ((first + second) / 2 + 0.1 - GAP) / tokens
    )  # room for the panels' titles
    side = tokens * cell
    block = LEFT + beside + columns * side + GAP + bars * BAR_ROOM
    width = max(6.5 if columns == 3 else NARROW, block)
    handles = [*hatch_handles(table.cells), *([] if bool(table.read.all()) else [pale_handle()])]
    below = foot([said], handles, width)
    row = PANEL_TITLE + side + beside * 0.72 + 0.33
    height = TOP + (1 if columns == 3 else 2) * row + below.height
    figure = framed(width, height, title, [said], below)

    start, y = (width - block) / 2 + LEFT + beside, height - TOP - PANEL_TITLE - side
    second = start + side + GAP
    third = (second + side + BAR_ROOM, y) if columns == 3 else (start, y - row)
    places = [(start, y), (second, y), third]
    axes = [axes_at(figure, *place, side, side) for place in places]
    for panel, text in zip(axes, titles, strict=True):
        panel.set_title(text, fontsize=9)
        asking = table.tokens if panel.get_position().x0 == axes[0].get_position().x0 else ()
        label_tokens(panel, table.tokens, asking, step=1, slanted=cell >= SLANTED_FROM)
    name_axes(figure, axes, beside, beside)
    end = _scale_end(table.scores)
    draw_scores(axes[0], table.scores, None, end, cell)
    scores = draw_scores(axes[1], table.scores, table.cells, end, cell)
    weights = draw_weights(axes[2], table.weights, table.cells, table.read, cell)
    if chosen is not None:
        for panel in axes:
            draw_choice(panel, *chosen)
    ticks = [-end, -end / 2, 0, end / 2, end]
    for image, (x, bottom), marks, label in (
        (scores, places[1], ticks, "score"),
        (weights, places[2], [0, 0.2, 0.4, 0.6, 0.8, 1], "weight"),
    ):
        colour_bar(figure, image, axes_at(figure, x + side + 0.1, bottom, BAR, side), marks, label)
    return Drawing(figure, [Panel(panel, table) for panel in axes])


def _scale_end(scores: Tensor) -> float:
    """Where no score is off the scale, so that different scores never share its last colour."""
    largest = float(scores.abs().max())
    return next((end for end in SCALE_ENDS if largest <= end), largest)


# ---- pieces of a figure ----------------------------------------------------------------------------------------------


def axes_at(figure: NotebookFigure, x: float, y: float, width: float, height: float) -> Axes:
    """A panel at a place in inches."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes((x / whole_width, y / whole_height, width / whole_width, height / whole_height))


def name_axes(figure: NotebookFigure, axes: Sequence[Axes], beside: float, deepest: float) -> None:
    width, height = figure.get_size_inches()
    left = axes[0].get_position().x0
    side: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "center"}
    for panel in axes:
        place = panel.get_position()
        if place.x0 == left:
            figure.text(left - (beside + 0.08) / width, (place.y0 + place.y1) / 2, "query", fontsize=8, **side)
        figure.text(
            (place.x0 + place.x1) / 2, place.y0 - (deepest * 0.72 + 0.25) / height, "key", fontsize=8, ha="center"
        )


def colour_bar(figure: NotebookFigure, image: AxesImage, axes: Axes, ticks: Sequence[float], label: str) -> None:
    figure.colorbar(image, cax=axes, ticks=ticks).set_label(label, fontsize=8, labelpad=2)
    axes.tick_params(labelsize=7.5, length=2)


def quoted(token: str) -> str:
    """The token in quotes, as captions write it."""
    return f"'{token}'"


class Table(NamedTuple):
    """Queries and keys of one padded sentence, or of a packed batch.

    Attributes:
        tokens: The tokens, as queries and as keys.
        cells: int8 ``[queries, keys]``, codes of ``Reason``.
        scores: float32 ``[queries, keys]``, before any mask.
        weights: float32 ``[queries, keys]``; 0 on masked keys, and in rows that see no key.
        read: bool ``[queries]``, ``False`` at padding.
        borders: Where one packed sequence ends and the next begins.
    """

    tokens: tuple[str, ...]
    cells: Tensor
    scores: Tensor
    weights: Tensor
    read: Tensor
    borders: list[int]
