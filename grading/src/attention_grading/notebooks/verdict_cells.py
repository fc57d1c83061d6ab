"""A verdict in a notebook's cells: written for nbgrader, and read again for the class report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade

from attention_grading.judging.diagnosis.names import MISTAKE_SENTENCES
from attention_grading.judging.verdict import CheckResult, Verdict
from attention_grading.notebooks.transplant import BROKEN
from attention_grading.text import plain

_DIAGNOSIS, _NOTE = "diagnosis: ", "note: "
_BLANK = "your function is not implemented yet"  # the judge's own words about the untouched stub


@dataclass(frozen=True)
class Finding:
    """What a graded notebook says.

    Attributes:
        student: Student's id.
        assignment: Name of the assignment.
        mistakes: Names of the mistakes that were recognised, each once.
        unnamed: Checks that failed for a reason that was not recognised.
        blank: Whether the function was left as it was given out.
        problems: What an instructor has to look at, in words.
    """

    student: str
    assignment: str
    mistakes: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    blank: bool = False
    problems: tuple[str, ...] = ()


def read_notebook(student: str, assignment: str, notebook: Mapping[str, Any]) -> Finding:
    """What a graded notebook says.

    Args:
        student: Student's id.
        assignment: Name of the assignment.
        notebook: Its JSON. Only the outputs of graded cells count: the judge alone writes those.
    """
    mistakes: dict[str, None] = {}
    unnamed, problems, blank, passed = [], [], 0, 0
    if reason := notebook["metadata"].get(BROKEN):
        problems.append(f"could not be judged: {plain(reason, 300)}")
    for cell in notebook["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if not about.get("grade"):
            continue
        errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
        for output in cell["outputs"]:
            if output["output_type"] == "stream" and not problems:
                problems += [
                    plain(line.removeprefix(_NOTE), 300)
                    for line in "".join(output["text"]).splitlines()
                    if line.startswith(_NOTE)
                ]
        if not errors:
            passed += 1
            continue
        name = _named(errors[0]["traceback"])
        if name is not None:
            mistakes[name] = None
        elif _BLANK in errors[0]["evalue"]:
            blank += 1
        else:
            unnamed.append(about["grade_id"].removeprefix("test-"))
    is_blank = bool(blank) and not (passed or mistakes or unnamed)
    broken = BROKEN in notebook["metadata"]
    return Finding(
        student, assignment, tuple(mistakes), () if broken else tuple(unnamed), is_blank, tuple(dict.fromkeys(problems))
    )


def _named(traceback: list[str]) -> str | None:
    """The mistake's name: the judge writes it into the last line."""
    last = traceback[-1] if traceback else ""
    name = last.removeprefix(_DIAGNOSIS).split(":")[0] if last.startswith(_DIAGNOSIS) else ""
    return name if name in MISTAKE_SENTENCES else None


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
