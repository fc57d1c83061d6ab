"""The mask explorer's picture: one for the widget, and the same one to stay in a saved notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from attention_lab.explorer_state import ExplorerState, Table, packed, packed_table, padded_tables, settled
from attention_lab.explorer_words import explain, settings, sizes
from attention_lab.layout import MOST_WIDTH, TOP, Foot, foot, write_around
from attention_lab.notebook_figure import NotebookFigure, blank_figure
from attention_lab.panels import (
    INK,
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

STRONGEST_SCORE = 4.0  # the ends of the scores' scale; it stays, so that a move shows as another colour

# inches
_LEFT, _GAP, _BAR, _BAR_ROOM, _PANEL_TITLE, _MARKS = 0.37, 0.16, 0.13, 0.72, 0.28, 0.18
_LARGEST_CELL, _LARGEST_PACKED_CELL = 0.34, 0.24


class Panel(NamedTuple):
    """One map in the picture, and what its cells are about."""

    axes: Axes
    table: Table


class Drawing(NamedTuple):
    """A picture and its panels."""

    figure: NotebookFigure
    panels: list[Panel]


def explorer_figure(state: ExplorerState) -> Figure:
    """Draw what the explorer shows.

    Args:
        state: The settings; ``explorer.state`` of a widget.

    Returns:
        The figure; as a cell's last expression it is shown once. Its ``caption`` is its alternative text.
    """
    return draw(state).figure


def draw(state: ExplorerState) -> Drawing:
    """Draw the figure and keep its panels, so that a widget knows where each cell is."""
    state = settled(state)
    with matplotlib.rc_context(LOOK):
        return _draw_packing(state) if state.view == "packing" else _draw_steps(state)


def _draw_steps(state: ExplorerState) -> Drawing:
    table = padded_tables(state)[state.item]
    tokens = len(table.tokens)
    beside = label_width(table.tokens) + 0.1
    cell = min(_LARGEST_CELL, (MOST_WIDTH - _LEFT - beside - _GAP - 2 * _BAR_ROOM) / 3 / tokens)
    side = tokens * cell
    width = max(6.5, _LEFT + beside + 3 * side + _GAP + 2 * _BAR_ROOM)
    title = f"Sentence {state.item + 1} of {len(state.words)}: {settings(state)}"
    said = explain(table, state.query, state.key, _quoted)
    sentences = [f"{said[0].upper()}{said[1:]}."]
    handles = [*hatch_handles(table.cells), *([] if bool(table.read.all()) else [pale_handle()])]
    below = foot(sentences, handles, width)
    height = TOP + _PANEL_TITLE + side + beside * 0.72 + 0.33 + below.height
    figure = _figure(width, height, title, sentences, below)

    start = (width - (_LEFT + beside + 3 * side + _GAP + 2 * _BAR_ROOM)) / 2 + _LEFT + beside
    places = [start, start + side + _GAP, start + 2 * side + _GAP + _BAR_ROOM]
    y = height - TOP - _PANEL_TITLE - side
    divided = "q · k / √head_dim" + ("" if state.temperature == 1 else f" / {state.temperature:g}")
    titles = [f"scores: {divided}", "masked scores: hatched is −∞", "weights: softmax of each row"]
    axes = [_axes(figure, x, y, side, side) for x in places]
    for panel, text in zip(axes, titles, strict=True):
        panel.set_title(text, fontsize=9)
        label_tokens(panel, table.tokens, step=1, slanted=cell >= SLANTED_FROM, beside=panel is axes[0])
    _name_axes(figure, axes, beside, beside)
    draw_scores(axes[0], table.scores, None, STRONGEST_SCORE, cell)
    scores = draw_scores(axes[1], table.scores, table.cells, STRONGEST_SCORE, cell)
    weights = draw_weights(axes[2], table.weights, table.cells, table.read, cell)
    for panel in axes:
        draw_choice(panel, state.query, state.key)
    bars = [places[1] + side + 0.1, places[2] + side + 0.1]
    ticks = [-STRONGEST_SCORE, -STRONGEST_SCORE / 2, 0, STRONGEST_SCORE / 2, STRONGEST_SCORE]
    _colour_bar(figure, scores, _axes(figure, bars[0], y, _BAR, side), ticks, "score")
    _colour_bar(figure, weights, _axes(figure, bars[1], y, _BAR, side), [0, 0.2, 0.4, 0.6, 0.8, 1], "weight")
    return Drawing(figure, [Panel(panel, table) for panel in axes])


def _draw_packing(state: ExplorerState) -> Drawing:
    items, laid = padded_tables(state), packed_table(state)
    tables = [*items, laid]
    besides = [label_width(table.tokens) + 0.1 for table in tables]
    counts = [len(table.tokens) for table in tables]
    room = MOST_WIDTH - _LEFT - sum(besides) - _GAP * len(items) - _BAR_ROOM
    cell = min(_LARGEST_PACKED_CELL, room / sum(counts))
    width = MOST_WIDTH - room + cell * sum(counts)
    title = f"Padded and packed: {settings(state)}"
    said = explain(laid, state.query, state.key, _quoted)
    sentences = [*sizes(state), f"{said[0].upper()}{said[1:]}."]
    found = {reason.get_label(): reason for table in tables for reason in hatch_handles(table.cells)}
    unread = not all(bool(table.read.all()) for table in items)
    below = foot(sentences, [*found.values(), *([pale_handle()] if unread else [])], width)
    tallest = max(counts) * cell
    height = TOP + _PANEL_TITLE + _MARKS + tallest + max(besides) * 0.72 + 0.33 + below.height
    figure = _figure(width, height, title, sentences, below)

    panels, x = [], _LEFT
    for number, (table, beside) in enumerate(zip(tables, besides, strict=True)):
        side, x = len(table.tokens) * cell, x + beside
        panel = _axes(figure, x, height - TOP - _PANEL_TITLE - _MARKS - side, side, side)
        label_tokens(panel, table.tokens, step=1, slanted=cell >= SLANTED_FROM)
        image = draw_weights(panel, table.weights, table.cells, table.read, cell, borders=table.borders)
        panel.set_title(f"padded, sentence {number + 1}" if number < len(items) else "packed", fontsize=9, pad=18)
        panels.append(Panel(panel, table))
        x += side + _GAP
    _name_axes(figure, [panel.axes for panel in panels], besides[0], max(besides))
    _mark_borders(panels[-1].axes, packed(state).cu_seqlens.tolist())
    for panel, query, key in _chosen(state, panels):
        draw_choice(panel.axes, query, key)
    last = len(laid.tokens) * cell
    place = _axes(figure, x - _GAP + 0.1, height - TOP - _PANEL_TITLE - _MARKS - last, _BAR, last)
    _colour_bar(figure, image, place, [0, 0.2, 0.4, 0.6, 0.8, 1], "weight")
    return Drawing(figure, panels)


def _chosen(state: ExplorerState, panels: Sequence[Panel]) -> list[tuple[Panel, int, int]]:
    """The chosen cell in the packed panel and, where its tokens share a sentence, in that sentence's panel."""
    read = [panel.table.read.tolist() for panel in panels[:-1]]
    flat = [(item, place) for item, row in enumerate(read) for place, real in enumerate(row) if real]
    (query_item, query), (key_item, key) = flat[state.query], flat[state.key]
    chosen = [(panels[-1], state.query, state.key)]
    return [*chosen, (panels[query_item], query, key)] if query_item == key_item else chosen


