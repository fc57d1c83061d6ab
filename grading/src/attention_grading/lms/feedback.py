"""What a learner gets back: nbgrader's page, written anew, or the graded notebook without the hidden tests.

The notebook is for platforms that return a file under the name of the one that was handed in: what is called ``.ipynb``
must be one.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.apps import GenerateFeedbackApp
from nbgrader.converters import GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import ClearHiddenTests, GetGrades
from nbgrader.utils import is_grade

from attention_grading.nbgrader_plugin.configuration import configured


def write_pages(root: Path, assignment: str, pages: Iterable[Path]) -> set[Path]:
    """Write everybody's page for an assignment anew, as ``nbgrader generate_feedback --force`` does.

    nbgrader itself takes a page for the newest as long as the submission's time is the same: not so after a human gave
    other points, or after a file was mended.

    Args:
        root: The course root.
        assignment: Name of the assignment.
        pages: Where pages may lie.

    Returns:
        Those of them that are there and could not be written anew.

    Raises:
        CourseProblem: The course's configuration cannot be read.
    """
    before = {page: page.stat() for page in pages if page.is_file()}
    app = configured(GenerateFeedbackApp, root, logging.CRITICAL)
    app.coursedir.assignment_id = assignment
    converter = GenerateFeedback(coursedir=app.coursedir, parent=app)
    converter.force = True
    with contextlib.suppress(NbGraderException):  # the others' pages are there, and each that is missing is told
        converter.start()
    after = {page: page.stat() for page in before if page.is_file()}
    return {page for page, stat in after.items() if _same_file(stat, before[page])}


def _same_file(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_mtime_ns) == (other.st_ino, other.st_mtime_ns)


def feedback_notebook(
    graded: NotebookNode, db_url: str, student: str, assignment: str, notebook: str, notes: Iterable[str] = ()
) -> str:
    """The text of the notebook.

    Args:
        graded: From ``autograded``.
        db_url: Address of the gradebook: points and graders' comments come from there.
        student: Student's id.
        assignment: Name of the assignment.
        notebook: Name of the notebook.
        notes: What is to be said of its points.
    """
    names = {"notebook": notebook, "assignment": assignment, "student": student, "db_url": db_url}
    resources = {"nbgrader": names}
    page = copy.deepcopy(graded)
    for step in (GetGrades, ClearHiddenTests):
        page, resources = step().preprocess(page, resources)
    known = resources["nbgrader"]
    lines = [f"# Feedback on {notebook}", "", f"**{max(0.0, known['score']):g} of {known['max_score']:g} points.**"]
    if known["late_penalty"]:
        lines.append(f"{known['late_penalty']:g} points were taken off because it was late.")
    lines += [f"Note: {note}." for note in notes]
    lines += ["", "| check | points |", "|---|---|"]
    cells = []
    for cell in page.cells:
        about = cell.metadata.pop("nbgrader", {})
        cells.append(cell)
        if is_grade(NotebookNode(metadata={"nbgrader": about})):
            lines.append(f"| {about['grade_id'].removeprefix('test-')} | {about['score']:g} of {about['points']:g} |")
        if about.get("comment"):
            cells.append(new_markdown_cell(f"**The grader's comment:** {_plain_markdown(about['comment'])}"))
    page.cells = [new_markdown_cell("\n".join(lines)), *cells]
    page.metadata = NotebookNode(
        {name: value for name, value in graded.metadata.items() if name in ("kernelspec", "language_info")}
    )
    page.nbformat, page.nbformat_minor = 4, 5
    text: str = nbformat.writes(page)
    return text + "\n"


def _plain_markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text)
