"""What an intake did: what needs attention on the terminal, everything as CSV."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from attention_grading.text import harmless, plain, wrapped

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
MAX_PATH = 1500  # the instructor's table finds files by it
# Files that say the same and are nobody's, or one student's: so many are shown
FEW, FEW_OF_ONE = 20, 3


@dataclass(frozen=True)
class Line:
    """One thing that was found; the attributes but the last are the report's columns.

    Attributes:
        status: One of ``STATUSES``.
        student: The student's folder; empty where it is not known.
        assignment: Stem of one of the course's; empty where it is not known.
        submitted_at: In UTC; empty where it is not known.
        time_from: Who says so: the LMS, the zip entry, the file.
        file: Path in what was given, archives counted as folders.
        student_from: Who says whose it is.
        details: What was repaired, and how; why it was rejected; what else to know.
        look: What of the details an instructor should look at.
    """

    status: str
    student: str = ""
    assignment: str = ""
    submitted_at: str = ""
    time_from: str = ""
    file: str = ""
    student_from: str = ""
    details: tuple[str, ...] = ()
    look: tuple[str, ...] = ()

    def cells(self) -> tuple[str, ...]:
        """The columns' texts, without control characters."""
        limits = {"file": MAX_PATH}
        values = (plain(getattr(self, name), limits.get(name, MAX_CHARACTERS)) for name in COLUMNS[:-1])
        return (*values, plain("; ".join(self.details), MAX_CHARACTERS))


def attention(lines: Sequence[Line], width: int, called: Callable[[str], str] = str) -> Iterator[Text]:
    """What an instructor should look at; what says the same stands together.

    Args:
        lines: What was found.
        width: The terminal's columns.
        called: What a student's folder is shown as: with a name, where one is known.
    """
    groups: defaultdict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        told = line.details if line.status == "rejected" else line.look
        if told or line.status == "rejected":
            groups[line.status, plain("; ".join(told), MAX_CHARACTERS)].append(line)
    # what was rejected last, so that it stands where the eye is when the command ends
    for (status, words), found in sorted(groups.items(), key=lambda group: (group[0][0] == "rejected", group[0])):
        for number, said in enumerate(wrapped(f"{status}: {words}", width, "  ")):
            yield Text(said, style=STATUSES[status] if number == 0 and status == "rejected" else "")
        shown: Counter[str] = Counter()
        for line in found:
            shown[line.student] += 1
            if shown[line.student] <= (FEW_OF_ONE if line.student else FEW):
                yield from map(Text, _item(line, width, called))
        if left := sum(max(0, number - (FEW_OF_ONE if student else FEW)) for student, number in shown.items()):
            yield Text(f"    and {left} more: --report FILE lists them all", style="dim")


def _item(line: Line, width: int, called: Callable[[str], str]) -> Iterator[str]:
    """Who, which assignment, which file; a path that is too long is broken between folders."""
    _, _, assignment, _, _, file, *_ = line.cells()
    student = plain(called(line.student), MAX_CHARACTERS) if line.student else ""
    who = ", ".join(filter(None, (student, assignment)))
    whole = f"    {who}: {file}" if who else f"    {file}"
    if len(whole) <= width:
        yield whole
        return
    if who:
        yield f"    {who}:"
    text = ""
    for piece in file.replace("/", "/\0").split("\0"):
        if text and len(text) + len(piece) > width - 6:
            yield f"      {text}"
            text = ""
        text += piece
    yield f"      {text}"


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
