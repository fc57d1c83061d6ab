"""What nbgrader runs when it generates, autogrades and returns this course (see ``nbgrader_config.py``).

Autograding a notebook takes four steps of ours: read what was handed in, however broken (``SubmissionExporter``);
rebuild it from the instructor's source with the learner's code put in (``Transplant``); run the cells that are not
graded, for their pictures, and judge the function, each in a process apart (``ShowOutputs``, ``WriteVerdict``). The
verdict goes into the graded cells, where nbgrader's own ``SaveAutoGrades`` finds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor

from attention_grading.course_file import fill_placeholders, read_course
from attention_grading.judging.session import once_more
from attention_grading.nbgrader_plugin.folders import course_folder
from attention_grading.nbgrader_plugin.rules import JudgingRules
from attention_grading.notebooks.grade import judge_notebook, show_outputs
from attention_grading.notebooks.master import parsed, read_master
from attention_grading.notebooks.transplant import broken_notebook, read_leniently, transplant
from attention_grading.notebooks.verdict_cells import write_verdict
from attention_grading.text import plain
from attention_lab.notebook.learner_cells import NotJudgeable
from attention_lab.variants import get_variant


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


class Transplant(NbGraderPreprocessor):
    """Rebuild the submitted notebook from the instructor's source; only the learner's code is taken over."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        master = _master(self.parent.parent.coursedir, names["assignment"], names["notebook"])
        rebuilt, notes = transplant(nb, get_variant(names["notebook"]), master)
        for note in notes:
            self.log.warning("%s, %s: %s", plain(names["student"], 100), names["notebook"], note)
        return rebuilt, resources


class ShowOutputs(NbGraderPreprocessor):
    """Run the cells that are not graded, for their pictures; graded ones get their verdict from ``WriteVerdict``."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        session = JudgingRules.instance(config=self.config).session(self.parent.parent.coursedir)
        names = resources["nbgrader"]
        for note in show_outputs(nb, session):
            self.log.warning("%s, %s: %s", plain(names["student"], 100), names["notebook"], note)
        return nb, resources


class WriteVerdict(NbGraderPreprocessor):
    """Judge the learner's function in a process apart, and write score and report into every graded cell."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        variant = get_variant(names["notebook"])
        master = _master(self.parent.parent.coursedir, names["assignment"], variant.stem)
        session = JudgingRules.instance(config=self.config).session(self.parent.parent.coursedir)
        verdict = once_more(lambda: judge_notebook(nb, variant, master, session))
        for note in verdict.notes:
            self.log.warning("%s, %s: %s", plain(names["student"], 100), variant.stem, note)
        write_verdict(nb, verdict)
        return nb, resources


def _master(coursedir: CourseDirectory, assignment: str, notebook: str) -> NotebookNode:
    return parsed(read_master(course_folder(coursedir, "source", ".", assignment), notebook))
