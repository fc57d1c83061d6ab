"""``attention-grading report``: how a class did, and what to teach again, on one page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

from attention_grading.course_file import CourseProblem, read_course
from attention_grading.files import keep_aside
from attention_grading.nbgrader_plugin.configuration import open_course
from attention_grading.nbgrader_plugin.gradebook_reader import read_marks
from attention_grading.nbgrader_plugin.left_aside import read_left_aside
from attention_grading.report.figures import ClassReport, Problem, assignment_figures, mistake_figures, nameless_figures
from attention_grading.report.findings import findings
from attention_grading.report.page import page
from attention_grading.report.same_answers import same_answers
from attention_grading.text import id_problem, plain


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.description = (
        "How a class did, on one page that needs nothing else: scores, checks, the mistakes that were recognised, and "
        "what to look at. Only the last parts name students."
    )
    parser.add_argument("assignments", metavar="ASSIGNMENT", nargs="*", help="by default all that have been graded")
    parser.add_argument("--output", metavar="FILE", type=Path, default=Path("report.html"), help="default: %(default)s")
    parser.add_argument(
        "--lookalikes",
        action="store_true",
        help="list the answers that are the same but for names, comments and layout: a hint, and no accusation",
    )
    parser.add_argument("--anonymous", action="store_true", help="name nobody")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write the page; returns the exit code: 0 when it is there, 2 when there is nothing to report on."""
    if options.anonymous and options.lookalikes:
        parser.error("--lookalikes names students, and --anonymous nobody: choose one of them")
    output = options.output.absolute()
    if not output.parent.is_dir():
        print(f"attention-grading: nothing was written. There is no folder {output.parent}", file=sys.stderr)
        return 2
    try:
        report = make_report(
            open_course(Path.cwd()), options.assignments, anonymous=options.anonymous, lookalikes=options.lookalikes
        )
    except CourseProblem as reason:
        print(f"attention-grading: nothing was written. {reason}", file=sys.stderr)
        return 2
    kept = keep_aside(output)
    output.write_text(page(report), encoding="utf-8")
    print(f"written to {options.output}" + (f"; the older one is kept as {kept}" if kept else ""))
    return 0


def make_report(
    coursedir: CourseDirectory, assignments: Sequence[str], *, anonymous: bool = False, lookalikes: bool = False
) -> ClassReport:
    """Read a course.

    Args:
        coursedir: The course.
        assignments: Which ones; empty: all that have been graded.
        anonymous: Whether names are left out.
        lookalikes: Whether answers are compared with each other.

    Raises:
        NoMarks: There is nothing to report on.
    """
    marks = read_marks(coursedir, assignments)
    found = list(findings(coursedir, marks))
    try:
        aside = read_left_aside(Path(coursedir.root))
    except ValueError as reason:
        raise CourseProblem(str(reason)) from reason
    named = [replace(one, student=plain(marks.called(one.student), 300)) for one in found]
    return ClassReport(
        title=_title(Path(coursedir.root)),
        day=date.today(),
        students=len(marks.students),
        assignments=tuple(
            assignment_figures(
                name, list(graded.values()), marks, [one for one in found if one.assignment == name], aside
            )
            for name, graded in marks.marks.items()
        ),
        mistakes=mistake_figures(named),
        nameless=nameless_figures(named),
        problems=tuple(
            Problem(plain(marks.called(one.student), 300), one.assignment, words)
            for one in found
            for words in (*one.problems, *_about_id(one.student))
        ),
        anonymous=anonymous,
        same_answers=same_answers(coursedir, marks, found) if lookalikes else None,
    )


def _about_id(student: str) -> list[str]:
    problem = id_problem(student)
    return [f"its student's id {problem}: give the folder another name, and grade it again"] if problem else []


def _title(root: Path) -> str:
    try:
        return read_course(root).name
    except ValueError:
        return root.name
