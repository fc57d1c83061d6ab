"""Record what was graded: the one place where grading writes to the gradebook and to ``autograded/``.

It leaves what ``nbgrader autograde`` leaves, over one connection that stays open. A submission is one transaction. Its
new folder is made beside the old one first and put into its place after the transaction, so that a crash in between
leaves the old folder or none, and the submission is graded again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, Comment, Grade, Gradebook, Student, SubmittedAssignment, SubmittedNotebook
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import find_all_files
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from attention_grading.classroom.fingerprint import versions, write_stamp
from attention_grading.classroom.handed_in import HandedIn
from attention_grading.classroom.task import Graded
from attention_grading.course_file import CourseProblem
from attention_grading.nbgrader_plugin.course import NbgraderCourse
from attention_grading.nbgrader_plugin.gradebook_reader import full_name, kept_by_hand
from attention_grading.nbgrader_plugin.times import lateness_in_words
from attention_grading.notebooks.grade import GradedNotebook
from attention_grading.text import with_name


@dataclass(frozen=True)
class NotebookRows:
    """A notebook as the gradebook has it: ids of its rows, cells by name."""

    id: str
    graded_cells: Mapping[str, str]
    commented_cells: Mapping[str, str]


@dataclass(frozen=True)
class AssignmentRows:
    """An assignment as the gradebook has it: ids of its rows, notebooks by name."""

    id: str
    duedate: datetime | None
    notebooks: Mapping[str, NotebookRows]


@dataclass(frozen=True)
class Known:
    """A submission that the gradebook knows already.

    Attributes:
        timestamp: When it was handed in, in UTC.
        extension: What was granted beyond the due date.
    """

    timestamp: datetime | None
    extension: timedelta | None


class GradebookWriter:
    """Writes to one course's gradebook and ``autograded/``.

    Args:
        course: The course.

    Raises:
        CourseProblem: There is no gradebook yet, or it cannot be reached.
    """

    def __init__(self, course: NbgraderCourse):
        self._course = course
        url = make_url(course.coursedir.db_url)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            raise CourseProblem(
                f"there is no gradebook {url.database}; run: nbgrader generate_assignment ASSIGNMENT --force"
            )
        try:
            self._gradebook = Gradebook(course.coursedir.db_url, course.coursedir.course_id)
        except Exception as error:  # every database has its own
            shown = url.render_as_string(hide_password=True)
            raise CourseProblem(f"the gradebook {shown} cannot be opened: {gradebook_words(error)}") from error
        self._rows: dict[str, AssignmentRows] = {}
        self._penalties = AssignLatePenalties(parent=course.converter)
        self._penalties.init_plugin()

    def close(self) -> None:
        """Close the connection."""
        self._gradebook.close()

    # ---- what the gradebook knows -----------------------------------------------------------------------------------

    def assignment(self, name: str) -> AssignmentRows:
        """An assignment's rows.

        Raises:
            CourseProblem: The gradebook does not know it.
        """
        if name not in self._rows:
            with self._transaction() as db:
                row = db.query(Assignment).filter_by(name=name).one_or_none()
                if row is None or not row.notebooks:
                    raise CourseProblem(
                        f"the gradebook does not know the assignment {name}; "
                        f"run: nbgrader generate_assignment {name} --force"
                    )
                self._rows[name] = AssignmentRows(row.id, row.duedate, {nb.name: _rows(nb) for nb in row.notebooks})
        return self._rows[name]

    def known(self, assignment: str, *students: str) -> dict[str, Known]:
        """The assignment's submissions, by student; of these students alone where some are named."""
        columns = (SubmittedAssignment.student_id, SubmittedAssignment.timestamp, SubmittedAssignment.extension)
        with self._transaction() as db:
            rows = db.query(*columns).filter_by(assignment_id=self.assignment(assignment).id)
            rows = rows.filter(SubmittedAssignment.student_id.in_(students)) if students else rows
            return {student: Known(timestamp, extension) for student, timestamp, extension in rows}

    def called(self, student: str) -> str:
        """A student as people read it: with the name, where the gradebook had one when it was first asked."""
        return with_name(self._names.get(student, ""), student)

    @cached_property
    def _names(self) -> dict[str, str]:
        with suppress(SQLAlchemyError), self._transaction() as db:  # locked, say: the id alone tells who it is
            people = db.query(Student.id, Student.first_name, Student.last_name)
            return {student: full_name(first, last) for student, first, last in people}
        return {}

    def marks(self, assignment: str) -> list[tuple[float, float]]:
        """Score after penalties, and best possible score, of each submission."""
        row = SubmittedAssignment
        with self._transaction() as db:
            rows = db.query(row.score, row.late_submission_penalty, row.max_score)
            rows = rows.filter_by(assignment_id=self.assignment(assignment).id)
            return [(max(0.0, score - penalty), best) for score, penalty, best in rows]

    # ---- one submission ---------------------------------------------------------------------------------------------

    def record(self, handed_in: HandedIn, graded: Graded, fingerprint: str) -> list[str]:
        """Record a graded submission.

        Args:
            handed_in: The submission.
            graded: What grading it gave.
            fingerprint: What it is stamped with.

        Returns:
            What is to be said about it.
        """
        place = self._course.folder("autograded", handed_in.student, handed_in.assignment)
        staged = place.with_name(f".{place.name}.new")
        try:
            self._stage(staged, handed_in, graded, fingerprint)
            lines = self._grade(handed_in, graded.notebooks)
            _put_into_place(staged, place)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        if self._course.coursedir.groupshared:
            self._course.converter.set_permissions(handed_in.assignment, handed_in.student)
        return lines

    def _grade(self, handed_in: HandedIn, notebooks: Sequence[GradedNotebook]) -> list[str]:
        """Write scores, comments and penalties, in one transaction."""
        rows = self.assignment(handed_in.assignment)
        timestamp = read_timestamp(self._course, handed_in.folder)
        graded = {notebook.notebook: notebook for notebook in notebooks}
        lines: list[str] = []
        with self._transaction() as db:
            submission = self._submission(db, rows, handed_in.student)
            if timestamp is not None:
                submission.timestamp = timestamp
            names = {nb.id: (name, nb) for name, nb in rows.notebooks.items()}
            for submitted in submission.notebooks:
                name, columns = names[submitted.notebook_id]
                if name in graded:
                    lines += _write_grades(submitted, columns, graded[name])
                elif not (handed_in.folder / f"{name}.ipynb").exists():
                    lines.append(f"{name}.ipynb was not handed in")
                    for grade in submitted.grades:
                        grade.auto_score, grade.needs_manual_grade = 0, False
            if missing := set(graded) - {names[submitted.notebook_id][0] for submitted in submission.notebooks}:
                raise ValueError(f"the gradebook's submission lacks {', '.join(sorted(missing))}")
            db.flush()
            if AssignLatePenalties in self._course.converter.autograde_preprocessors:
                for submitted in submission.notebooks:
                    if names[submitted.notebook_id][0] in graded:
                        lines += self._penalise(submission, submitted, handed_in)
        return lines

    def renew_penalty(self, handed_in: HandedIn, write: bool) -> list[str]:
        """Work the late penalty out again, for a score that was changed by hand since.

        Args:
            handed_in: A submission that is graded as it is.
            write: Whether the gradebook gets it; without, it is only said.
        """
        if AssignLatePenalties not in self._course.converter.autograde_preprocessors:
            return []
        rows, lines = self.assignment(handed_in.assignment), []
        with self._transaction() as db:
            found = db.query(SubmittedAssignment).filter_by(assignment_id=rows.id, student_id=handed_in.student).one()
            for submitted in found.notebooks:
                before = submitted.late_submission_penalty or 0.0
                said = self._penalise(found, submitted, handed_in)
                if (submitted.late_submission_penalty or 0.0) != before:
                    lines += [f"{line} ({before:g} before its score was changed by hand)" for line in said]
            if not write:
                db.rollback()
        return lines

    def _submission(self, db: Any, rows: AssignmentRows, student: str) -> SubmittedAssignment:
        """The student's submission; a new one has all its rows."""
        found = db.query(SubmittedAssignment).filter_by(assignment_id=rows.id, student_id=student).one_or_none()
        if found is not None:
            return found
        if db.get(Student, student) is None:
            if not self._course.converter.create_student:
                raise CourseProblem(f"the gradebook has no student {student} (c.Autograde.create_student is off)")
            db.add(Student(id=student))
        submission = SubmittedAssignment(assignment_id=rows.id, student_id=student)
        for notebook in rows.notebooks.values():
            submitted = SubmittedNotebook(notebook_id=notebook.id, assignment=submission)
            submitted.grades = [Grade(cell_id=cell) for cell in notebook.graded_cells.values()]
            submitted.comments = [Comment(cell_id=cell) for cell in notebook.commented_cells.values()]
        db.add(submission)
        return submission

    def _penalise(
        self, submission: SubmittedAssignment, submitted: SubmittedNotebook, handed_in: HandedIn
    ) -> list[str]:
        """As nbgrader's ``AssignLatePenalties`` has it."""
        submitted.late_submission_penalty = None
        late = submission.total_seconds_late
        if late <= 0:
            return []
        penalty = self._penalties.plugin_inst.late_submission_penalty(handed_in.student, submitted.score, late)
        if penalty is None:
            return []
        taken = submitted.late_submission_penalty = self._penalties._check_late_penalty(submitted, penalty)
        points = f"{taken:g} point{'' if taken == 1 else 's'} taken off"
        return [f"{lateness_in_words(late, handed_in.folder)}, {points}"]

    def _stage(self, staged: Path, handed_in: HandedIn, graded: Graded, fingerprint: str) -> None:
        """Make the new folder: what came with the submission, the instructor's files over it, the notebooks."""
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        ignored = [*self._course.coursedir.ignore, "*.ipynb"]
        _copy(find_all_files(str(handed_in.folder), ignored), handed_in.folder, staged)
        source = self._course.folder("source", ".", handed_in.assignment)
        _copy(self._instructors_files(handed_in.assignment), source, staged)
        for notebook in graded.notebooks:
            (staged / f"{notebook.notebook}.ipynb").write_text(notebook.text, encoding="utf-8")
        write_stamp(staged, fingerprint, versions(self._course.terms.version))
        permissions = int(str(self._course.converter.permissions), 8)
        for folder, _, files in os.walk(staged):
            for name in files:
                os.chmod(Path(folder, name), permissions)

    def _instructors_files(self, assignment: str) -> list[str]:
        source = self._course.folder("source", ".", assignment)
        kept = {str(source / name) for name in self._course.converter.exclude_overwriting.get(assignment, [])}
        files = find_all_files(str(source), [*self._course.coursedir.ignore, "*.ipynb"])
        return [file for file in files if file not in kept]

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        db = self._gradebook.db
        try:
            yield db
            db.commit()
        except BaseException:
            db.rollback()
            raise
        finally:
            db.remove()  # gives the connection back, and forgets the rows


