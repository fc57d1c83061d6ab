"""How many words of a notebook a learner reads."""

from __future__ import annotations

import re

from nbformat import NotebookNode

WORDS = 1200  # the most that may stand open on a notebook's page
CHARACTERS = 106  # of a line of code that fits a window of 1,400 pixels beside JupyterLab's sidebar


def words_of(cell: NotebookNode) -> int:
    """Words of a cell that stand open on the page: text and comments.

    Folded hints and answers come on top, and so do diagrams. A piece of code, a link's address and a formula count as
    one word.
    """
    text = cell.source
    if cell.cell_type == "code":
        hidden = r"### BEGIN (HIDDEN TESTS|SOLUTION).*?### END \1"
        text = " ".join(re.findall("#(.*)", re.sub(hidden, "", text, flags=re.S)))
    text = re.sub(r"<details>.*?</details>|```.*?```", "", text, flags=re.S)
    text = re.sub(r"\$\$.*?\$\$|`[^`\n]*`", "code", text, flags=re.S)
    return sum(bool(re.search(r"\w", word)) for word in text.split())
