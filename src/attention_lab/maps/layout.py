"""A figure's title, caption and legend, placed by hand, in inches.

Matplotlib's constrained layout takes longer than all of the drawing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from attention_lab.maps.figure import NotebookFigure, blank_figure, text_width

# A figure knows no window's width. In JupyterLab a window of 700 pixels leaves 564 to a picture; a wider one would be
# made smaller there, and its words too small to read
NARROW = 5.64
TOP = 0.34  # what the title takes

_LEGEND_ROW, _LINE = 0.21, 0.18
_LEGEND_SIZE, _CAPTION_SIZE = 8.0, 8.5  # points


class Foot(NamedTuple):
    """What stands below the panels.

    Attributes:
        lines: The caption, broken into lines.
        handles: The legend's entries.
        columns: In how many columns these stand.
    """

    lines: list[str]
    handles: Sequence[Patch | Line2D]
    columns: int

    @property
    def legend_height(self) -> float:
        return _LEGEND_ROW * -(-len(self.handles) // self.columns)

    @property
    def height(self) -> float:
        """Inches that it takes."""
        return 0.1 + self.legend_height + _LINE * len(self.lines) + 0.1


def foot(sentences: Sequence[str], handles: Sequence[Patch | Line2D], width: float) -> Foot:
    """Break a caption and a legend so that they fit a figure's width."""
    return Foot(_wrapped(sentences, width - 0.4), handles, _legend_columns(handles, width))


def framed(width: float, height: float, title: str, sentences: Sequence[str], below: Foot) -> NotebookFigure:
    """An empty figure, described by title and caption, with both written on it."""
    figure = blank_figure(width, height, f"{title}. {' '.join(sentences)}")
    write_around(figure, title, below)
    return figure


def write_around(figure: NotebookFigure, title: str, below: Foot) -> None:
    """Write the title on top, caption and legend at the bottom."""
    height = figure.get_figheight()
    plain: dict[str, Any] = {"ha": "center", "parse_math": False}
    figure.text(0.5, 1 - 0.1 / height, title, va="top", fontsize=10, fontweight="bold", **plain)
    caption_place = (0.16 + below.legend_height) / height
    figure.text(0.5, caption_place, "\n".join(below.lines), va="bottom", fontsize=_CAPTION_SIZE, **plain)
    if below.handles:
        figure.legend(
            handles=below.handles,
            loc="lower center",
            bbox_to_anchor=(0.5, 0.07 / height),
            ncols=below.columns,
            fontsize=_LEGEND_SIZE,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=2.2,
            handleheight=1.0,
            columnspacing=1.6,
            labelspacing=0.4,
        )


def _legend_columns(handles: Sequence[Patch | Line2D], width: float) -> int:
    widest = max((text_width(str(handle.get_label()), _LEGEND_SIZE) for handle in handles), default=0.0) + 0.6
    columns = max(1, min(len(handles), int((width - 0.1) // widest)))
    return max(1, -(-len(handles) // -(-len(handles) // columns))) if handles else 1  # even rows


def _wrapped(sentences: Sequence[str], width: float) -> list[str]:
    """One line where that fits, else a line for each sentence, broken only where it must be."""
    line = " ".join(sentences)
    if not line:
        return []
    if text_width(line, _CAPTION_SIZE) <= width:
        return [line]
    letters = max(20, int(len(line) * width / text_width(line, _CAPTION_SIZE)))
    # "item 2" stays together: textwrap does not break at a no-break space
    glued = [sentence.replace("(item ", "(item\N{NO-BREAK SPACE}") for sentence in sentences]
    return [part for sentence in glued for part in textwrap.wrap(sentence, letters)]
