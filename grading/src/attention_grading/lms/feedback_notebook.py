"""A graded notebook as its author may have it: the verdicts in, the hidden tests out.

For platforms that return a file under the name of the one that was handed in: what is called ``.ipynb`` must be one.
"""

from __future__ import annotations

import copy
import re

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.preprocessors import ClearHiddenTests, GetGrades
from nbgrader.utils import is_grade


def feedback_notebook(graded: NotebookNode, db_url: str, student: str, assignment: str, notebook: str) -> str:
    """The text of the notebook.

    Args:
        graded: From ``autograded``.
        db_url: Address of the gradebook: points and graders' comments come from there.
        student: Student's id.
        assignment: Name of the assignment.
        notebook: Name of the notebook.
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
