"""The spreadsheets that Canvas and Moodle export and import: read them, and put points in.

Sources: Canvas, ``lib/gradebook_importer.rb`` and ``app/models/abstract_assignment.rb``; Moodle,
``mod/assign/gradingtable.php`` and ``mod/assign/feedback/offline/importgradeslib.php``. See ``docs/lms.md``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from attention_grading.files import read_cells
from attention_grading.lms.owners.roster import Roster, Unknown, folder_name, spreadsheet_problem
from attention_grading.lms.recognise import variant_in_name
from attention_grading.text import harmless

# Canvas: the columns that say who it is, as its importer knows them
_CANVAS_WHO: tuple[str, ...] = ("student", "lastname", "firstname", "id", "sis user id", "sis login id")
_CANVAS_WHO += ("integration id", "root account", "section")
_CANVAS_NEW = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
_CANVAS_POINTS = "Points Possible"
_CANVAS_NUMBER = re.compile(r"\(\d+\)\s*$")

# Moodle writes its headers in the site's language, but the order stays: who it is first, and the points to be had
# right after the points
_MOODLE_GRADE, _MOODLE_FULL_NAME = "grade", "full name"
_MOODLE_IDS = ("id number", "username", "email address", "email")
_MOODLE_NUMBER = re.compile(r"(?<!\d)(\d+)\s*$")


NOTHING = "(nothing handed in)"


class SheetProblem(ValueError):
    """A sheet cannot be filled in; the message says why, and what to do."""


@dataclass
class Sheet:
    """A spreadsheet: its header, its rows, and where in it what stands.

    Attributes:
        rows: The header first.
        delimiter: Between cells.
        grade: Column of the points.
        possible: Points to be had, as the platform has them; ``None`` where the sheet does not say.
        students: Rows that are students, with the ids that each goes by, the one that names a file first.
        names: Full names by that id, where the sheet has them.
        filled: Students whose points are in.
        without: Whose cell gets 0 or no points, by that and the reason, in words that follow "gets".
        problems: What an instructor has to look at.
    """

    rows: list[list[str]]
    delimiter: str
    grade: int
    possible: float | None
    students: dict[int, list[str]]
    names: dict[str, str] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    without: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def fill(
        self,
        points: Mapping[str, float],
        roster: Roster,
        *,
        max_score: float,
        scale: bool,
        missing: bool,
        unsettled: Collection[str] = (),
        called: Callable[[str], str] = str,
    ) -> None:
        """Put points in. Cells of students without any, and cells with words such as EX, keep what stands there.

        Args:
            points: By student's id in the gradebook.
            roster: Ids that students go by.
            max_score: Points to be had in the course.
            scale: Whether points are brought to what the platform has.
            missing: Whether an empty cell of a student who handed in nothing gets 0.
            unsettled: Ids of students who handed in something that has no points: they get no 0.
            called: What a student is shown as: with a name, where one is known.

        Raises:
            SheetProblem: The platform has other points to be had, and ``scale`` is not set.
        """
        factor = self._factor(max_score, scale)
        rows: dict[str, list[int]] = {}
        for index, ids in self.students.items():
            try:
                student = known_as(ids, points, roster)
                waits = known_as(ids, unsettled, roster)
            except Unknown as problem:
                self.problems.append(f"row {index + 1}: {problem}")
                continue
            if student is not None:
                rows.setdefault(student, []).append(index)
            elif waits is None and _is_blank(self.rows[index][self.grade]):
                self._leave(index, f"{'0' if missing else 'no points'} {NOTHING}")
                if missing:
                    self.rows[index][self.grade] = "0"
        for student, places in rows.items():
            if len(places) > 1:
                lines = ", ".join(str(place + 1) for place in places)
                self.problems.append(f"{called(student)}: rows {lines} both go by this id; neither was filled in")
                continue
            there = self.rows[places[0]][self.grade].strip()
            self.filled.add(student)
            if not _is_blank(there) and _number(there) is None:
                why = spreadsheet_problem(there) or (
                    f"{there!r} stands in the sheet and was left there instead of {points[student]:g} points"
                )
                self.problems.append(f"{called(student)}: {why}")
                continue
            self.rows[places[0]][self.grade] = f"{round(points[student] * factor, 2):g}"
            if points[student] == 0:
                self._leave(places[0], "0 (graded; no point earned, or all taken off for lateness)")

    def _factor(self, max_score: float, scale: bool) -> float:
        if self.possible is None or self.possible == max_score:
            return 1.0
        if not scale:
            raise SheetProblem(
                f"the platform gives {self.possible:g} points for it, the course {max_score:g}: change the points "
                "there, or say --scale"
            )
        return self.possible / max_score

    def _leave(self, index: int, reason: str) -> None:
        ids = self.students[index]
        name = self.names.get(ids[0], "")
        self.without.setdefault(reason, []).append(f"{name} ({ids[0]})" if name else ids[0])

    def text(self) -> str:
        """The file, for import: what a spreadsheet would run as a formula is defused."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.delimiter)
        writer.writerows([_cell(cell) for cell in row] for row in self.rows)
        return out.getvalue()


def _cell(cell: str) -> str:
    number_or_nothing = re.fullmatch(r"-?(?:\d+(?:[.,]\d+)?)?", cell.strip())
    return cell if number_or_nothing else harmless(cell)


def known_as(ids: Sequence[str], students: Collection[str], roster: Roster) -> str | None:
    """The id in the gradebook that somebody goes by, found as ``intake`` finds it; ``None`` where there is none.

    Args:
        ids: What the platform calls them, the surest first.
        students: Ids in the gradebook.
        roster: Other ids that students go by.

    Raises:
        Unknown: The roster gives an id to several.
    """
    for raw in ids:
        for name in (roster.find(raw), raw):
            if name is not None and (student := folder_name(name)) in students:
                return student
    return None


