"""The course root's configuration, as nbgrader reads it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from nbgrader.apps.baseapp import NbGrader
from nbgrader.coursedir import CourseDirectory

from attention_grading.course_file import CourseProblem

CONFIG = "nbgrader_config.py"


class NoMarks(CourseProblem):
    """There is nothing to report on."""


def configured(kind: type[NbGrader], root: Path, log_level: int) -> NbGrader:
    """An nbgrader application as it is configured in a course root, which becomes the working directory.

    Args:
        kind: Its class.
        root: The course root.
        log_level: What it logs.

    Raises:
        CourseProblem: There is no configuration, or it is broken.
    """
    if not (root / CONFIG).is_file():
        raise CourseProblem(f"there is no {CONFIG} in {root}; go to the course root and run it there")
    os.chdir(root)
    app = kind(raise_config_file_errors=True, log_level=log_level)
    try:
        app.initialize([])
    except Exception as error:  # a configuration is a program: it can fail in any way
        raise CourseProblem(f"{CONFIG} cannot be read: {type(error).__name__}: {error}") from error
    return app


def open_course(root: Path) -> CourseDirectory:
    """The course in a folder, see ``configured``."""
    return configured(NbGrader, root, logging.ERROR).coursedir
