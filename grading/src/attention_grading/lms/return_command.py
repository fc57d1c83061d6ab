"""``attention-grading return``: points and feedback in the form that Canvas and Moodle import."""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbgrader.coursedir import CourseDirectory
from rich import box
from rich.console import Console
from rich.table import Table

from attention_grading.course_file import CourseProblem
from attention_grading.files import keep_aside
from attention_grading.lms.attempts import counted
from attention_grading.lms.candidates import Candidate, Reading
from attention_grading.lms.feedback import feedback_notebook, write_pages
from attention_grading.lms.owners.roster import Roster, read_roster
from attention_grading.lms.sheets import (
    NOTHING,
    Sheet,
    SheetProblem,
    canvas_sheet,
    known_as,
    moodle_sheet,
    new_canvas_sheet,
)
from attention_grading.nbgrader_plugin.configuration import open_course
from attention_grading.nbgrader_plugin.folders import ANYBODY, course_folder, student_folders
from attention_grading.nbgrader_plugin.gradebook_reader import ClassMarks, Mark, read_marks
from attention_grading.nbgrader_plugin.left_aside import Aside, read_left_aside
from attention_grading.text import id_problem, plain, wrapped

DESCRIPTION = """\
Write what goes back to Canvas or Moodle: returned/ASSIGNMENT/grades.csv and feedback.zip, in the form that it imports.
Late penalties are in the points. Who handed in nothing keeps what the platform has (--missing-zero: 0, where it has
nothing); who handed in something that is not graded gets no 0; each is listed, with the reason. Pages are written
anew. Nothing is overwritten: an older file is kept under a numbered name. Exit code: 0 when all is there, 1 when
something is left to look at, 2 for wrong usage. docs/lms.md says what to click.
"""
# Canvas shows a returned file under the name of the one that was handed in
_NOTEBOOK = re.compile(r"\.(?:ipynb|json|txt)$", re.IGNORECASE)
_MOODLE_FOLDER = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_")