# ---- Canvas ----------------------------------------------------------------------------------------------------------


def canvas_sheet(path: Path, assignment: str, column: str | None) -> Sheet:
    """Canvas's gradebook export, reduced to who is who and one assignment.

    Args:
        path: The export.
        assignment: Stem of one of the course's.
        column: The assignment's header in Canvas, or its number; ``None`` finds it by its name.

    Raises:
        SheetProblem: The file is no such export, or does not have that assignment once.
    """
    rows, delimiter = _read(path)
    header = [cell.strip().casefold() for cell in rows[0]]
    if "id" not in header or not {"student", "lastname"} & set(header) or "section" not in header:
        raise SheetProblem(f"{path} is no export of Canvas's gradebook: Student, ID and Section are not all there")
    who = [index for index, name in enumerate(header) if name in _CANVAS_WHO]
    grade = _column(path, rows[0], assignment, column)
    kept = [[row[index] for index in (*who, grade)] for row in rows]
    names = [header[index] for index in who]
    students: dict[int, list[str]] = {}
    possible = None
    for index, row in enumerate(kept[1:], 1):
        ids = dict(zip(names, row, strict=False))
        if _CANVAS_POINTS.casefold() in row[0].casefold():
            possible = _number(row[-1])
            if "read only" in row[-1]:
                raise SheetProblem(f"Canvas calculates {rows[0][grade]!r} itself and takes no points for it")
        elif keys := [key for name in ("id", "sis user id", "sis login id") if (key := ids.get(name, "").strip())]:
            students[index] = keys
    if not students:
        raise SheetProblem(f"{path} names no student by an id")
    called = {keys[0]: kept[index][0].strip() for index, keys in students.items()}
    return Sheet(kept, delimiter, len(who), possible, students, called)


def new_canvas_sheet(students: Mapping[str, str], assignment: str, max_score: float) -> Sheet:
    """A sheet for Canvas without an export; it joins the students by its own number, and the assignment by its name.

    Args:
        students: Their names by id; an id that is no number is none of Canvas's, and gets no row.
        assignment: Its name.
        max_score: Points to be had.
    """
    rows = [[*_CANVAS_NEW, assignment], [f"    {_CANVAS_POINTS}", "", "", "", "", f"{max_score:g}"]]
    known = {}
    for student, name in students.items():
        if student.isdecimal():
            known[len(rows)] = [student]
            rows.append([name, student, "", "", "", ""])
    return Sheet(rows, ",", len(_CANVAS_NEW), max_score, known, dict(students))


# ---- Moodle ----------------------------------------------------------------------------------------------------------


def moodle_sheet(path: Path, column: str | None) -> Sheet:
    """Moodle's grading worksheet of one assignment.

    Args:
        path: The worksheet.
        column: Header of the points, where the site's language is not English.

    Raises:
        SheetProblem: The file is no such worksheet.
    """
    rows, delimiter = _read(path)
    header = [cell.strip().casefold() for cell in rows[0]]
    wanted = _MOODLE_GRADE if column is None else column.strip().casefold()
    numbers = {index: match[1] for index, row in enumerate(rows[1:], 1) if (match := _MOODLE_NUMBER.search(row[0]))}
    if header.count(wanted) != 1 or not numbers:
        raise SheetProblem(
            f"{path} is no grading worksheet of Moodle's, or in another language than English: the first column must "
            "name participants, such as 'Participant 4711'; if it does, say which column holds the points, such as "
            f"--column Bewertung. Its columns: {', '.join(rows[0])}"
        )
    grade = header.index(wanted)
    others = [index for index, name in enumerate(header) if name in _MOODLE_IDS]
    students = {
        index: [number, *(cell for other in others if (cell := rows[index][other].strip()))]
        for index, number in numbers.items()
    }
    named = len(header) > 1 and header[1] == _MOODLE_FULL_NAME
    names = {number: rows[index][1].strip() for index, number in numbers.items()} if named else {}
    beside = rows[next(iter(numbers))][grade + 1] if len(header) > grade + 1 else ""
    return Sheet(rows, delimiter, grade, _number(beside), students, names)


# ---- both ------------------------------------------------------------------------------------------------------------


def _read(path: Path) -> tuple[list[list[str]], str]:
    try:
        rows, delimiter = read_cells(path)
    except ValueError as error:
        raise SheetProblem(str(error)) from error
    rows = [row for row in rows if any(row)]
    if not rows:
        raise SheetProblem(f"{path} is empty")
    width = len(rows[0])
    return [[*row, *[""] * (width - len(row))][:width] for row in rows], delimiter


def _column(path: Path, header: Sequence[str], assignment: str, column: str | None) -> int:
    def fits(name: str) -> bool:
        if column is not None:
            return name.strip() == column.strip() or name.strip().endswith(f"({column.strip()})")
        variant = variant_in_name(name) if _CANVAS_NUMBER.search(name) else None
        return variant is not None and variant.stem == assignment

    found = [index for index, name in enumerate(header) if fits(name)]
    if len(found) != 1:
        which = f"called {column!r}" if column is not None else f"named after {assignment}"
        count = f"{len(found)} columns of {path} are" if found else f"no column of {path} is"
        names = ", ".join(name for name in header if _CANVAS_NUMBER.search(name)) or "it has no assignment at all"
        raise SheetProblem(f"{count} {which}; choose one with --column: {names}")
    return found[0]


def _is_blank(cell: str) -> bool:
    return cell.strip() in ("", "-")


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
