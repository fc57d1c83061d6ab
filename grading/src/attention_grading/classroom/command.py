"""``attention-grading grade``: autograde a class in parallel. It can be stopped at any time, and goes on from there."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from attention_grading.classroom.dask_cluster import Cluster
from attention_grading.classroom.gradebook_writer import GradebookWriter, gradebook_words
from attention_grading.classroom.local_pool import LocalPool, usable_cores
from attention_grading.classroom.progress import (
    RunSummary,
    Screen,
    conclude,
    plan_table,
    progress_bar,
    say,
    summary_table,
)
from attention_grading.classroom.run import Crew, grade_class, stopping
from attention_grading.classroom.todo import handed_in_assignments, require_gradable, to_grade
from attention_grading.course_file import CourseProblem
from attention_grading.judging.seed import SeedMissing
from attention_grading.nbgrader_plugin.course import NbgraderCourse, load_course
from attention_grading.sandbox.confinement import UNCONFINED, ConfinementUnavailable, require_available


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    command.add_argument("assignments", metavar="ASSIGNMENT", nargs="*", help="by default all that were handed in")
    command.add_argument(
        "--student", metavar="ID", nargs="+", action="extend", default=[], help="grade these students only"
    )
    command.add_argument("--workers", metavar="N", type=_positive, help="processes (default: one a core)")
    command.add_argument(
        "--scheduler", metavar="ADDRESS", help="grade on this Dask cluster instead, such as tcp://HOST:8786"
    )
    command.add_argument("--verdict-only", action="store_true", help="judge, and leave out the pictures")
    command.add_argument("--force", action="store_true", help="grade again what has not changed")
    command.add_argument("--dry-run", action="store_true", help="say what would be graded, and write nothing")
    command.add_argument("--report", metavar="FILE", type=Path, help="write the run's figures and lines as JSON")
    command.add_argument(
        "--allow-unconfined",
        action="store_true",
        help="run submissions even where they cannot be confined: they can then do what this account can",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of processes")
    return number


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Grade; returns 0 when everything was graded, 1 when something was not, 2 when nothing could start.

    Interrupted by a signal, it returns 128 and the signal's number: 130 for Ctrl-C.
    """
    # a terminal would break a long line in the middle of a word; a file keeps it whole
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    try:
        course = load_course(
            Path.cwd(),
            verdict_only=options.verdict_only,
            allow_unconfined=options.allow_unconfined,
            draw=not options.dry_run,
        )
        _say_where_unconfined(course, console)
        recorder = GradebookWriter(course)
    except (CourseProblem, SeedMissing, ConfinementUnavailable) as reason:
        return _refuse(reason)
    try:
        return _run(course, recorder, options, console)
    except CourseProblem as reason:
        return _refuse(reason)
    except SQLAlchemyError as error:
        return _refuse(gradebook_words(error))
    finally:
        recorder.close()


def _run(course: NbgraderCourse, recorder: GradebookWriter, options: argparse.Namespace, console: Console) -> int:
    begun = time.perf_counter()
    names = options.assignments or handed_in_assignments(course)
    for name in names:
        require_gradable(course, recorder, name)
    report = RunSummary()
    todo = list(to_grade(course, recorder, names, set(options.student), options.force, report, not options.dry_run))
    report.seconds_planning = time.perf_counter() - begun
    for line in report.lines:
        say(console, line)
    if options.dry_run:
        console.print(plan_table(report, todo))
        return 0
    if todo:
        crew = _crew(options, course, len(todo), console)
        with progress_bar(console) as progress, stopping() as stop:
            try:
                grade_class(course, recorder, crew, todo, stop, report, Screen(progress, len(todo)))
            finally:
                crew.close()
    report.seconds = time.perf_counter() - begun
    try:
        report.marks = {name: recorder.marks(name) for name in names}
    except SQLAlchemyError as error:
        console.print(f"The class's marks could not be read: {escape(gradebook_words(error))}")
    console.print(summary_table(report))
    conclude(report, console)
    if options.report:
        options.report.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    if report.signal:
        return 128 + report.signal
    return 1 if report.ungraded or report.stopped else 0


def _crew(options: argparse.Namespace, course: NbgraderCourse, submissions: int, console: Console) -> Crew:
    """Who grades; says first what starts, since that takes seconds."""
    todo = f"{submissions} submission{'' if submissions == 1 else 's'} to grade"
    if options.scheduler:
        console.print(f"Asking for workers at {escape(options.scheduler)}: {todo}.")
        return Cluster(options.scheduler)
    workers = min(options.workers or usable_cores(), submissions)
    console.print(f"Testing the confinement, warming {workers} process{'' if workers == 1 else 'es'}: {todo}.")
    return LocalPool(workers, course.terms)


def _refuse(reason: Exception | str) -> int:
    print(f"attention-grading: nothing was graded. {reason}", file=sys.stderr)
    return 2


def _say_where_unconfined(course: NbgraderCourse, console: Console) -> None:
    """Say it loudly where code will not be confined; raise where that is not allowed."""
    try:
        require_available()
    except ConfinementUnavailable:
        if not course.rules.allow_unconfined:
            raise
        console.print(f"[bold red]{escape(UNCONFINED)}[/bold red]")
