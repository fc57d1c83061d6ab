"""Grade one notebook: what was handed in goes in, the graded notebook and its scores come out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import LimitOutput
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, is_task

from attention_grading import __version__
from attention_grading.judging.verdict import Verdict, not_judged
from attention_grading.notebooks.master import parsed
from attention_grading.notebooks.transplant import BROKEN, NOTES, broken_notebook, notebook_of, transplant
from attention_grading.notebooks.verdict_cells import write_verdict
from attention_grading.sandbox.limits import Limits, OutputLimits
from attention_lab.notebook.learner_cells import (
    DIAGRAM_IDS,
    GRADED_IDS,
    HAND_IN_ID,
    JUDGE_ALL_ID,
    MAX_CODE_CELLS,
    SOLUTION_ID,
    NotJudgeable,
    grade_id_of,
    notebook_submission,
)
from attention_lab.variants import Variant, get_variant

if TYPE_CHECKING:
    from attention_grading.judging.session import Session


@dataclass(frozen=True)
class Terms:
    """What submissions are judged by, wherever that happens.

    Attributes:
        seed: What the hidden inputs are drawn from; it shows in no text of this object.
        limits: What running one submission may use.
        output_limits: How much of a notebook's outputs is kept.
        confined: As in ``Session``.
        code_cells: How many code cells a notebook may have.
    """

    seed: str = field(repr=False)
    limits: Limits
    output_limits: OutputLimits
    confined: bool | None
    code_cells: int = MAX_CODE_CELLS

    def session(self) -> Session:
        """A session under these terms."""
        # here, since PyTorch takes more than a second to import: who plans a run and records it does without
        from attention_grading.judging.session import Session

        return Session(seed=self.seed, limits=self.limits, output_limits=self.output_limits, confined=self.confined)


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
        notebook: Its name, without ``.ipynb``: one of the stems.
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


def grade_notebook(task: NotebookTask, terms: GradingTerms, session: Session) -> GradedNotebook:
    """Grade one notebook in a given session."""
    variant = get_variant(task.notebook)
    master = parsed(task.master)
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
        lines=tuple(dict.fromkeys((*lines, *verdict.notes))),
    )


def _handed_in(task: NotebookTask, code_cells: int) -> NotebookNode:
    if task.text is None:
        return broken_notebook(task.reason)
    try:
        return notebook_of(task.text, code_cells)
    except NotJudgeable as reason:
        return broken_notebook(str(reason))


def _written(notebook: NotebookNode) -> str:
    text: str = nbformat.writes(notebook)
    return text if text.endswith("\n") else text + "\n"


def _id(cell: NotebookNode) -> str:
    grade_id: str = cell.metadata.nbgrader.grade_id
    return grade_id


def _comment(cell: NotebookNode) -> str | None:
    """As nbgrader's ``SaveAutoGrades`` has it: an answer that was not touched is none."""
    untouched = cell.metadata.nbgrader.get("checksum") == compute_checksum(cell) and not is_task(cell)
    return "No response." if untouched else None


def show_outputs(nb: NotebookNode, session: Session) -> list[str]:
    """Run a rebuilt notebook's ungraded cells and put what they show into them.

    Returns:
        What is to be said about the run.
    """
    if BROKEN in nb.metadata:
        return []
    # the hand-in cell looks at the learner's own file, which is not here; and the judging is done apart
    left_out = {HAND_IN_ID, JUDGE_ALL_ID, *DIAGRAM_IDS, *GRADED_IDS}
    cells = [cell for cell in nb.cells if cell.cell_type == "code" and grade_id_of(cell) not in left_out]
    learners = [number for number, cell in enumerate(cells) if _is_learners(cell)]
    shown = session.show([cell.source for cell in cells], before=min(learners, default=len(cells)))
    for cell, outputs in zip(cells, shown.outputs, strict=True):
        cell.outputs = outputs
    return [f"running it for its outputs, it {shown.ended}"] if shown.ended else []


def _is_learners(cell: NotebookNode) -> bool:
    """Whether a code cell of a rebuilt notebook is the learner's: the solution, or one without an id of nbgrader's."""
    return "nbgrader" not in cell.metadata or grade_id_of(cell) == SOLUTION_ID


def judge_notebook(nb: NotebookNode, variant: Variant, master: NotebookNode, session: Session) -> Verdict:
    """Judge the function in a rebuilt notebook; whatever is wrong with it ends in a verdict.

    Raises:
        Interrupted: As ``Session.judge``.
    """
    verdict = _judge(nb, variant, master, session)
    return replace(verdict, notes=tuple(dict.fromkeys((*nb.metadata.get(NOTES, ()), *verdict.notes))))


def _judge(nb: NotebookNode, variant: Variant, master: NotebookNode, session: Session) -> Verdict:
    reason = nb.metadata.get(BROKEN)
    if reason is not None:
        return not_judged(variant, reason)
    try:
        return session.judge(variant, notebook_submission(nb, variant, master))
    except NotJudgeable as error:
        return not_judged(variant, str(error))
