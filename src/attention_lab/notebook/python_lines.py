"""A cell's source as plain Python."""

from __future__ import annotations

import ast
import re


def python_lines(source: str) -> str:
    """The source without IPython's magics, shell lines and questions, where it is no Python with them."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        lines = source.split("\n")
        first = next((line for line in lines if line.strip()), "").strip()
        if first.startswith("%%") and first[2:].split(" ")[0] not in _PYTHON_CELL_MAGICS:
            return ""
        # keep the line's indentation and place, so that line numbers still hold
        return "\n".join(_without_magic(line) for line in lines)
    return source


# cell magics under which a cell is Python all the same
_PYTHON_CELL_MAGICS = ("capture", "debug", "prun", "pypy", "python", "python3", "time", "timeit")
# x = !ls and x = %who
_MAGIC_VALUE = re.compile(r"^(\s*[A-Za-z_][\w, ]*=)\s*[!%].*$")


def _without_magic(line: str) -> str:
    stripped = line.strip()
    if stripped.startswith(("%", "!", "?")) or (stripped.endswith("?") and "#" not in stripped):
        return line[: len(line) - len(line.lstrip())] + "pass"
    return _MAGIC_VALUE.sub(r"\1 None", line)
