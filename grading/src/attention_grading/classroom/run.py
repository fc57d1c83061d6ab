"""Grade many submissions: hand them out, record each as it comes back, and end in good order when asked to."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pebble import ProcessExpired
from sqlalchemy.exc import SQLAlchemyError

from attention_grading.classroom.fingerprint import fingerprint
from attention_grading.classroom.gradebook_writer import GradebookWriter, gradebook_words, seconds_late
from attention_grading.classroom.handed_in import HandedIn, read_masters, read_tasks
from attention_grading.classroom.progress import RunSummary, Screen
from attention_grading.classroom.task import Graded, WrongVersion
from attention_grading.nbgrader_plugin.course import NbgraderCourse
from attention_grading.notebooks.grade import GradingTerms, NotebookTask
from attention_grading.sandbox.processes import Interrupted, WorkerFailed
from attention_grading.text import id_problem, plain


class GradebookGone(RuntimeError):
    """Nothing can be recorded; the message says why."""


# What no other submission would fare better with
_FATAL = (WorkerFailed, WrongVersion, ImportError, BrokenProcessPool, CancelledError, GradebookGone)
MAX_UNRECORDED = 3  # each waits for a locked gradebook for some seconds


class Crew(Protocol):
    """Who grades: processes here or on a cluster."""

    def room(self) -> int:
        """How many submissions it wants at once: those in work, and as many that wait close by."""
        ...

    def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
        """Have a submission graded."""
        ...

    def close(self) -> None:
        """End it; what is still in work is dropped."""
        ...

    def died(self, error: BaseException) -> bool:
        """Whether the error says that the process ended, and another try is worth it."""
        ...


class Stop:
    """Whether a signal asked the run to end."""

    def __init__(self) -> None:
        self.signal = 0


@contextmanager
def stopping() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a request to end; a second one ends at once."""
    stop = Stop()
    before: dict[int, Any] = {}

    def ask(number: int, _: Any) -> None:
        stop.signal = number
        for known, handler in before.items():
            signal.signal(known, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


@dataclass
class _InWork:
    handed_in: HandedIn
    tasks: list[NotebookTask]
    print_: str
    lines: list[str]
    is_second_try: bool = False


def grade_class(
    course: NbgraderCourse,
    recorder: GradebookWriter,
    crew: Crew,
    todo: Sequence[HandedIn],
    stop: Stop,
    report: RunSummary,
    screen: Screen,
) -> None:
    """Grade submissions and record each as it comes back. Only so many are in memory as the crew has room for.

    Args:
        course: The course.
        recorder: Writes the results.
        crew: Grades.
        todo: The submissions.
        stop: Ends the run early.
        report: What was done is added to it.
        screen: Shows it.
    """
    left = deque(todo)
    # what ended early for no fault of its own is graded once more when the others are done, one at a time
    alone: deque[_InWork] = deque()
    working: dict[Future[Graded], _InWork] = {}

    unrecorded = 0  # in a row, since the gradebook cannot be reached

    def count(failed: Exception | None) -> None:
        nonlocal unrecorded
        unrecorded = unrecorded + 1 if isinstance(failed, SQLAlchemyError) else 0
        if failed is not None and unrecorded == MAX_UNRECORDED:
            raise GradebookGone(f"{gradebook_words(failed)}; {unrecorded} submissions in a row could not be recorded")

    def close(handed_in: HandedIn, lines: Sequence[str], graded: Graded | None) -> None:
        name = handed_in.assignment
        if graded is None:
            report.ungraded[name] += 1
        else:
            report.graded[name] += 1
            report.worker_seconds[name] += graded.seconds
        report.problems[name] += bool(lines)
        for line in lines:
            # a hook names the submission by itself
            words = line.removeprefix(f"{handed_in}: ")
            text = plain(f"{recorder.called(handed_in.student)}, {name}: {words}", 600)
            report.lines.append(text)
            screen.say(text)
        screen.advance()

    def hand_out(work: _InWork) -> None:
        working[crew.submit(work.tasks, course.terms)] = work

    def fill() -> None:
        while left and len(working) < crew.room() and not stop.signal:
            handed_in = left.popleft()
            begun = time.perf_counter()
            work = _prepare(course, recorder, handed_in)
            if isinstance(work, str):
                close(handed_in, work.splitlines(), None)
            else:
                hand_out(work)
            report.seconds_serial += time.perf_counter() - begun
        if alone and not left and not working and not stop.signal:
            hand_out(alone.popleft())

    try:
        fill()
        while working and not stop.signal:
            done, _ = wait(working, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                work = working.pop(future)
                fill()  # before the result is recorded, so that no worker waits for that
                begun = time.perf_counter()
                error = future.exception()
                ended_by_others = isinstance(error, Interrupted) or (error is not None and crew.died(error))
                if error is None:
                    count(_record(recorder, work, future.result(), close))
                elif ended_by_others and not work.is_second_try:
                    work.is_second_try = True
                    report.retries += 1
                    alone.append(work)
                elif isinstance(error, _FATAL):
                    raise error
                else:
                    why = f"{_words(error)} (twice, the second time alone)" if ended_by_others else _words(error)
                    close(work.handed_in, [*work.lines, f"could not be graded: {why}"], None)
                report.seconds_serial += time.perf_counter() - begun
                if stop.signal:
                    break
            fill()
    except _FATAL as error:
        report.stopped = str(error) or "the workers are gone, or the connection to them"
    report.signal = stop.signal


def _prepare(course: NbgraderCourse, recorder: GradebookWriter, handed_in: HandedIn) -> _InWork | str:
    """Read a submission as nbgrader would, hooks first.

    Returns:
        What to hand out, or the lines that say what keeps it from being graded.
    """
    if problem := id_problem(handed_in.student):
        return f"could not be graded: the student's id {problem}; rename the folder {handed_in.folder.parent}"
    try:
        rows = recorder.assignment(handed_in.assignment)
        known = recorder.known(handed_in.assignment, handed_in.student).get(handed_in.student)
    except SQLAlchemyError as error:  # locked by somebody else, say: the next one may be read again
        return f"could not be graded: {gradebook_words(error)}"
    converter = course.converter
    with course.hear() as said:
        converter.notebooks = sorted(str(path) for path in handed_in.folder.glob("*.ipynb"))
        converter.run_pre_convert_hook()
        notebooks = [Path(path) for path in converter.notebooks]
    unknown = [path.name for path in notebooks if path.stem not in rows.notebooks]
    lines = [*said, *(f"{name} is not graded: the assignment has no such notebook" for name in unknown)]
    notebooks = [path for path in notebooks if path.stem in rows.notebooks]
    if not notebooks:
        return "\n".join([*lines, "could not be graded: there is no notebook to grade"])
    try:
        late = seconds_late(course, rows, handed_in.folder, known)
        masters = read_masters(course, handed_in.assignment, rows.notebooks)
        print_ = fingerprint(handed_in.folder, masters, course.terms, late, course.late_rule)
        return _InWork(handed_in, read_tasks(course, handed_in, notebooks), print_, lines)
    except (OSError, ValueError) as error:
        return "\n".join([*lines, f"could not be graded: {error}"])


def _record(recorder: GradebookWriter, work: _InWork, graded: Graded, close: Any) -> Exception | None:
    """Record a result; returns what kept it from that."""
    said = [line for notebook in graded.notebooks for line in notebook.lines]
    try:
        lines = recorder.record(work.handed_in, graded, work.print_)
    except Exception as error:  # a full disk, a locked gradebook: the others may still be recorded
        why = gradebook_words(error) if isinstance(error, SQLAlchemyError) else _words(error)
        close(work.handed_in, [*work.lines, *said, f"could not be recorded: {why}"], None)
        return error
    close(work.handed_in, [*work.lines, *said, *lines], graded)
    return None


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "its process did not answer in time"
    if isinstance(error, ProcessExpired):
        return "its process died"
    if isinstance(error, Interrupted):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]