def gradebook_words(error: Exception) -> str:
    """What a database says, in one line and without its SQL."""
    text = str(getattr(error, "orig", None) or error).splitlines()[0]
    if "locked" in text:
        return f"the gradebook is in use by another program ({text}); close Formgrader, or wait until it is done"
    return f"the gradebook says: {text}"


def read_timestamp(course: NbgraderCourse, folder: Path) -> datetime | None:
    """When a submission was handed in, in UTC, from its ``timestamp.txt``.

    Raises:
        ValueError: The file holds no time.
    """
    try:
        when: datetime | None = course.coursedir.get_existing_timestamp(str(folder))
    except (AttributeError, ValueError, OverflowError) as error:  # nbgrader's own report of it fails
        raise ValueError("timestamp.txt holds no time") from error
    return when


def seconds_late(course: NbgraderCourse, rows: AssignmentRows, folder: Path, known: Known | None) -> float:
    """Seconds between the due date, with what was granted beyond it, and the time of handing in; 0 where in time."""
    timestamp = read_timestamp(course, folder) or (known.timestamp if known else None)
    if timestamp is None or rows.duedate is None:
        return 0.0
    extension = (known.extension if known else None) or timedelta(0)
    return max(0.0, (timestamp - rows.duedate - extension).total_seconds())