@dataclass
class Returned:
    """What was written for one assignment.

    Attributes:
        assignment: Its name.
        graded: Submissions with points in the gradebook.
        points: Of them, how many are in the sheet.
        feedback: Of them, how many have their feedback in the archive.
        without: Who gets 0 or no points, by that and the reason.
        written: Paths of what was written, and what became of older files.
        problems: What an instructor has to look at.
    """

    assignment: str
    graded: int = 0
    points: int = 0
    feedback: int = 0
    without: dict[str, list[str]] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("assignments", metavar="ASSIGNMENT", nargs="*", help="by default all that have been graded")
    parser.add_argument("--lms", choices=("canvas", "moodle"), required=True)
    parser.add_argument(
        "--gradebook",
        metavar="CSV",
        type=Path,
        help="what it exports: Canvas's gradebook, or Moodle's grading worksheet of one assignment",
    )
    parser.add_argument(
        "--download",
        metavar="ZIP_OR_FOLDER",
        type=Path,
        action="append",
        default=[],
        help="what you gave intake: Canvas takes feedback only under the names in there",
    )
    parser.add_argument("--roster", metavar="CSV", type=Path, action="append", default=[], help="as for intake")
    parser.add_argument("--groups", action="store_true", help="as for intake: one handed in for all of a group")
    parser.add_argument("--column", metavar="NAME", help="which column holds the points, where its name does not tell")
    parser.add_argument("--scale", action="store_true", help="bring the points to what the platform gives for it")
    parser.add_argument("--missing-zero", action="store_true", help="0 for who handed in nothing")
    parser.add_argument("--into", metavar="FOLDER", type=Path, default=Path("returned"), help="default: %(default)s")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the command; returns its exit code."""
    files = [*options.roster, *options.download, *([options.gradebook] if options.gradebook else [])]
    if missing := [path for path in files if not path.exists()]:
        return _refuse(f"There is no {', '.join(map(str, missing))}")
    if options.lms == "moodle" and options.gradebook and len(options.assignments) != 1:
        parser.error("Moodle's grading worksheet is for one assignment: name it")
    if options.column and len(options.assignments) != 1:
        parser.error("--column is for one assignment: name it")
    try:
        coursedir = open_course(Path.cwd())
        marks = read_marks(coursedir, options.assignments)
        # with --column, Moodle's worksheet is in a language whose other columns are not known
        is_roster = options.gradebook is not None and (options.lms == "canvas" or options.column is None)
        roster = read_roster([*options.roster, *([options.gradebook] if is_roster else [])])
        names = (
            counted(options.download, Reading(roster, lms=options.lms, groups=options.groups))
            if options.download
            else {}
        )
        aside = read_left_aside(Path.cwd())
        done = [_return(assignment, coursedir, marks, roster, names, aside, options) for assignment in marks.marks]
    except (CourseProblem, SheetProblem, ValueError) as reason:
        return _refuse(str(reason))
    console = Console(highlight=False)
    for one in done:
        for problem in one.problems:
            _say(console, f"look at {one.assignment}: {plain(problem, 500)}")
    for one in done:
        for why, students in sorted(one.without.items()):
            said = f"{one.assignment}: {len(students)} {'gets' if len(students) == 1 else 'get'} {why}"
            _say(console, plain(f"{said}: {', '.join(students)}", 5000))
    console.print(_table(done))
    for one in done:
        for path in one.written:
            console.print(f"written: {path}", markup=False, soft_wrap=True)
    console.print("docs/lms.md says where to upload them")
    return 1 if any(one.problems for one in done) else 0


def _say(console: Console, text: str) -> None:
    for line in wrapped(text, console.width):
        console.print(line, markup=False, soft_wrap=True)


def _refuse(reason: str) -> int:
    print(f"attention-grading: nothing was written. {reason}", file=sys.stderr)
    return 2


def _table(done: Sequence[Returned]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="what goes back", title_justify="left")
    table.add_column("assignment")
    for name in ("graded", "with points", "with feedback"):
        table.add_column(name, justify="right")
    for one in done:
        table.add_row(one.assignment, str(one.graded), str(one.points), str(one.feedback))
    return table


def _return(
    assignment: str,
    coursedir: CourseDirectory,
    marks: ClassMarks,
    roster: Roster,
    names: Mapping[tuple[str, str], Candidate],
    aside: Sequence[Aside],
    options: argparse.Namespace,
) -> Returned:
    """Write what goes back for one assignment.

    Raises:
        SheetProblem: The platform's export cannot be filled in.
    """
    graded = marks.marks[assignment]
    max_score = marks.max_scores[assignment]
    done = Returned(assignment, len(graded))
    odd = {student: problem for student in graded if (problem := id_problem(student))}
    graded = {student: mark for student, mark in graded.items() if student not in odd}
    done.problems += [
        f"{student!r} gets nothing back: the id {problem}. Rename the folder in submitted/, and grade it again"
        for student, problem in sorted(odd.items())
    ]
    reasons = _reasons(assignment, coursedir, aside)
    if missing := sorted(set(reasons) - set(marks.marks[assignment])):
        done.problems += [f"{marks.called(student)} has no points: {reasons[student]}" for student in missing]
    if options.gradebook is None and (rest := set(marks.students) - set(marks.marks[assignment]) - set(reasons)):
        done.without[f"no points {NOTHING}"] = sorted(map(marks.called, rest))
    sheet = _sheet(
        assignment, {student: marks.names.get(student, "") for student in sorted(graded)}, max_score, options
    )
    elsewhere: list[str] = []
    if sheet is None:
        done.problems.append("no grades.csv was written: give Moodle's grading worksheet by --gradebook")
    else:
        points = {student: mark.score for student, mark in graded.items()}
        sheet.fill(
            points,
            roster,
            max_score=max_score,
            scale=options.scale,
            missing=options.missing_zero,
            unsettled=reasons,
            called=marks.called,
        )
        done.points = len(sheet.filled)
        done.without |= sheet.without
        done.problems += sheet.problems
        if elsewhere := sorted(set(graded) - sheet.filled):
            why = "not in the platform's export, so that nothing goes back to them there"
            if options.gradebook is None:
                why = (
                    "without --gradebook, Canvas finds a student by its own number alone. Give its export (Grades, "
                    "Export) for those who have another id here"
                )
            done.problems.append(f"{why}: {', '.join(map(marks.called, elsewhere))}")
        done.written.append(_write(options.into / assignment / "grades.csv", sheet.text().encode()))
    if waiting := sorted(student for student, mark in graded.items() if mark.needs_manual_grade):
        done.problems.append(f"a check still waits for your points: {', '.join(map(marks.called, waiting))}")
    done.problems += [
        f"{marks.called(student)}: {words}. Look at it again in Formgrader"
        for student, mark in sorted(graded.items())
        for words in mark.kept_by_hand
    ]
    pages = {student: _path(mark, coursedir, "feedback", ".html") for student, mark in graded.items()}
    stale = write_pages(Path(coursedir.root), assignment, pages.values())
    entries: dict[str, bytes] = {}
    for student in sorted(graded):
        try:
            name, data = _feedback(
                graded[student], coursedir, stale, names.get((student, assignment)), sheet, roster, options
            )
        except NoFeedback as reason:
            if student not in elsewhere:  # that is said above, and may be as it should: another platform's
                done.problems.append(f"{marks.called(student)}: {reason}")
        else:
            entries[name] = data
    done.feedback = len(entries)
    if entries:
        done.written.append(_write(options.into / assignment / "feedback.zip", _zipped(entries)))
    return done


def _reasons(assignment: str, coursedir: CourseDirectory, aside: Sequence[Aside]) -> dict[str, str]:
    """Why students have no points although they handed in something, by their ids."""
    folders = student_folders(course_folder(coursedir, "submitted", ANYBODY, assignment))
    reasons = {student: "handed in, and not graded yet" for student, _ in folders}
    left = {one.student: f"{one.file} {one.details}" for one in aside if one.assignment in (assignment, "")}
    return left | reasons


def _sheet(assignment: str, students: Mapping[str, str], max_score: float, options: argparse.Namespace) -> Sheet | None:
    if options.lms == "canvas":
        if options.gradebook is None:
            return new_canvas_sheet(students, assignment, max_score)
        return canvas_sheet(options.gradebook, assignment, options.column)
    return None if options.gradebook is None else moodle_sheet(options.gradebook, options.column)


# ---- feedback --------------------------------------------------------------------------------------------------------


class NoFeedback(RuntimeError):
    """A student's feedback cannot go back; the message says why."""


