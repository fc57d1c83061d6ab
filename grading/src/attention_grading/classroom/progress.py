"""What a grading run did, in figures, and how it is shown: while it goes, and at the end."""

from __future__ import annotations

import signal
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from attention_grading.classroom.handed_in import HandedIn
from attention_grading.text import plain, wrapped


@dataclass
class RunSummary:
    """What a run did; counters go by assignment.

    Attributes:
        graded: Submissions graded.
        unchanged: Submissions that had been graded already, as they are.
        problems: Submissions with lines to read.
        ungraded: Submissions that could not be graded.
        worker_seconds: Time that workers spent.
        lines: What was said, in order.
        marks: Score after penalties, and best possible one, of each submission in the gradebook.
        seconds: Wall-clock time of the run.
        seconds_planning: Of it, until the first submission was handed to a worker.
        seconds_serial: What this process spent on reading and recording.
        retries: Submissions that were handed out again because their process had died.
        signal: The signal that ended the run; 0 where none did.
        stopped: Why the run ended early; empty where it did not.
    """

    graded: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    ungraded: Counter[str] = field(default_factory=Counter)
    worker_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    lines: list[str] = field(default_factory=list)
    marks: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_planning: float = 0.0
    seconds_serial: float = 0.0
    retries: int = 0
    signal: int = 0
    stopped: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields, for ``--report``."""
        return {name: dict(value) if isinstance(value, dict) else value for name, value in vars(self).items()}


def plan_table(report: RunSummary, todo: Sequence[HandedIn]) -> Table:
    """What a run would do."""
    to_grade = Counter(handed_in.assignment for handed_in in todo)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="what would be graded", title_justify="left")
    table.add_column("assignment", no_wrap=True)
    for name in ("to grade", "unchanged"):
        table.add_column(name, justify="right")
    for name in sorted({*to_grade, *report.unchanged}):
        table.add_row(name, str(to_grade[name]), str(report.unchanged[name]))
    return table


def summary_table(report: RunSummary) -> Table:
    """One line an assignment: what was done, and where the class stands in the gradebook."""
    # 80 columns hold it beside the longest name
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("assignment", no_wrap=True)
    for name in ("graded", "unchanged", "lines\nto read", "not\ngraded", "mean", "full\nmarks", "s\neach"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, marks in report.marks.items():
        scores = [score for score, _ in marks]
        graded = report.graded[name]
        table.add_row(
            name,
            str(graded),
            str(report.unchanged[name]),
            str(report.problems[name]),
            str(report.ungraded[name]),
            f"{sum(scores) / len(scores):.2f}" if scores else "–",
            str(sum(score >= best for score, best in marks)),
            f"{report.worker_seconds[name] / graded:.2f}" if graded else "–",
        )
    return table


def conclude(report: RunSummary, console: Console) -> None:
    """Say how fast it went, why it ended early where it did, and how to go on."""
    graded = sum(report.graded.values())
    if graded:
        console.print(f"{graded} graded in {report.seconds:.1f} s, {report.seconds / graded:.2f} s a submission")
    if report.signal:
        console.print(
            f"[yellow]Stopped by {signal.Signals(report.signal).name}.[/yellow] What was graded is recorded; "
            "run the same command again to go on."
        )
    if report.stopped:
        console.print(f"[red]Stopped:[/red] {escape(plain(report.stopped, 600))}")
        console.print("What was graded is recorded; run the same command again to go on.")


def say(console: Console, line: str) -> None:
    """Print a line: a terminal gets it in lines of its width, a file in one."""
    for piece in wrapped(line, console.width) if console.is_terminal else [line]:
        console.print(piece, markup=False, soft_wrap=True)


class Screen:
    """What a run shows while it goes: a bar, and lines above it.

    Args:
        progress: Where the bar is.
        total: Number of submissions to grade.
    """

    def __init__(self, progress: Progress, total: int):
        self._progress, self._task = progress, progress.add_task("grading", total=total)

    def say(self, line: str) -> None:
        say(self._progress.console, line)

    def advance(self) -> None:
        self._progress.advance(self._task)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


def progress_bar(console: Console) -> Progress:
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*bar, console=console)