def _rows(notebook: Any) -> NotebookRows:
    return NotebookRows(
        notebook.id,
        {cell.name: cell.id for cell in [*notebook.grade_cells, *notebook.task_cells]},
        {cell.name: cell.id for cell in [*notebook.solution_cells, *notebook.task_cells]},
    )


def _write_grades(submitted: SubmittedNotebook, columns: NotebookRows, graded: GradedNotebook) -> list[str]:
    """As nbgrader's ``SaveAutoGrades`` has it: a manual score stays, and asks to be looked at again.

    Returns:
        What is to be said about manual scores.
    """
    lines = []
    grades = {grade.cell_id: grade for grade in submitted.grades}
    for name, score in graded.scores.items():
        if name not in columns.graded_cells:
            raise ValueError(f"the gradebook has no cell {name}; run: nbgrader generate_assignment ASSIGNMENT --force")
        grade = grades[columns.graded_cells[name]]
        grade.auto_score = score
        grade.needs_manual_grade = grade.manual_score is not None or score is None
        if words := kept_by_hand(grade):
            lines.append(f"{words}; the judge gives {score or 0:g}. Look at it again in Formgrader")
    comments = {comment.cell_id: comment for comment in submitted.comments}
    for name, text in graded.comments.items():
        comments[columns.commented_cells[name]].auto_comment = text
    return lines


def _copy(files: Sequence[str], origin: Path, target: Path) -> None:
    for file in files:
        copy = target / os.path.relpath(file, origin)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)
        shutil.copy(file, copy)


def _put_into_place(staged: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    staged.rename(place)
    shutil.rmtree(old, ignore_errors=True)
