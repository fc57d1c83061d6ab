"""What a grading run shows while it goes: a bar with rate and remaining time, and lines above it."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Screen:
    """What a run shows while it goes: a bar, and lines above it.

    Args:
        progress: Where the bar is; ``None`` shows nothing.
        total: Number of submissions to grade.
    """

    def __init__(self, progress: Progress | None, total: int):
        self._progress = progress
        self._task = None if progress is None else progress.add_task("grading", total=total)

    def say(self, line: str) -> None:
        if self._progress is not None:
            self._progress.console.print(escape(line))

    def advance(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
    )
