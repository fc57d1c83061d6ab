"""``attention-grading grade``: autograde a class in parallel. It can be stopped at any time, and goes on from there."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from attention_grading.class_run import grade_class, stopping
from attention_grading.cluster import Cluster
from attention_grading.confinement import ConfinementUnavailable, require_available
from attention_grading.handed_in import HandedIn, find_handed_in, fingerprint, read_master, stamp_of
from attention_grading.nbgrader_course import Course, CourseProblem, load_course
from attention_grading.pool import LocalPool, usable_cores
from attention_grading.recording import Known, Recorder, gradebook_words, seconds_late
from attention_grading.run_report import Report, conclude, plan_table, summary_table
from attention_grading.run_screen import Screen, progress_bar
from attention_grading.seed import SeedMissing
from attention_grading.session import UNCONFINED


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
    console = Console(highlight=False, soft_wrap=True)
    try:
        course = load_course(
            Path.cwd(),
            verdict_only=options.verdict_only,
            allow_unconfined=options.allow_unconfined,
            draw=not options.dry_run,
        )
        _say_where_unconfined(course, console)
        recorder = Recorder(course)
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


def _run(course: Course, recorder: Recorder, options: argparse.Namespace, console: Console) -> int:
    begun = time.perf_counter()
    names = options.assignments or _handed_in_assignments(course)
    for name in names:
        _require_gradable(course, recorder, name)
    report = Report()
    todo = list(_to_grade(course, recorder, names, set(options.student), options.force, report))
    report.seconds_planning = time.perf_counter() - begun
    if options.dry_run:
        console.print(plan_table(report, todo))
        return 0
    if todo:
        crew = Cluster(options.scheduler) if options.scheduler else LocalPool(options.workers or usable_cores())
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


def _refuse(reason: Exception | str) -> int:
    print(f"attention-grading: nothing was graded. {reason}", file=sys.stderr)
    return 2


def _say_where_unconfined(course: Course, console: Console) -> None:
    """Say it loudly where code will not be confined; raise where that is not allowed."""
    try:
        require_available()
    except ConfinementUnavailable:
        if not course.rules.allow_unconfined:
            raise
        console.print(f"[bold red]{escape(UNCONFINED)}[/bold red]")


# ---- what there is to do --------------------------------------------------------------------------------------------


def _handed_in_assignments(course: Course) -> list[str]:
    """Names of the instructor's assignments for which there are submissions."""
    found = [name for name in _assignments(course) if next(find_handed_in(course, name), None) is not None]
    if not found:
        raise CourseProblem(f"there are no submissions: nothing matches {course.folder('submitted', '*', '*')}")
    return found


def _assignments(course: Course) -> list[str]:
    sources = course.folder("source", ".", ".")
    return sorted(path.name for path in sources.iterdir() if path.is_dir()) if sources.is_dir() else []


def _require_gradable(course: Course, recorder: Recorder, name: str) -> None:
    if (there := _assignments(course)) and name not in there:
        raise CourseProblem(f"there is no assignment {name}; there are: {', '.join(there)}")
    for notebook in recorder.assignment(name).notebooks:
        read_master(course, name, notebook)
    if next(find_handed_in(course, name), None) is None:
        raise CourseProblem(f"there are no submissions of {name}: {course.folder('submitted', '*', name)}")


def _to_grade(
    course: Course, recorder: Recorder, names: Iterable[str], students: set[str], force: bool, report: Report
) -> Iterator[HandedIn]:
    """The submissions that are new or changed."""
    missing = set(students)
    for name in names:
        known = recorder.known(name)
        masters = [read_master(course, name, notebook) for notebook in recorder.assignment(name).notebooks]
        for handed_in in find_handed_in(course, name):
            if students and handed_in.student not in students:
                continue
            missing.discard(handed_in.student)
            if not force and _is_unchanged(course, recorder, handed_in, masters, known.get(handed_in.student)):
                report.unchanged[name] += 1
                continue
            yield handed_in
    if missing:
        raise CourseProblem(f"there are no submissions by {', '.join(sorted(missing))}")


def _is_unchanged(
    course: Course, recorder: Recorder, handed_in: HandedIn, masters: list[str], known: Known | None
) -> bool:
    """Whether it is graded as it is, in gradebook and folder."""
    stamp = stamp_of(course.folder("autograded", handed_in.student, handed_in.assignment))
    if stamp is None or known is None:
        return False
    try:
        late = seconds_late(course, recorder.assignment(handed_in.assignment), handed_in.folder, known)
        return fingerprint(handed_in.folder, masters, course.terms, late) == stamp
    except (OSError, ValueError):
        return False  # grading says what is wrong with it