def _feedback(
    mark: Mark,
    coursedir: CourseDirectory,
    stale: Collection[Path],
    counted_file: Candidate | None,
    sheet: Sheet | None,
    roster: Roster,
    options: argparse.Namespace,
) -> tuple[str, bytes]:
    """A student's feedback: its name in the archive, and its bytes."""
    if options.lms == "canvas":
        if counted_file is None:
            raise NoFeedback("no feedback: Canvas needs the names of its own download: --download with this submission")
        return _canvas_feedback(mark, coursedir, stale, counted_file)
    folder = _moodle_folder(mark.student, counted_file, sheet, roster)
    return f"{folder}/feedback_{mark.assignment}.html", _page(mark, coursedir, stale)


def _canvas_feedback(
    mark: Mark, coursedir: CourseDirectory, stale: Collection[Path], counted_file: Candidate
) -> tuple[str, bytes]:
    """Canvas attaches the file as it is and calls it what the learner's was called: the kind must be the same."""
    name = counted_file.owner.lms_name
    if counted_file.owner.kind == "canvas quiz":
        raise NoFeedback("no feedback: Canvas takes no files back for a quiz")
    if not name or counted_file.owner.kind != "canvas":
        raise NoFeedback(f"no feedback: {counted_file.found.parts[-1]!r} is not a name that Canvas gave")
    text = _notebook(mark, coursedir).encode()
    if _NOTEBOOK.search(name):
        return name, text
    if name.casefold().endswith(".zip"):
        page = _page(mark, coursedir, stale)
        return name, _zipped({f"{mark.assignment}.ipynb": text, f"{mark.assignment}.html": page})
    raise NoFeedback(f"no feedback: it was handed in as {name!r}, and a notebook cannot go back under that name")


def _moodle_folder(student: str, counted_file: Candidate | None, sheet: Sheet | None, roster: Roster) -> str:
    """Moodle reads the participant's number, between the first underscore and the second.

    The worksheet knows it best: in the download, a team's folder has the number of the team.
    """
    found = [ids[0] for ids in sheet.students.values() if known_as(ids, {student}, roster)] if sheet else []
    if sheet is not None and len(found) == 1:
        number, name = found[0], sheet.names.get(found[0], "")
    else:
        match = _MOODLE_FOLDER.match(counted_file.owner.lms_name) if counted_file else None
        if counted_file is None or match is None or counted_file.partner or roster.groups:
            raise NoFeedback(
                "no feedback: neither --download nor --gradebook tells Moodle's number of this participant"
            )
        number, name = match["number"], match["name"]
    name = re.sub(r"[_/\\\x00-\x1f]+", " ", name).strip(" .") or "Participant"
    return f"{name}_{number}_assignsubmission_file"


def _path(mark: Mark, coursedir: CourseDirectory, step: str, suffix: str) -> Path:
    return course_folder(coursedir, step, mark.student, mark.assignment) / f"{mark.assignment}{suffix}"


def _file(mark: Mark, coursedir: CourseDirectory, step: str, suffix: str, missing: str) -> Path:
    path = _path(mark, coursedir, step, suffix)
    if not path.is_file():
        raise NoFeedback(f"no {missing} {mark.assignment}")
    return path


def _page(mark: Mark, coursedir: CourseDirectory, stale: Collection[Path]) -> bytes:
    missing = "feedback page, and none could be written; run: nbgrader generate_feedback --force"
    path = _file(mark, coursedir, "feedback", ".html", missing)
    if path in stale:
        raise NoFeedback("no feedback: its page is an old one, and could not be written anew")
    return path.read_bytes()


def _notebook(mark: Mark, coursedir: CourseDirectory) -> str:
    path = _file(mark, coursedir, "autograded", ".ipynb", "graded notebook; run: attention-grading grade --force")
    graded = nbformat.read(path, as_version=4)
    return feedback_notebook(graded, coursedir.db_url, mark.student, mark.assignment, path.stem, mark.kept_by_hand)


def _zipped(entries: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(entries.items()):
            archive.writestr(name, data)
    return out.getvalue()


def _write(path: Path, data: bytes) -> str:
    """Write a file, and keep the one that was there; returns what is to be said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = keep_aside(path)
    path.write_bytes(data)
    return f"{path}; the older one is kept as {kept}" if kept else str(path)
