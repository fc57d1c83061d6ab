"""Folders of the course and of its students, found on disk."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

ANYBODY = "*"


def course_folder(coursedir: CourseDirectory, step: str, student: str, assignment: str) -> Path:
    """A folder of the course.

    Args:
        coursedir: The course.
        step: ``"source"``, ``"submitted"``, ``"autograded"`` or ``"feedback"``.
        student: Student's id; ``"."`` for the instructor's.
        assignment: Name of the assignment.
    """
    return Path(coursedir.format_path(getattr(coursedir, f"{step}_directory"), student, assignment))


def student_folders(pattern: Path) -> Iterator[tuple[str, Path]]:
    """Students and their folders, in order.

    Args:
        pattern: A folder's absolute path with ``ANYBODY`` in the student's place. Everything else in it is meant
            literally: a course may lie in a folder called ``[2026]``.
    """
    root = Path(pattern.anchor)
    parts = pattern.relative_to(root).parts
    place = len(parts) - 1 - parts[::-1].index(ANYBODY)
    wanted = "/".join(part if index == place else glob.escape(part) for index, part in enumerate(parts))
    for folder in sorted(root.glob(wanted)):
        yield folder.relative_to(root).parts[place], folder
