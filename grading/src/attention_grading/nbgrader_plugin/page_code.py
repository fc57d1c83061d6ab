"""Learners' code and outputs on an HTML page: within its edges, coloured where that is quick and plain where it is not.

Pygments' time grows with the square of the length for some texts (blanks, ``\\N{``), nbgrader waits for a page however
long it takes, and one student's page would be everybody's. So what is coloured is bounded, a cell and a page.
"""

from __future__ import annotations

from html import escape
from itertools import groupby, islice
from typing import Any

from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.utils.base import NbConvertBase

# The notebooks come with 5 000 characters of code, and an answer has one or two thousand
MAX_COLOURED_CELL = 10_000
MAX_COLOURED_PAGE = 30_000
MAX_BLANK_LINES = 2

# nbconvert's option for what writes code, in nbgrader_config.py for Formgrader's pages
FILTERS = {
    "highlight_code": "attention_grading.nbgrader_plugin.page_code.PageCode",
    "ansi2html": "attention_grading.nbgrader_plugin.page_code.page_output",
}
# Long lines go on below: Formgrader's style sheets cut them at the right edge
_WRAPPED = 'style="white-space: pre-wrap; overflow-wrap: anywhere; word-break: normal"'


def page_output(text: str) -> str:
    """nbconvert's filter ``ansi2html``: an output's text as HTML."""
    return f"<span {_WRAPPED}>{ansi2html(text)}</span>"


class PageCode(NbConvertBase):
    """nbconvert's filter ``highlight_code``; the exporter makes one for each page."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._room = MAX_COLOURED_PAGE
        # not ipython3: its rules for magics take the square of every text
        self._colour = Highlight2HTML(pygments_lexer="python", parent=self.parent)

    def __call__(self, source: str, language: str | None = None, metadata: Any = None) -> str:
        """A cell's code as HTML.

        Args:
            source: The code.
            language: Not used; it is Python.
            metadata: Not used: it could name a language whose lexer is slow.
        """
        text = without_long_gaps(source)
        if len(text) > min(MAX_COLOURED_CELL, self._room):
            return f'<div class="highlight hl-python"><pre {_WRAPPED}>{escape(text)}\n</pre></div>'
        self._room -= len(text)
        coloured: str = self._colour(text)
        return coloured.replace("<pre>", f"<pre {_WRAPPED}>", 1)


def without_long_gaps(source: str) -> str:
    """The code without blanks at the ends of lines, and with few blank lines one after the other."""
    lines: list[str] = []
    for some, group in groupby((line.rstrip() for line in source.split("\n")), bool):
        lines += islice(group, None if some else MAX_BLANK_LINES)
    return "\n".join(lines)
