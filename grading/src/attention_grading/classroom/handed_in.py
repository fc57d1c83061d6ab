"""What students handed in: find it, and read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from attention_grading.nbgrader_plugin.course import NbgraderCourse
from attention_grading.nbgrader_plugin.folders import ANYBODY, student_folders
from attention_grading.notebooks.grade import NotebookTask
from attention_grading.notebooks.master import filled_master, read_master
from attention_lab.notebook.learner_cells import NotJudgeable, grade_id_of, parse_notebook, read_text, source_of

_LIGHT = 200_000  # characters; a notebook with its pictures has more, and one without has some tens of thousands


@dataclass(frozen=True)
class HandedIn:
    """A submission's place.

    Attributes:
        student: Student's id.
        assignment: Name of the assignment.
        folder: ``submitted/STUDENT/ASSIGNMENT``.
    """

    student: str
    assignment: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.student}, {self.assignment}"


def find_handed_in(course: NbgraderCourse, assignment: str) -> Iterator[HandedIn]:
    """All submissions of an assignment that hold a notebook, by student."""
    pattern = re.compile(
        course.coursedir.format_path(
            course.coursedir.submitted_directory, "(?P<student>[^/]+)", re.escape(assignment), escape=True
        )
    )
    excluded = set(course.coursedir.student_id_exclude.split(","))
    for _, folder in student_folders(course.folder("submitted", ANYBODY, assignment)):
        match = pattern.fullmatch(str(folder))
        if match is None or match["student"] in excluded or match["student"].startswith("."):
            continue
        if any(folder.glob("*.ipynb")):
            yield HandedIn(match["student"], assignment, folder)


def read_masters(course: NbgraderCourse, assignment: str, notebooks: Iterable[str]) -> list[str]:
    """Texts of the instructor's notebooks of an assignment."""
    return [read_master(course.folder("source", ".", assignment), notebook) for notebook in notebooks]


def read_tasks(course: NbgraderCourse, handed_in: HandedIn, notebooks: Iterable[Path]) -> list[NotebookTask]:
    """Read a submission's notebooks.

    Args:
        course: The course.
        handed_in: The submission.
        notebooks: The files to read; what is wrong with one becomes its task's reason.
    """
    tasks = []
    for path in notebooks:
        (text,) = read_masters(course, handed_in.assignment, [path.stem])
        master = filled_master(text, path.stem, Path(course.coursedir.root))
        try:
            tasks.append(NotebookTask(path.stem, master, _light(read_text(path))))
        except NotJudgeable as reason:
            tasks.append(NotebookTask(path.stem, master, None, str(reason)))
    return tasks


def _light(text: str) -> str:
    """A notebook's text without outputs and attachments, which grading never reads: it travels to another process.

    Raises:
        NotJudgeable: A long text is not a notebook.
    """
    if len(text) <= _LIGHT:
        return text
    cells = [
        {"cell_type": cell.get("cell_type"), "id": grade_id_of(cell), "metadata": {}, "source": source_of(cell)}
        for cell in parse_notebook(text, code_cells=None)["cells"]
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
