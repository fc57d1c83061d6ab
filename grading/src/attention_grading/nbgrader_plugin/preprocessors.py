"""What nbgrader runs when it generates, autogrades and returns this course (see ``nbgrader_config.py``).

Autograding a notebook takes four steps of ours: read what was handed in, however broken (``SubmissionExporter``);
rebuild it from the instructor's source with the learner's code put in (``Transplant``); run the cells that are not
graded, for their pictures, and judge the function, each in a process apart (``ShowOutputs``, ``WriteVerdict``). The
verdict goes into the graded cells, where nbgrader's own ``SaveAutoGrades`` finds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from attention_grading.course_file import fill_placeholders, read_course
from attention_grading.nbgrader_plugin.folders import course_folder
from attention_grading.nbgrader_plugin.rules import JudgingRules
from attention_grading.notebooks.grade import judge_notebook, show_outputs
from attention_grading.notebooks.master import filled_master, parsed, read_master
from attention_grading.notebooks.transplant import NOTES, broken_notebook, notebook_of, transplant
from attention_grading.notebooks.verdict_cells import write_verdict
from attention_grading.sandbox.processes import once_more
from attention_grading.text import plain
from attention_lab.notebook.learner_cells import NotJudgeable, read_text
from attention_lab.variants import get_variant

if TYPE_CHECKING:
    from attention_grading.judging.session import Session


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
        converter: Any = self.parent  # nbgrader's
        JudgingRules.instance(config=self.config).session(converter.coursedir)

    # Any: a notebook's text, where nbconvert's own types say a notebook
    def from_filename(self, filename: str, resources: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
        path = Path(filename)
        if not getattr(self.parent, "_sanitizing", True):  # nbgrader comes back with what was rebuilt here
            notebook = nbformat.read(path, as_version=4)
        else:
            try:
                notebook = notebook_of(read_text(path), JudgingRules.instance(config=self.config).code_cells)
            except NotJudgeable as reason:
                notebook = broken_notebook(str(reason))
        resources = {**(resources or {}), "metadata": {"name": path.stem, "path": str(path.parent)}}
        text, resources = self.from_notebook_node(notebook, resources=resources, **options)
        return text, resources


class _Step(NbGraderPreprocessor):
    """A step of autograding, with the course and the session that it works for."""

    def _session(self) -> Session:
        return JudgingRules.instance(config=self.config).session(self.parent.parent.coursedir)

    def _master(self, names: Any) -> NotebookNode:
        coursedir, notebook = self.parent.parent.coursedir, names["notebook"]
        text = read_master(course_folder(coursedir, "source", ".", names["assignment"]), notebook)
        return parsed(filled_master(text, notebook, Path(coursedir.root)))

    def _warn(self, notes: Iterable[str], names: Any) -> None:
        for note in notes:
            self.log.warning("%s, %s: %s", plain(names["student"], 100), names["notebook"], note)


class Transplant(_Step):
    """Rebuild the submitted notebook from the instructor's source; only the learner's code is taken over."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        rebuilt, notes = transplant(nb, get_variant(names["notebook"]), self._master(names))
        self._warn(notes, names)
        return rebuilt, resources


class ShowOutputs(_Step):
    """Run the cells that are not graded, for their pictures; graded ones get their verdict from ``WriteVerdict``."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        self._warn(show_outputs(nb, self._session()), resources["nbgrader"])
        return nb, resources


class WriteVerdict(_Step):
    """Judge the learner's function in a process apart, and write score and report into every graded cell."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        variant, master, session = get_variant(names["notebook"]), self._master(names), self._session()
        verdict = once_more(lambda: judge_notebook(nb, variant, master, session))
        self._warn((note for note in verdict.notes if note not in nb.metadata.get(NOTES, ())), names)
        write_verdict(nb, verdict)
        return nb, resources