def _mark_borders(axes: Axes, cu_seqlens: Sequence[int]) -> None:
    """Write ``cu_seqlens`` along the upper edge; where an empty sequence repeats a number, it stands once."""
    above = axes.get_xaxis_text2_transform(3)[0]
    for border in sorted(set(cu_seqlens)):
        axes.text(border - 0.5, 1, str(border), transform=above, fontsize=8, ha="center", va="bottom", color=INK)


def _figure(width: float, height: float, title: str, sentences: Sequence[str], below: Foot) -> NotebookFigure:
    figure = blank_figure(width, height, f"{title}. {' '.join(sentences)}")
    write_around(figure, title, below)
    return figure


def _axes(figure: NotebookFigure, x: float, y: float, width: float, height: float) -> Axes:
    """A panel at a place in inches."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes((x / whole_width, y / whole_height, width / whole_width, height / whole_height))


def _name_axes(figure: NotebookFigure, axes: Sequence[Axes], beside: float, deepest: float) -> None:
    width, height = figure.get_size_inches()
    first = axes[0].get_position()
    side = {"rotation": 90, "ha": "right", "va": "center"}
    figure.text(first.x0 - (beside + 0.08) / width, (first.y0 + first.y1) / 2, "query", fontsize=8, **side)
    for panel in axes:
        place = panel.get_position()
        figure.text(
            (place.x0 + place.x1) / 2, place.y0 - (deepest * 0.72 + 0.25) / height, "key", fontsize=8, ha="center"
        )


def _colour_bar(figure: NotebookFigure, image: AxesImage, axes: Axes, ticks: Sequence[float], label: str) -> None:
    figure.colorbar(image, cax=axes, ticks=ticks).set_label(label, fontsize=8, labelpad=2)
    axes.tick_params(labelsize=7.5, length=2)


def _quoted(token: str) -> str:
    return f"'{token}'"
