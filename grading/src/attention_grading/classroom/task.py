"""Grade one submission: what was handed in goes in, graded notebooks and scores come out.

Nothing else is read or written: no folder of the course, no gradebook. It can happen in any process on any machine that
has the packages; each process keeps one warm judging session and uses it for all submissions that it gets. The steps
are those of ``nbgrader autograde`` with this course's configuration, by the same functions.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attention_grading import __version__
from attention_grading.notebooks.grade import GradedNotebook, GradingTerms, NotebookTask, Terms, grade_notebook

if TYPE_CHECKING:
    from attention_grading.judging.session import Session


@dataclass(frozen=True)
class Graded:
    """What grading one submission gave.

    Attributes:
        notebooks: Its notebooks.
        seconds: How long that took.
    """

    notebooks: tuple[GradedNotebook, ...]
    seconds: float


class WrongVersion(RuntimeError):
    """The process that was to grade has another version of the package."""


def grade_submission(tasks: Sequence[NotebookTask], terms: GradingTerms) -> Graded:
    """Grade the notebooks of one submission.

    Whatever is wrong with them ends in their scores and lines.

    Args:
        tasks: Its notebooks.
        terms: What holds for the run.

    Raises:
        WorkerFailed: Confinement is not available here, or failed its self-test.
        WrongVersion: This is not the version that the run was started with.
        Interrupted: Something else than the submission ended its process.
    """
    if terms.version != __version__:
        raise WrongVersion(f"a worker has attention-grading {__version__}, the run was started with {terms.version}")
    begun = time.perf_counter()
    with _LOCK:
        session = _warm_session(terms.judging)
        notebooks = tuple(grade_notebook(task, terms, session) for task in tasks)
    return Graded(notebooks, time.perf_counter() - begun)


# ---- one session a process ------------------------------------------------------------------------------------------


_LOCK = threading.Lock()  # a session serves one submission at a time, whatever threads a worker has
_WARM: dict[Terms, Session] = {}


def _warm_session(terms: Terms) -> Session:
    """This process's session; another one where the terms are others than before."""
    if terms not in _WARM:
        close_session()
        session = terms.session()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing is confined is said once, by the run
            session.start()
        _WARM[terms] = session
    return _WARM[terms]


def close_session() -> None:
    """End this process's session, if it has one."""
    for session in _WARM.values():
        session.close()
    _WARM.clear()
