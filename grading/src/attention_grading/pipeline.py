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
from functools import lru_cache

import nbformat
import torch
from nbformat import NotebookNode
from nbgrader.preprocessors import LimitOutput
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, is_task

from attention_grading import __version__
from attention_grading.judging_rules import Terms
from attention_grading.preprocessors import (
    broken_notebook,
    judge_notebook,
    notebook_of,
    show_outputs,
    transplant,
    write_verdict,
)
from attention_grading.session import Session
from attention_lab.submission import NotJudgeable
from attention_lab.variants import get_variant


@dataclass(frozen=True)
class GradingTerms:
    """What holds for all submissions of a run.

    Attributes:
        judging: Seed, limits and confinement.
        verdict_only: Whether the ungraded cells are left alone, so that the graded notebook has no pictures.
        max_lines: Lines of output that a cell keeps, as in nbgrader's ``LimitOutput``; -1 for no limit.
        max_traceback: Lines of a traceback that a cell keeps; -1 for no limit.
        version: Version of this package; a worker of another version refuses.
    """

    judging: Terms
    verdict_only: bool = False
    max_lines: int = -1
    max_traceback: int = -1
    version: str = __version__


@dataclass(frozen=True)
class NotebookTask:
    """One notebook to grade.

    Attributes:
        notebook: Its name, without ``.ipynb``: one of the six stems.
        master: Text of the instructor's source.
        text: What was handed in; ``None`` where it cannot be read.
        reason: Why it cannot be read.
    """

    notebook: str
    master: str
    text: str | None
    reason: str = ""

    def __repr__(self) -> str:
        return f"NotebookTask({self.notebook!r})"  # a cluster's logs show arguments: no learner's work, no hidden cell


@dataclass(frozen=True)
class GradedNotebook:
    """What grading one notebook gave.

    Attributes:
        notebook: Its name, without ``.ipynb``.
        text: The graded notebook.
        scores: Points of each graded cell, by id; ``None`` where a human must grade.
        comments: nbgrader's automatic comment on each solution cell, by id.
        lines: What is to be said about it.
    """

    notebook: str
    text: str
    scores: dict[str, float | None]
    comments: dict[str, str | None]
    lines: tuple[str, ...]


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


def grade_notebook(task: NotebookTask, terms: GradingTerms, session: Session) -> GradedNotebook:
    """Grade one notebook in a given session."""
    variant = get_variant(task.notebook)
    master = _parsed(task.master)
    notebook, lines = transplant(_handed_in(task, terms.judging.code_cells), variant, master)
    if not terms.verdict_only:
        lines += show_outputs(notebook, session)
    verdict = judge_notebook(notebook, variant, master, session)
    write_verdict(notebook, verdict)
    limit = LimitOutput(max_lines=terms.max_lines, max_traceback=terms.max_traceback)
    notebook, _ = limit.preprocess(notebook, {})
    return GradedNotebook(
        notebook=task.notebook,
        text=_written(notebook),
        scores={_id(cell): determine_grade(cell)[0] for cell in notebook.cells if is_grade(cell)},
        comments={_id(cell): _comment(cell) for cell in notebook.cells if is_solution(cell) or is_task(cell)},
        lines=(*lines, *verdict.notes),
    )


def _handed_in(task: NotebookTask, code_cells: int) -> NotebookNode:
    if task.text is None:
        return broken_notebook(task.reason)
    try:
        return notebook_of(task.text, code_cells)
    except NotJudgeable as reason:
        return broken_notebook(str(reason))


@lru_cache(maxsize=32)
def _parsed(text: str) -> NotebookNode:
    """The instructor's notebook; nobody changes it (``transplant`` copies)."""
    return nbformat.reads(text, as_version=4)


def _written(notebook: NotebookNode) -> str:
    text = nbformat.writes(notebook)
    return text if text.endswith("\n") else text + "\n"


def _id(cell: NotebookNode) -> str:
    return cell.metadata.nbgrader.grade_id


def _comment(cell: NotebookNode) -> str | None:
    """As nbgrader's ``SaveAutoGrades`` has it: an answer that was not touched is none."""
    untouched = cell.metadata.nbgrader.get("checksum") == compute_checksum(cell) and not is_task(cell)
    return "No response." if untouched else None


# ---- one session a process ------------------------------------------------------------------------------------------

_LOCK = threading.Lock()  # a session serves one submission at a time, whatever threads a worker has
_WARM: dict[Terms, Session] = {}


def _warm_session(terms: Terms) -> Session:
    """This process's session; another one where the terms are others than before."""
    if terms not in _WARM:
        close_session()
        torch.set_num_threads(1)  # the tensors are tiny, and there is a process a core
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
