"""Who handed in something that was not taken: ``intake`` keeps it, so that ``return`` gives nobody 0 for nothing."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from attention_grading.lms.intake_table import Line
from attention_grading.nbgrader_plugin.left_aside import COLUMNS, FILE, Aside, read_left_aside
from attention_grading.text import harmless

_TAKEN = ("taken", "repaired", "already there")


def keep_left_aside(root: Path, lines: Sequence[Line], only: Collection[str] | None) -> None:
    """Bring the course's record up to date with what an intake did.

    A file whose name does not say for which assignment it is belongs to the one that the others of its download are.
    Rows go when the same student's notebook of that assignment is taken.

    Raises:
        OSError: The record cannot be written.
        ValueError: The record that is there cannot be read.
    """
    taken = {(line.student, line.assignment) for line in lines if line.status in _TAKEN}
    stems: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        if line.assignment:
            stems[_source(line)].add(line.assignment)
    new = [
        Aside(line.student, line.assignment or _only(only or stems[_source(line)]), line.file, "; ".join(line.details))
        for line in lines
        if line.student and line.status == "rejected"
        if not only or not line.assignment or line.assignment in only
    ]
    rows = {(one.student, one.assignment, one.file): one for one in (*read_left_aside(root), *new)}
    kept = [one for one in rows.values() if (one.student, one.assignment) not in taken]
    path = root / FILE
    if not kept:
        path.unlink(missing_ok=True)
        return
    part = path.with_name(f".{FILE}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([harmless(getattr(one, name)) for name in COLUMNS] for one in sorted(kept, key=repr))
    part.replace(path)


def _source(line: Line) -> str:
    return line.file.partition("/")[0]


def _only(stems: Collection[str]) -> str:
    return next(iter(stems)) if len(stems) == 1 else ""
