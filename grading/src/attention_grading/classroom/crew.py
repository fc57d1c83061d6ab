"""Who grades, seen from the run: processes of this machine or of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from attention_grading.classroom.task import Graded
from attention_grading.notebooks.grade import GradingTerms, NotebookTask


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
