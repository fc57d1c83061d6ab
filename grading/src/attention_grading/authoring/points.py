"""Whether what students read about a check's points is what its cell is worth."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat

_NAMED = re.compile(r"(-?\d+(?:\.\d+)?) points?\b")


def require_points_as_written(source: Path, stems: Iterable[str]) -> None:
    """Hold each graded cell's points against the number in its first line.

    Args:
        source: The instructor's notebooks, a folder for each.
        stems: Which of them.

    Raises:
        ValueError: A cell's points are no number of 0 or more, or its text names others.
    """
    for stem in stems:
        for cell in nbformat.read(source / stem / f"{stem}.ipynb", as_version=4).cells:
            if cell.metadata.get("nbgrader", {}).get("grade"):
                check = f"{stem}, {cell.metadata.nbgrader.grade_id}"
                _require(check, cell.metadata.nbgrader.get("points"), cell.source.partition("\n")[0])


def _require(check: str, points: Any, line: str) -> None:
    if isinstance(points, bool) or not isinstance(points, int | float) or not (math.isfinite(points) and points >= 0):
        raise ValueError(f"{check}: {points!r} is no number of points: it takes a number of 0 or more")
    named = _NAMED.search(line)
    if named and float(named[1]) != points:
        worth = f"{points:g} point{'' if points == 1 else 's'}"
        raise ValueError(
            f"{check}: it is worth {worth}, and its first line says {named[0]}: write the same number in both, in "
            "Create Assignment and in the text"
        )
