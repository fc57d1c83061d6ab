"""Who handed in something that was not taken, as ``intake`` keeps it in the course root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attention_grading.files import read_cells
from attention_grading.text import without_apostrophe

FILE = "left_aside.csv"
COLUMNS = ("student", "assignment", "file", "details")


@dataclass(frozen=True)
class Aside:
    """A file that somebody handed in and that was not taken.

    Attributes:
        student: The student's folder.
        assignment: Stem of one of the course's; empty where nothing says which.
        file: Its path in what was given.
        details: Why it was not taken.
    """

    student: str
    assignment: str
    file: str
    details: str


def read_left_aside(root: Path) -> list[Aside]:
    """The course's record; empty where there is none.

    Raises:
        ValueError: It cannot be read.
    """
    path = root / FILE
    if not path.is_file():
        return []
    rows, _ = read_cells(path)
    return [Aside(*map(without_apostrophe, row)) for row in rows[1:] if len(row) == len(COLUMNS)]
