"""What the gradebook says of a class, for what goes back to the learning platform and for the class report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.api import Assignment, Grade, Gradebook, SubmittedAssignment, SubmittedNotebook
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from attention_grading.course_file import CourseProblem
from attention_grading.nbgrader_plugin.configuration import NoMarks
from attention_grading.text import plain, with_name, without_apostrophe


@dataclass(frozen=True)
class Mark:
    """One graded submission.

    Attributes:
        student: Student's id.
        assignment: Name of the assignment.
        score: Points after the late penalty, never below 0.
        max_score: Points to be had.
        penalty: Points taken off for being late.
        seconds_late: Seconds after the due date.
        needs_manual_grade: Whether a check waits for a human's points.
        kept_by_hand: Points by hand that outlived a grading and that nobody has looked at since, in words.
        checks: Points of each graded cell, by ``grade_id``: earned and to be had.
    """

    student: str
    assignment: str
    score: float
    max_score: float
    penalty: float = 0.0
    seconds_late: float = 0.0
    needs_manual_grade: bool = False
    checks: dict[str, tuple[float, float]] = field(default_factory=dict)
    kept_by_hand: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassMarks:
    """The gradebook of a course.

    Attributes:
        marks: By assignment and student.
        max_scores: Points to be had, by assignment.
        students: Everybody in the gradebook, by id.
        names: What they are called, by id, where the gradebook knows it.
    """

    marks: dict[str, dict[str, Mark]]
    max_scores: dict[str, float]
    students: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def called(self, student: str) -> str:
        """A student as people read it: name and id."""
        return with_name(self.names.get(student, ""), student)


def full_name(first: str | None, last: str | None) -> str:
    """A name as it is read; the apostrophe that keeps a spreadsheet from running it is left out."""
    return plain(" ".join(without_apostrophe(part) for part in (first, last) if part), 200)


def kept_by_hand(grade: Grade) -> str | None:
    """What is to be said of a hand score that outlived a grading and that nobody has looked at since."""
    if grade.manual_score is None or not grade.needs_manual_grade:
        return None
    return f"hand score of {grade.score:g} in {grade.name.removeprefix('test-')} kept from an earlier grading"


def read_marks(coursedir: CourseDirectory, assignments: Sequence[str]) -> ClassMarks:
    """Read the gradebook.

    Args:
        coursedir: The course.
        assignments: Which ones; empty: all that something was handed in for.

    Raises:
        NoMarks: An assignment is not in the gradebook, or nothing has been graded.
    """
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        known = {assignment.name: float(assignment.max_score) for assignment in gradebook.assignments}
        if unknown := [name for name in assignments if name not in known]:
            there = ", ".join(sorted(known)) or "nothing"
            raise NoMarks(f"the gradebook has no {', '.join(unknown)}; it has {there}")
        grades = _read_grades(gradebook)
        marks: dict[str, dict[str, Mark]] = defaultdict(dict)
        for submission in gradebook.db.query(SubmittedAssignment).join(Assignment):
            name = submission.name
            if not assignments or name in assignments:
                marks[name][submission.student_id] = _mark(submission, grades[submission.id])
        names = {student.id: full_name(student.first_name, student.last_name) for student in gradebook.students}
    if not marks:
        raise NoMarks("nothing has been graded yet: nbgrader autograde, or attention-grading grade")
    wanted = [name for name in known if name in (assignments or marks)]
    return ClassMarks({name: marks[name] for name in sorted(wanted)}, known, tuple(names), names)


def due_dates(coursedir: CourseDirectory) -> dict[str, datetime]:
    """The gradebook's due dates, by assignment; none where there is no gradebook yet.

    Raises:
        CourseProblem: The gradebook cannot be read.
    """
    url = make_url(coursedir.db_url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return {}
    try:
        with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
            dates = {assignment.name: assignment.duedate for assignment in gradebook.assignments}
    except (SQLAlchemyError, OSError) as error:
        raise CourseProblem(f"the gradebook's due dates cannot be read: {str(error).splitlines()[0]}") from error
    return {name: date.replace(tzinfo=UTC) for name, date in dates.items() if date is not None}


def _read_grades(gradebook: Gradebook) -> dict[str, list[Grade]]:
    """The graded cells' rows, by submission."""
    grades: defaultdict[str, list[Grade]] = defaultdict(list)
    rows = gradebook.db.query(SubmittedNotebook.assignment_id, Grade).join(
        Grade, Grade.notebook_id == SubmittedNotebook.id
    )
    for submission, grade in rows:
        grades[submission].append(grade)
    return grades


def _mark(submission: SubmittedAssignment, grades: Sequence[Grade]) -> Mark:
    penalty = float(submission.late_submission_penalty or 0)
    return Mark(
        student=submission.student_id,
        assignment=submission.name,
        score=max(0.0, float(submission.score) - penalty),
        max_score=float(submission.max_score),
        penalty=penalty,
        seconds_late=float(submission.total_seconds_late),
        needs_manual_grade=any(grade.needs_manual_grade and grade.manual_score is None for grade in grades),
        checks={grade.name: (float(grade.score), float(grade.max_score)) for grade in grades},
        kept_by_hand=tuple(words for grade in grades if (words := kept_by_hand(grade))),
    )
