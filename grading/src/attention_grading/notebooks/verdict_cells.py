"""A verdict in a notebook's cells: written for nbgrader, and read again for the class report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade

from attention_grading.judging.verdict import CheckResult, Verdict
from attention_grading.notebooks.transplant import BROKEN
from attention_grading.text import plain

# Where a graded cell keeps its part of the verdict, and the first of them what else was noticed
RECORD = "attention_verdict"


@dataclass(frozen=True)
class Finding:
    """What a graded notebook says.

    Attributes:
        student: Student's id.
        assignment: Name of the assignment.
        mistakes: Names of the mistakes that were recognised, each once.
        unnamed: Checks that failed for a reason that was not recognised, with what can be the same for several.
        blank: Whether the function was left as it was given out.
        problems: What an instructor has to look at, in words.
    """

    student: str
    assignment: str
    mistakes: tuple[str, ...] = ()
    unnamed: Mapping[str, str] = field(default_factory=dict)
    blank: bool = False
    problems: tuple[str, ...] = ()


def read_notebook(student: str, assignment: str, notebook: Mapping[str, Any]) -> Finding:
    """What a graded notebook says.

    Args:
        student: Student's id.
        assignment: Name of the assignment.
        notebook: Its JSON. Only the records of graded cells count: the judge alone writes those.

    Raises:
        KeyError: A graded cell has no record: an earlier version graded it.
    """
    mistakes: dict[str, None] = {}
    unnamed: dict[str, str] = {}
    problems, blank, passed = [], 0, 0
    if reason := notebook["metadata"].get(BROKEN):
        problems.append(f"could not be judged: {plain(reason, 300)}")
    for cell in notebook["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if not about.get("grade"):
            continue
        record = cell["metadata"][RECORD]
        problems += [plain(note, 300) for note in record.get("notes", ())]
        if record["passed"]:
            passed += 1
        elif record["mistake"] is not None:
            mistakes[record["mistake"]] = None
        elif record.get("code") == "not-implemented":
            blank += 1
        else:
            unnamed[about["grade_id"].removeprefix("test-")] = _without_particulars(record["message"])
    is_blank = bool(blank) and not (passed or mistakes or unnamed)
    broken = BROKEN in notebook["metadata"]
    return Finding(
        student, assignment, tuple(mistakes), {} if broken else unnamed, is_blank, tuple(dict.fromkeys(problems))
    )


def _without_particulars(message: str) -> str:
    """What a message has in common with others: no case, no place, no numbers, and of an error its own words."""
    problem, _, detail = message.partition("\n")
    words = _PLACE.sub("", problem.partition("] ")[2] if problem.startswith("[") else problem)
    if error := _ERROR.match(detail):
        words += f": {error[1]}"
    return plain(_NUMBER.sub("…", words), 200)


_PLACE = re.compile(r" at (?:[a-z]+ \d+(?:, )?)+")
_ERROR = re.compile(r"expected a tensor, got (\w+(?:Error|Exception|Warning|Iteration|Exit)\b.*?)(?: \(|$)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def write_verdict(nb: NotebookNode, verdict: Verdict) -> None:
    """Put the verdict into the graded cells, and what else is to be said above the first of them."""
    graded = [cell for cell in nb.cells if is_grade(cell)]
    for cell in graded:
        write_result(cell, verdict.check(cell.metadata.nbgrader.grade_id.removeprefix("test-")))
    if graded and verdict.notes:
        notes = "".join(f"note: {note}\n" for note in verdict.notes)
        graded[0].outputs.insert(0, new_output("stream", name="stdout", text=notes))
        graded[0].metadata[RECORD]["notes"] = list(verdict.notes)


def write_result(cell: NotebookNode, result: CheckResult) -> None:
    """Put a check's result into a graded cell: its record, and outputs as nbgrader reads them.

    A number as the last result is the score; an error scores 0 and shows its three lines in the feedback. A cell is
    worth what the instructor says, and the result which part of that is earned.
    """
    cell.metadata[RECORD] = result.as_record()
    lines = "\n".join(result.lines) + "\n" if result.lines else ""
    cell.outputs = [new_output("stream", name="stdout", text=lines)] if lines else []
    if result.passed:
        earned = float(cell.metadata.nbgrader.points) * result.earned / result.points
        score = new_output("execute_result", {"text/plain": f"{earned}"}, execution_count=None)
        cell.outputs.append(score)
        return
    words = result.message.split("\n")
    if result.diagnosis:
        words.append(f"diagnosis: {result.diagnosis}")
    cell.outputs.append(new_output("error", ename="CheckFailed", evalue=words[0], traceback=words))
