"""Rebuild a submitted notebook from the instructor's source, with the learner's code put in."""

from __future__ import annotations

import copy
import re

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from attention_lab.notebook.learner_cells import (
    INSTRUCTOR_IDS,
    MAX_CODE_CELLS,
    SOLUTION_ID,
    NotJudgeable,
    Submission,
    TooManyCells,
    grade_id_of,
    notebook_submission,
    parse_notebook,
    source_of,
)
from attention_lab.variants import Variant

# Where the reason is kept, in a notebook's metadata, between the steps
BROKEN = "attention_grading_broken"
# ... and what was said about the learner's cells, which the rebuilt notebook no longer shows
NOTES = "attention_grading_notes"


def broken_notebook(reason: str) -> NotebookNode:
    """What stands for a file that is not a notebook: an empty one that says why."""
    notebook: NotebookNode = new_notebook(metadata={BROKEN: reason})
    return notebook


def notebook_of(text: str, code_cells: int = MAX_CODE_CELLS) -> NotebookNode:
    """A notebook from any JSON with cells, reduced to their ids and texts: nothing else of it is ever used.

    Args:
        text: The file's text.
        code_cells: How many code cells it may have.

    Raises:
        NotJudgeable: The text is not a notebook, or has more code cells than that.
    """
    try:
        submitted = parse_notebook(text, code_cells)
    except TooManyCells as reason:
        raise NotJudgeable(f"{reason}, or ask your instructor to raise c.JudgingRules.code_cells") from reason
    cells = [
        {
            "cell_type": "code" if cell.get("cell_type") == "code" else "markdown",
            "metadata": {"nbgrader": {"grade_id": grade_id_of(cell)}},
            "source": source_of(cell),
        }
        for cell in submitted["cells"]
    ]
    fields = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    notebook: NotebookNode = nbformat.from_dict(fields)
    return notebook


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
    rebuilt = rebuild(master, submission, reason)
    rebuilt.metadata[NOTES] = list(submission.notes)
    return rebuilt, [*submission.notes, *([] if reason is None else [f"cannot be judged: {reason}"])]


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
        # other free cells are the learner's own; the map's may be changed, but is graded as it came
        elif cell.cell_type != "code" or "nbgrader" in cell.metadata or grade_id_of(cell) in INSTRUCTOR_IDS:
            cells.append(cell)
    rebuilt.cells = cells
    rebuilt.metadata["attention_grading_rebuilt"] = True
    if reason is not None:
        rebuilt.metadata[BROKEN] = reason
    return rebuilt


def _free_cell(extra: dict[str, str], cell_id: str) -> NotebookNode:
    source, metadata = _without_markers(extra["source"]), {"tags": ["raises-exception"]}
    cell: NotebookNode = new_code_cell(source, id=cell_id, metadata=metadata)
    return cell


def _without_markers(source: str) -> str:
    """A learner's text without nbgrader's marks of a region: in a cell that is not graded they stop the feedback."""
    return _MARKERS.sub(r"\1_\2", source)


_MARKERS = re.compile(r"(BEGIN|END) (HIDDEN TESTS|MARK SCHEME|SOLUTION)")
