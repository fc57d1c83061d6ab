"""The page that a student gets back: what went wrong first, the course's own text folded, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from traitlets.config import Config

from attention_grading.nbgrader_plugin.gradebook_reader import full_name, kept_by_hand
from attention_grading.nbgrader_plugin.page_code import FILTERS
from attention_grading.nbgrader_plugin.times import course_zone, said_by_platform, time_in_words
from attention_grading.notebooks.transplant import BROKEN
from attention_grading.notebooks.verdict_cells import RECORD
from attention_lab.notebook.learner_cells import SOLUTION_ID, grade_id_of

TEMPLATES = Path(__file__).parent / "templates"


class FeedbackExporter(HTMLExporter):
    """Writes nbgrader's feedback through this course's template, which extends nbgrader's.

    Formgrader's pages have templates of their own, so the choice is made here and not in the configuration.
    """

    def __init__(self, config: Config | None = None, **options: Any):
        config = Config(config or {})
        config.FeedbackExporter.template_name = "feedback_page"
        config.FeedbackExporter.extra_template_basedirs = [str(TEMPLATES)]
        config.FeedbackExporter.filters = FILTERS
        # nbgrader's own, where the template finds feedback/index.html.j2 and its style sheet
        config.FeedbackExporter.extra_template_paths = [
            *config.HTMLExporter.extra_template_paths,
            *config.HTMLExporter.extra_template_basedirs,
        ]
        super().__init__(config=config, **options)

    # Any: a notebook's text, where nbconvert's own types say a notebook
    def from_notebook_node(self, nb: NotebookNode, resources: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
        known = resources["nbgrader"]
        if "db_url" in known:
            folder = Path(resources.get("metadata", {}).get("path", ""))
            known |= _about_submission(known, folder, course_zone(self.config))
        known["reason"] = nb.metadata.get(BROKEN, "")
        known["notes"] = [note for cell in nb.cells for note in cell.metadata.get(RECORD, {}).get("notes", ())]
        known["notes"] += known.get("kept_by_hand", ())
        for cell in nb.cells:
            if RECORD in cell.metadata:  # the points, which stand above
                cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
        _fold(nb.cells)
        return super().from_notebook_node(nb, resources=resources, **options)

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Markdown as HTML, formulas as MathML, which browsers show by themselves."""
        renderer = _Renderer(escape=False, anchor_link_text=self.anchor_link_text, exclude_anchor_links=True)
        return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    def inline_math(self, body: str) -> str:
        return _mathml(body, "inline") or super().inline_math(body)

    def block_math(self, body: str) -> str:
        return _mathml(body, "block") or super().block_math(body)


def _mathml(formula: str, display: str) -> str:
    """Empty where it is no formula, such as an amount of dollars."""
    try:
        written: str = convert(formula, display=display)
    except Exception:  # it has no common class of its own for what it cannot read
        return ""
    return written.replace(r"\_", "_")


def _about_submission(known: dict[str, Any], folder: Path, zone: tzinfo | None) -> dict[str, Any]:
    """When it was handed in, the student's name, and which points are by hand, where the gradebook has them."""
    with Gradebook(known["db_url"]) as gradebook:
        submission = gradebook.find_submission(known["assignment"], known["student"])
        when = submission.timestamp
        grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
        return {
            "handed_in": said_by_platform(folder) or (f"handed in {time_in_words(when, zone)}" if when else ""),
            "name": full_name(submission.student.first_name, submission.student.last_name),
            "by_hand": {grade.name for grade in grades if grade.manual_score is not None},
            "kept_by_hand": [words for grade in grades if (words := kept_by_hand(grade))],
        }


def _fold(cells: list[NotebookNode]) -> None:
    """Mark where what is the same for everybody begins and ends, and what it is about: its first heading."""
    for own, group in groupby(_of_the_course(cells), key=lambda each: each[1]):
        if not own:
            continue
        folded = [cell for cell, _ in group]
        text = "\n".join(cell.source for cell in folded if cell.cell_type == "markdown")
        heading = next((line.lstrip("# ") for line in text.split("\n") if line.startswith("#")), "")
        folded[0].metadata.fold_begins = heading or "the course's own cells"
        folded[-1].metadata.fold_ends = True


def _of_the_course(cells: list[NotebookNode]) -> Iterator[tuple[NotebookNode, bool]]:
    """Each cell, and whether it shows nothing of the learner's: code above the answer does not know it."""
    answered = False
    for cell in cells:
        about = cell.metadata.get("nbgrader", {})
        answered = answered or not about.get("locked", cell.cell_type != "code") or grade_id_of(cell) == SOLUTION_ID
        graded = about.get("grade") or about.get("task") or about.get("solution")
        shows = cell.cell_type == "code" and (answered and (not about.get("locked") or cell.outputs))
        yield cell, not (graded or shows)
