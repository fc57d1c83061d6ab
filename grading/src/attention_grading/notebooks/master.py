"""The instructor's notebooks, from which submissions are rebuilt."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from attention_grading.course_file import CourseFile, CourseProblem, fill_placeholders, read_course


@lru_cache(maxsize=32)
def parsed(text: str) -> NotebookNode:
    """The instructor's notebook; nobody changes it (``transplant`` copies)."""
    notebook: NotebookNode = nbformat.reads(text, as_version=4)
    return notebook


def read_master(folder: Path, notebook: str) -> str:
    """Text of the instructor's source of a notebook.

    Args:
        folder: The assignment's folder in ``source/``.
        notebook: Its name, without ``.ipynb``.

    Raises:
        CourseProblem: It cannot be read.
    """
    path = folder / f"{notebook}.ipynb"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CourseProblem(
            f"the instructor's notebook {path} cannot be read ({error.strerror}); grading rebuilds submissions from it"
        ) from error


def filled_master(text: str, notebook: str, root: Path) -> str:
    """The instructor's text with the course's name and address in it, as it was released.

    Args:
        text: From ``read_master``.
        notebook: Its name, without ``.ipynb``.
        root: The course root.

    Raises:
        CourseProblem: ``course.toml`` or a placeholder is not right; the message says what.
    """
    try:
        return _filled(text, notebook, read_course(root))
    except ValueError as error:
        raise CourseProblem(str(error)) from error


@lru_cache(maxsize=32)
def _filled(text: str, notebook: str, course: CourseFile) -> str:
    written: str = nbformat.writes(fill_placeholders(nbformat.reads(text, as_version=4), notebook, course))
    return written
