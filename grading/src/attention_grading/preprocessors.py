"""What nbgrader runs when it generates, autogrades and returns this course (see ``nbgrader_config.py``).

Autograding a notebook takes four steps of ours: read what was handed in, however broken (``SubmissionExporter``);
rebuild it from the instructor's source with the learner's code put in (``Transplant``); run the cells that are not
graded, for their pictures, and judge the function, each in a process apart (``ShowOutputs``, ``WriteVerdict``). The
verdict goes into the graded cells, where nbgrader's own ``SaveAutoGrades`` finds it.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade

from attention_grading.course import fill_placeholders, read_course
from attention_grading.judging_rules import JudgingRules
from attention_grading.plain_text import plain
from attention_grading.session import Session, once_more
from attention_grading.verdict import CheckResult, Verdict, not_judged
from attention_lab.submission import (
    GRADED_IDS,
    HAND_IN_ID,
    MAX_CODE_CELLS,
    SOLUTION_ID,
    NotJudgeable,
    Submission,
    TooManyCells,
    grade_id_of,
    notebook_submission,
    parse_notebook,
    read_text,
    source_of,
)
from attention_lab.variants import Variant, get_variant

# Where the reason is kept, in a notebook's metadata, between the steps
BROKEN = "attention_grading_broken"


class FillPlaceholders(NbGraderPreprocessor):
    """Write the course's name, badges, links and install address into a release."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        course = read_course(Path(self.parent.parent.coursedir.root))
        return fill_placeholders(nb, resources["nbgrader"]["notebook"], course), resources


class SubmissionExporter(NotebookExporter):
    """Reads any file as a notebook: one that is none becomes an empty notebook that says why.

    It is made at the start of every ``nbgrader autograde``, and so it is here that grading is refused, before any
    folder is touched, where it would not be safe.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        JudgingRules.instance(config=self.config).session(self.parent.coursedir)

    def from_filename(self, filename: str, resources: Any = None, **options: Any) -> tuple[str, Any]:
        path = Path(filename)
        if not getattr(self.parent, "_sanitizing", True):  # nbgrader comes back with what was rebuilt here
            notebook = nbformat.read(path, as_version=4)
        else:
            try:
                notebook = read_leniently(path, JudgingRules.instance(config=self.config).code_cells)
            except NotJudgeable as reason:
                notebook = broken_notebook(str(reason))
        resources = {**(resources or {}), "metadata": {"name": path.stem, "path": str(path.parent)}}
        return self.from_notebook_node(notebook, resources=resources, **options)


def read_leniently(path: Path, code_cells: int = MAX_CODE_CELLS) -> NotebookNode:
    """A notebook from any file with cells, see ``notebook_of``.

    Raises:
        NotJudgeable: The file cannot be read or is no notebook.
    """
    return notebook_of(read_text(path), code_cells)


def broken_notebook(reason: str) -> NotebookNode:
    """What stands for a file that is no notebook: an empty one that says why."""
    return new_notebook(metadata={BROKEN: reason})


def notebook_of(text: str, code_cells: int = MAX_CODE_CELLS) -> NotebookNode:
    """A notebook from any JSON with cells, reduced to their ids and texts: nothing else of it is ever used.

    Args:
        text: The file's text.
        code_cells: How many code cells it may have.

    Raises:
        NotJudgeable: The text is no notebook, or has more code cells than that.
    """
    try:
        notebook = parse_notebook(text, code_cells)
    except TooManyCells as reason:
        raise NotJudgeable(f"{reason}, or ask your instructor to raise c.JudgingRules.code_cells") from reason
    cells = [
        {
            "cell_type": "code" if cell.get("cell_type") == "code" else "markdown",
            "metadata": {"nbgrader": {"grade_id": grade_id_of(cell)}},
            "source": source_of(cell),
        }
        for cell in notebook["cells"]
    ]
    return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


class Transplant(NbGraderPreprocessor):
    """Rebuild the submitted notebook from the instructor's source; only the learner's code is taken over."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        master = read_master(self.parent.parent.coursedir, names["assignment"], names["notebook"])
        rebuilt, notes = transplant(nb, get_variant(names["notebook"]), master)
        for note in notes:
            self.log.warning("%s, %s: %s", plain(names["student"], 100), names["notebook"], note)
        return rebuilt, resources


