"""The mask explorer's picture: one for the widget, and the same one to stay in a saved notebook."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes

from attention_lab.explorer.state import ExplorerState, packed, packed_table, padded_tables, settled
from attention_lab.explorer.words import explain, settings, sizes
from attention_lab.maps.cells import (
    INK,
    LOOK,
    SLANTED_FROM,
    draw_choice,
    draw_weights,
    hatch_handles,
    label_tokens,
    label_width,
    pale_handle,
)
from attention_lab.maps.figure import MOST_WIDTH, NotebookFigure
from attention_lab.maps.layout import TOP, foot, framed
from attention_lab.maps.steps import (
    BAR,
    BAR_ROOM,
    GAP,
    LEFT,
    PANEL_TITLE,
    Drawing,
    Panel,
    axes_at,
    colour_bar,
    draw_steps,
    name_axes,
    quoted,
)

# inches
_MARKS = 0.18
_LARGEST_CELL, _SMALLEST_CELL = 0.24, 0.18  # many tokens make the picture wider than a page, not their cells smaller


def explorer_figure(state: ExplorerState) -> NotebookFigure:
    """Draw what the explorer shows.

    Args:
        state: The settings; ``explorer.state`` of a widget.

    Returns:
        The figure; as a cell's last expression it is shown once. Its ``caption`` is its alternative text.
    """
    return draw(state, columns=2).figure  # it stands in a page of any width, and has no controls above it


def draw(state: ExplorerState, *, columns: int = 3) -> Drawing:
    """Draw the figure and keep its panels, so that a widget knows where each cell is.

    Args:
        state: The settings.
        columns: How many panels of one sentence's steps stand side by side.
    """
    state = settled(state)
    with matplotlib.rc_context(LOOK):
        return _draw_packing(state) if state.view == "packing" else _draw_steps(state, columns)


def _draw_steps(state: ExplorerState, columns: int) -> Drawing:
    table = padded_tables(state)[state.item]
    title = f"Sentence {state.item + 1} of {len(state.words)}: {settings(state)}"
    said = explain(table, state.query, state.key, quoted)
    divided = "q · k / √head_dim" + ("" if state.temperature == 1 else f" / {state.temperature:g}")
    words = f"{said[0].upper()}{said[1:]}."
    return draw_steps(table, title, words, divided, (state.query, state.key), columns=columns)


def _draw_packing(state: ExplorerState) -> Drawing:
    items, laid = padded_tables(state), packed_table(state)
    tables = [*items, laid]
    besides = [label_width(table.tokens) + 0.1 for table in tables]
    counts = [len(table.tokens) for table in tables]
    room = MOST_WIDTH - LEFT - sum(besides) - GAP * len(items) - BAR_ROOM
    cell = min(max(_LARGEST_CELL, 1.25 / min(counts)), room / sum(counts))  # titles need their room, too
    cell = max(cell, _SMALLEST_CELL)
    width = MOST_WIDTH - room + cell * sum(counts)
    title = f"Padded and packed: {settings(state)}"
    said = explain(laid, state.query, state.key, quoted)
    sentences = [*sizes(state), f"{said[0].upper()}{said[1:]}."]
    found = {reason.get_label(): reason for table in tables for reason in hatch_handles(table.cells)}
    unread = not all(bool(table.read.all()) for table in items)
    below = foot(sentences, [*found.values(), *([pale_handle()] if unread else [])], width)
    tallest = max(counts) * cell
    height = TOP + PANEL_TITLE + _MARKS + tallest + max(besides) * 0.72 + 0.33 + below.height
    figure = framed(width, height, title, sentences, below)

    panels, x = [], LEFT
    for number, (table, beside) in enumerate(zip(tables, besides, strict=True)):
        side, x = len(table.tokens) * cell, x + beside
        panel = axes_at(figure, x, height - TOP - PANEL_TITLE - _MARKS - side, side, side)
        label_tokens(panel, table.tokens, table.tokens, step=1, slanted=cell >= SLANTED_FROM)
        image = draw_weights(panel, table.weights, table.cells, table.read, cell, borders=table.borders)
        panel.set_title(f"padded, sentence {number + 1}" if number < len(items) else "packed", fontsize=9, pad=18)
        panels.append(Panel(panel, table))
        x += side + GAP
    name_axes(figure, [panel.axes for panel in panels], besides[0], max(besides))
    _mark_borders(panels[-1].axes, packed(state).cu_seqlens.tolist())
    for chosen, query, key in _chosen(state, panels):
        draw_choice(chosen.axes, query, key)
    last = len(laid.tokens) * cell
    place = axes_at(figure, x - GAP + 0.1, height - TOP - PANEL_TITLE - _MARKS - last, BAR, last)
    colour_bar(figure, image, place, [0, 0.2, 0.4, 0.6, 0.8, 1], "weight")
    return Drawing(figure, panels)


def places_of(state: ExplorerState, panels: Sequence[Panel]) -> list[list[int | None]]:
    """For each panel, the place at which ``state.query`` and ``state.key`` find each of its tokens.

    ``None`` where they do not: packed batches have no padding.
    """
    own: list[list[int | None]] = [list(range(len(panel.table.tokens))) for panel in panels]
    if state.view == "steps":
        return own
    packed_places = itertools.count()
    reads = [panel.table.read.tolist() for panel in panels[:-1]]
    return [*([next(packed_places) if real else None for real in read] for read in reads), own[-1]]


def _chosen(state: ExplorerState, panels: Sequence[Panel]) -> list[tuple[Panel, int, int]]:
    """The chosen cell in the packed panel and, where its tokens share a sentence, in that sentence's panel."""
    return [
        (panel, places.index(state.query), places.index(state.key))
        for panel, places in zip(panels, places_of(state, panels), strict=True)
        if {state.query, state.key} <= {*places}
    ]


def _mark_borders(axes: Axes, cu_seqlens: Sequence[int]) -> None:
    """Write ``cu_seqlens`` along the upper edge; where an empty sequence repeats a number, it stands once."""
    above = axes.get_xaxis_text2_transform(3)[0]
    for border in sorted(set(cu_seqlens)):
        axes.text(border - 0.5, 1, str(border), transform=above, fontsize=8, ha="center", va="bottom", color=INK)
