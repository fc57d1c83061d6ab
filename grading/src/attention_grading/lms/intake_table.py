"""What an intake did, as a table on the terminal and as CSV."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from attention_grading.text import harmless, plain

STATUSES = {
    "taken": "green",
    "repaired": "green",
    "already there": "dim",
    "earlier attempt": "dim",
    "ignored": "dim",
    "rejected": "red",
}
COLUMNS = ("status", "student", "assignment", "submitted_at", "time_from", "file", "student_from", "details")
MAX_CHARACTERS = 500
# Lines with the same details that the terminal shows, of what needs no attention and of what belongs to nobody
FEW = {"already there": 5, "earlier attempt": 5, "ignored": 5}
FEW_REJECTED = 20


@dataclass(frozen=True)
class Line:
    """One thing that was found; the attributes are the report's columns.

    Attributes:
        status: One of ``STATUSES``.
        student: The student's folder; empty where it is not known.
        assignment: Stem of one of the six; empty where it is not known.
        submitted_at: In UTC; empty where it is not known.
        time_from: Who says so: the LMS, the zip entry, the file.
        file: Path in what was given, archives counted as folders.
        student_from: Who says whose it is.
        details: What was repaired, and how; why it was rejected; what else to know.
    """

    status: str
    student: str = ""
    assignment: str = ""
    submitted_at: str = ""
    time_from: str = ""
    file: str = ""
    student_from: str = ""
    details: tuple[str, ...] = ()

    def cells(self) -> tuple[str, ...]:
        """The columns' texts, without control characters."""
        values = (getattr(self, name) for name in COLUMNS[:-1])
        return (*(plain(value, MAX_CHARACTERS) for value in values), plain("; ".join(self.details), MAX_CHARACTERS))


def table(lines: Sequence[Line], title: str) -> Table:
    """The report for the terminal; of many lines that say the same, the first few and how many more there are."""
    shown = Table(title=title)
    for name in ("status", "student", "assignment", "file", "details"):
        shown.add_column(name, overflow="fold")
    kept, left_out = _without_repeats(lines)
    for line in kept:
        cells = dict(zip(COLUMNS, line.cells(), strict=True))
        shown.add_row(
            f"[{STATUSES[line.status]}]{line.status}[/]",
            *(escape(cells[name]) for name in ("student", "assignment", "file", "details")),
        )
    for (status, details), count in left_out.items():
        said = escape(plain("; ".join(details), MAX_CHARACTERS))
        shown.add_row(f"[{STATUSES[status]}]{status}[/]", "", "", f"and {count} more (--report lists them)", said)
    return shown


def _without_repeats(lines: Sequence[Line]) -> tuple[list[Line], Counter[tuple[str, tuple[str, ...]]]]:
    """The lines to show, and by status and details how many are left out."""
    seen: Counter[tuple[str, tuple[str, ...]]] = Counter()
    kept: list[Line] = []
    left_out: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for line in lines:
        kind = (line.status, line.details)
        seen[kind] += 1
        # whoever has a student's name and needs attention is shown, however many there are
        few = FEW_REJECTED if line.status == "rejected" and not line.student else FEW.get(line.status)
        if few is None or seen[kind] <= few:
            kept.append(line)
        else:
            left_out[kind] += 1
    return kept, left_out


def summary(lines: Sequence[Line]) -> str:
    """How many there are of each kind."""
    counts = Counter(line.status for line in lines)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status]) or "nothing was found"


def write_csv(path: Path, lines: Sequence[Line]) -> None:
    """Write the report; a cell that a spreadsheet would take for a formula gets an apostrophe before it."""
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([harmless(cell) for cell in line.cells()] for line in lines)