def transplant(nb: NotebookNode, variant: Variant, master: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Take the learner's code out of a submitted notebook and put it into the instructor's.

    Args:
        nb: What was handed in, or what stands for it.
        variant: What it is to be judged as.
        master: The instructor's source.

    Returns:
        The rebuilt notebook, and what is to be said about it.
    """
    reason = nb.metadata.get(BROKEN)
    submission = Submission(())
    if reason is None:
        try:
            submission = notebook_submission(nb, variant, master)
        except NotJudgeable as error:
            reason = str(error)
    notes = [*submission.notes, *([] if reason is None else [f"cannot be judged: {reason}"])]
    return rebuild(master, submission, reason), notes


def rebuild(master: NotebookNode, submission: Submission, reason: str | None) -> NotebookNode:
    """The instructor's notebook with the learner's code cells.

    Args:
        master: The instructor's source.
        submission: The learner's code.
        reason: Why nothing can be judged, where that is so.
    """
    rebuilt = copy.deepcopy(master)
    learners = [cell for cell in submission.cells if cell["id"] != "toy-inputs"]
    places = [index for index, cell in enumerate(learners) if cell["id"] == SOLUTION_ID]
    split = places[-1] if places else len(learners)
    cells: list[NotebookNode] = []
    for cell in rebuilt.cells:
        if grade_id_of(cell) == SOLUTION_ID:
            cells += [_free_cell(extra, f"own-{number}") for number, extra in enumerate(learners[:split])]
            cell.source = _without_markers(learners[split]["source"]) if places else ""
            cells.append(cell)
            cells += [_free_cell(extra, f"more-{number}") for number, extra in enumerate(learners[split + 1 :])]
        elif cell.cell_type != "code" or "nbgrader" in cell.metadata:  # the free cells are the learner's own
            cells.append(cell)
    rebuilt.cells = cells
    rebuilt.metadata["attention_grading_rebuilt"] = True
    if reason is not None:
        rebuilt.metadata[BROKEN] = reason
    return rebuilt


def _free_cell(extra: dict[str, str], cell_id: str) -> NotebookNode:
    return new_code_cell(_without_markers(extra["source"]), id=cell_id, metadata={"tags": ["raises-exception"]})


def _without_markers(source: str) -> str:
    """A learner's text without nbgrader's marks of a region: in a cell that is not graded they stop the feedback."""
    return _MARKERS.sub(r"\1_\2", source)


_MARKERS = re.compile(r"(BEGIN|END) (HIDDEN TESTS|MARK SCHEME|SOLUTION)")


class ShowOutputs(NbGraderPreprocessor):
    """Run the cells that are not graded, for their pictures; graded ones get their verdict from ``WriteVerdict``."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        session = JudgingRules.instance(config=self.config).session(self.parent.parent.coursedir)
        names = resources["nbgrader"]
        for note in show_outputs(nb, session):
            self.log.warning("%s, %s: %s", plain(names["student"], 100), names["notebook"], note)
        return nb, resources


def show_outputs(nb: NotebookNode, session: Session) -> list[str]:
    """Run a rebuilt notebook's ungraded cells and put what they show into them.

    Returns:
        What is to be said about the run.
    """
    if BROKEN in nb.metadata:
        return []
    # the hand-in cell looks at the learner's own file, which is not here
    left_out = {HAND_IN_ID, *GRADED_IDS}
    cells = [cell for cell in nb.cells if cell.cell_type == "code" and grade_id_of(cell) not in left_out]
    shown = session.show([cell.source for cell in cells])
    for cell, outputs in zip(cells, shown.outputs, strict=True):
        cell.outputs = outputs
    return [f"running it for its outputs, it {shown.ended}"] if shown.ended else []


class WriteVerdict(NbGraderPreprocessor):
    """Judge the learner's function in a process apart, and write score and report into every graded cell."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        variant = get_variant(names["notebook"])
        master = read_master(self.parent.parent.coursedir, names["assignment"], variant.stem)
        session = JudgingRules.instance(config=self.config).session(self.parent.parent.coursedir)
        verdict = once_more(lambda: judge_notebook(nb, variant, master, session))
        for note in verdict.notes:
            self.log.warning("%s, %s: %s", plain(names["student"], 100), variant.stem, note)
        write_verdict(nb, verdict)
        return nb, resources


def judge_notebook(nb: NotebookNode, variant: Variant, master: NotebookNode, session: Session) -> Verdict:
    """Judge the function in a rebuilt notebook; whatever is wrong with it ends in a verdict.

    Raises:
        Interrupted: As ``Session.judge``.
    """
    reason = nb.metadata.get(BROKEN)
    if reason is not None:
        return not_judged(variant, reason)
    try:
        return session.judge(variant, notebook_submission(nb, variant, master))
    except NotJudgeable as error:
        return not_judged(variant, str(error))


def write_verdict(nb: NotebookNode, verdict: Verdict) -> None:
    """Put the verdict into the graded cells, and what else is to be said above the first of them."""
    graded = [cell for cell in nb.cells if is_grade(cell)]
    for cell in graded:
        write_result(cell, verdict.check(cell.metadata.nbgrader.grade_id.removeprefix("test-")))
    if graded and verdict.notes:
        notes = "".join(f"note: {note}\n" for note in verdict.notes)
        graded[0].outputs.insert(0, new_output("stream", name="stdout", text=notes))


def write_result(cell: NotebookNode, result: CheckResult) -> None:
    """Put a check's result into a graded cell's outputs, as nbgrader reads them.

    A number as the last result is the score; an error scores 0 and shows its three lines in the feedback.
    """
    lines = "\n".join(result.lines) + "\n" if result.lines else ""
    cell.outputs = [new_output("stream", name="stdout", text=lines)] if lines else []
    if result.passed:
        score = new_output("execute_result", {"text/plain": f"{float(result.earned)}"}, execution_count=None)
        cell.outputs.append(score)
        return
    words = result.message.split("\n")
    if result.diagnosis:
        words.append(f"diagnosis: {result.diagnosis}")
    cell.outputs.append(new_output("error", ename="CheckFailed", evalue=words[0], traceback=words))


def read_master(coursedir: Any, assignment: str, notebook: str) -> NotebookNode:
    """The instructor's source of a notebook.

    Raises:
        FileNotFoundError: There is none; the message says where it was looked for.
    """
    folder = coursedir.format_path(coursedir.source_directory, ".", assignment)
    return copy.deepcopy(_read_master(Path(folder) / f"{notebook}.ipynb"))


@cache
def _read_master(path: Path) -> NotebookNode:
    if not path.is_file():
        raise FileNotFoundError(f"the instructor's notebook {path} is missing; grading rebuilds submissions from it")
    return nbformat.read(path, as_version=4)
