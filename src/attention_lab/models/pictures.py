"""What models say with one attention function and with another, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from torch import Tensor

from attention_lab.maps.cells import INK, LOOK, WEIGHT_COLOURS
from attention_lab.maps.figure import NotebookFigure
from attention_lab.maps.layout import TOP, foot, framed

# inches
_CELL, _LEFT, _BETWEEN, _RIGHT, _PANEL_TITLE, _BELOW = 0.5, 0.5, 0.55, 0.25, 0.28, 0.22
_BARS_WIDTH, _BARS_HEIGHT = 5.6, 1.9

_COLOURS = ("#0072b2", "#e69f00")  # Okabe and Ito's


def similarity_figure(similarities: Mapping[str, Tensor], sentences: Sequence[str]) -> NotebookFigure:
    """Draw how alike each two sentences are, a panel for each attention function.

    Args:
        similarities: By name, ``[sentences, sentences]``.
        sentences: They are numbered from 1 in the picture; the caption has their text.

    Returns:
        The figure; its ``caption`` is its alternative text.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not similarities:
        raise ValueError("there is nothing to draw: no similarities were given")
    side = _CELL * len(sentences)
    width = max(_LEFT + len(similarities) * (side + _BETWEEN) - _BETWEEN + _RIGHT, 5.6)
    said = [*(f"{number}: {sentence}" for number, sentence in enumerate(sentences, start=1)), *_in_words(similarities)]
    below = foot(said, [], width)
    height = TOP + _PANEL_TITLE + side + _BELOW + below.height
    with matplotlib.rc_context(LOOK):
        figure = framed(width, height, "How alike are the sentences?", said, below)
        first = (width - len(similarities) * (side + _BETWEEN) + _BETWEEN) / 2
        for number, (name, table) in enumerate(similarities.items()):
            left, bottom = first + number * (side + _BETWEEN), height - TOP - _PANEL_TITLE - side
            axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
            axes.set_title(name, fontsize=9)
            _draw_table(axes, table)
    return figure


def chances_figure(text: str, chances: Mapping[str, Tensor]) -> NotebookFigure:
    """Draw how much a model expected each word of a text, a bar for each attention function.

    Args:
        text: Its words stand between spaces.
        chances: By name, the probability of each word from the second on: ``[words - 1]``. Two at most.

    Returns:
        The figure; its ``caption`` is its alternative text.

    Raises:
        ValueError: There is nothing to draw, or more than two sets of bars.
    """
    words = text.split()
    if not 0 < len(chances) <= len(_COLOURS) or len(words) < 2:
        raise ValueError(f"chances of one or {len(_COLOURS)} functions, and two words or more, make a picture")
    said = [f"{name}: {_known(words, values)}" for name, values in chances.items()]
    colours = dict(zip(chances, _COLOURS, strict=False))
    handles = [Patch(facecolor=colours[name], label=name) for name in chances]
    below = foot(said, handles, _BARS_WIDTH)
    height = TOP + _BARS_HEIGHT + 0.65 + below.height
    with matplotlib.rc_context(LOOK):
        figure = framed(_BARS_WIDTH, height, "How much was each word expected, before it came?", said, below)
        place = (0.62 / _BARS_WIDTH, (below.height + 0.6) / height, 1 - 0.8 / _BARS_WIDTH, _BARS_HEIGHT / height)
        axes = figure.add_axes(place)
        wide = 0.8 / len(chances)
        for number, (name, values) in enumerate(chances.items()):
            places = [place + 1 + (number - (len(chances) - 1) / 2) * wide for place in range(len(words) - 1)]
            axes.bar(places, values.tolist(), wide, color=colours[name])
        axes.set_xticks(range(len(words)), words, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_xlim(-0.6, len(words) - 0.4)
        axes.set_ylim(0, 1)
        axes.set_ylabel("probability", fontsize=8)
        axes.tick_params(labelsize=8, length=2)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_table(axes: Axes, table: Tensor) -> None:
    axes.imshow(table.clamp(0, 1).numpy(), cmap=WEIGHT_COLOURS, vmin=0, vmax=1)
    numbers = range(len(table))
    axes.set_xticks(numbers, [str(number + 1) for number in numbers])
    axes.set_yticks(numbers, [str(number + 1) for number in numbers])
    axes.tick_params(labelsize=8, length=0)
    for row in numbers:
        for column in numbers:
            value = float(table[row, column])
            colour = "white" if value > 0.5 else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)


def _in_words(similarities: Mapping[str, Tensor]) -> list[str]:
    """Which two sentences are most alike by the first function, and what changes most from it to each other one."""
    (name, first), *others = similarities.items()
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    if not pairs:
        return []
    one, other = max(pairs, key=lambda pair: float(first[pair]))
    said = [f"{name}: {other + 1} and {one + 1} are most alike ({first[one, other]:.2f})."]
    for another, table in others:
        one, other = max(pairs, key=lambda pair: float((table - first)[pair].abs()))
        change = f"from {first[one, other]:.2f} to {table[one, other]:.2f}"
        said.append(f"{another}: {other + 1} and {one + 1} change most, {change}.")
    return said


def _known(words: Sequence[str], chances: Tensor) -> str:
    """In words, how many words were expected, among those that are new and among those that were said before."""
    expected = [chance > 0.5 for chance in chances.tolist()]
    again = [word in words[:place] for place, word in enumerate(words)][1:]
    new = sum(sure for sure, old in zip(expected, again, strict=True) if not old)
    old = sum(sure for sure, old in zip(expected, again, strict=True) if old)
    return (
        f"of {again.count(False)} new words {new} had more than 0.5, of {again.count(True)} that come again {old} had."
    )
