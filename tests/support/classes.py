"""Small classes to grade, in course roots of their own, and what a gradebook holds in comparable form."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import nbformat
import sqlalchemy
from nbgrader.api import Base, Comment, Course, Grade, Gradebook, Student, SubmittedAssignment, SubmittedNotebook

from attention_grading import cli
from attention_grading.authoring.course_root import nbgrader, prepare
from attention_grading.authoring.demo_class import STUDENTS
from attention_grading.classroom.fingerprint import STAMP
from attention_grading.classroom.task import Graded, grade_submission
from attention_grading.notebooks.grade import GradingTerms, NotebookTask
from attention_lab.variants import VARIANTS
from support.places import ROOT

STEM, OTHER = "02_eager_causal", "05_flash_bidirectional"
LATE = 'c.LateSubmissionPlugin.penalty_method = "zero"\n'
# A class of four, and what it earns for STEM
SMALL_CLASS = {"ann": "all-right", "bob": "one-mistake", "cem": "blank", "dot": "one-mistake"}
SMALL_POINTS = {"ann": 10, "bob": 4, "cem": 0, "dot": 4}
_BY_STEM = {variant.stem: variant for variant in VARIANTS.values()}


def make_course(folder: Path, stems: Sequence[str], config: str = "") -> Path:
    """A course root with releases and a gradebook, as an instructor has it before the first submission.

    Args:
        folder: The course root.
        stems: Assignments to generate.
        config: Lines to add to ``nbgrader_config.py``.
    """
    prepare(ROOT, folder)
    with (folder / "nbgrader_config.py").open("a") as file:
        file.write(config)
    for stem in stems:
        nbgrader(folder, "generate_assignment", stem)
    return folder


def hand_in(folder: Path, student: str, stem: str, kind: str, name: str | None = None) -> Path:
    """Write a submission.

    Args:
        folder: The course root.
        student: Student's id.
        stem: The assignment.
        kind: One of the demo's students, such as ``"one-mistake"``.
        name: The file's name, where it is another than the assignment's.
    """
    released = nbformat.read(folder / "release" / stem / f"{stem}.ipynb", as_version=4)
    master = nbformat.read(folder / "source" / stem / f"{stem}.ipynb", as_version=4)
    text = STUDENTS[kind](_BY_STEM[stem], released, master)
    assert text is not None, f"{kind} hands in no {stem}"
    path = folder / "submitted" / student / stem / (name or f"{stem}.ipynb")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def grade(folder: Path, *options: str, code: int = 0, seconds: float = 240) -> str:
    """Run ``attention-grading grade`` in a course root and give back what it printed."""
    done = subprocess.run(
        grade_command(*options),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds,
        env=wide(),
    )
    assert done.returncode == code, done.stdout[-5000:]
    return done.stdout


def run(*options: str) -> int:
    """Run ``attention-grading grade`` in this process."""
    return cli.main(["grade", *options])


def grade_command(*options: str) -> list[str]:
    """The command line of ``attention-grading grade``."""
    return [sys.executable, "-m", "attention_grading.cli", "grade", *options]


def wide() -> dict[str, str]:
    """The environment, with a terminal wide enough for long lines."""
    return os.environ | {"COLUMNS": "200"}


def scores(url: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Score after the penalty, and best possible one, by student and assignment."""
    with Gradebook(url) as gradebook:
        return {
            (row.student_id, row.assignment.name): (row.score - row.late_submission_penalty, row.max_score)
            for row in gradebook.db.query(SubmittedAssignment)
        }


def points(folder: Path) -> dict[str, float]:
    """Score after the penalty by student, in a course of one assignment."""
    return {student: score for (student, _), (score, _) in scores(database(folder)).items()}


def graded_students(folder: Path) -> set[str]:
    """Students whose graded folder was finished."""
    return {stamp.parent.parent.name for stamp in (folder / "autograded").glob(f"*/{STEM}/{STAMP}")}


def database(folder: Path) -> str:
    """Address of a course's SQLite gradebook."""
    return f"sqlite:///{folder / 'gradebook.db'}"


def rows(url: str) -> dict[str, Any]:
    """What a gradebook says about submissions, ids left out, in a fixed order; and how long its tables are."""
    with Gradebook(url) as gradebook:
        db = gradebook.db
        return {
            "students": sorted((s.id, s.first_name, s.last_name, s.email, s.lms_user_id) for s in db.query(Student)),
            "submissions": sorted(
                (s.student_id, s.assignment.name, str(s.timestamp), str(s.extension), s.needs_manual_grade)
                for s in db.query(SubmittedAssignment)
            ),
            "notebooks": sorted(
                (n.student.id, n.name, str(n.late_submission_penalty), n.flagged, n.score, n.max_score, n.failed_tests)
                for n in db.query(SubmittedNotebook)
            ),
            "grades": sorted(
                (
                    *(g.student.id, g.assignment.name, g.name, g.cell_type, g.score, g.max_score, g.needs_manual_grade),
                    *(str(g.auto_score), str(g.manual_score), str(g.extra_credit)),
                )
                for g in db.query(Grade)
            ),
            "comments": sorted(
                (c.student.id, c.assignment.name, c.name, str(c.auto_comment), str(c.manual_comment))
                for c in db.query(Comment)
            ),
            "courses": sorted(course.id for course in db.query(Course)),
            "lengths": {
                name: db.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(table))
                for name, table in sorted(Base.metadata.tables.items())
            },
        }


def graded_files(folder: Path) -> Mapping[str, tuple[bytes, int]]:
    """Contents and permissions of everything under ``autograded/``, but the stamps."""
    files = [path for path in (folder / "autograded").rglob("*") if path.is_file() and path.name != ".graded.json"]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode) for path in files}


class InlineCrew:
    """Grades at once, in this process."""

    def __init__(self, workers: int = 1, terms: GradingTerms | None = None):
        """There is nothing to start."""

    def room(self) -> int:
        return 2

    def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
        future: Future[Graded] = Future()
        try:
            future.set_result(grade_submission(tasks, terms))
        except Exception as error:
            future.set_exception(error)
        return future

    def died(self, error: BaseException) -> bool:
        return False

    def close(self) -> None:
        """There is nothing to end."""
