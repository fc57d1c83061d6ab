"""What the graded notebooks say beyond points: which mistakes were named, and what an instructor has to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

from attention_grading.nbgrader_plugin.folders import ANYBODY, course_folder, student_folders
from attention_grading.nbgrader_plugin.gradebook_reader import ClassMarks
from attention_grading.notebooks.verdict_cells import Finding, read_notebook
from attention_grading.text import plain


def findings(coursedir: CourseDirectory, marks: ClassMarks) -> Iterator[Finding]:
    """Read the graded notebooks of all submissions, and tell those that were handed in and not graded."""
    for assignment, graded in marks.marks.items():
        for student, mark in sorted(graded.items()):
            path = course_folder(coursedir, "autograded", student, assignment) / f"{assignment}.ipynb"
            found = _read(student, assignment, path)
            waits = ("is still to be graded by hand",) if mark.needs_manual_grade else ()
            yield replace(found, problems=(*found.problems, *waits, *mark.kept_by_hand))
        for student, _ in student_folders(course_folder(coursedir, "submitted", ANYBODY, assignment)):
            if student not in graded and not student.startswith("."):
                yield Finding(student, assignment, problems=("was handed in and has not been graded",))


def _read(student: str, assignment: str, path: Path) -> Finding:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return read_notebook(student, assignment, notebook)
    except FileNotFoundError:
        return Finding(student, assignment, problems=("has points, but its graded notebook is missing",))
    except KeyError:
        return Finding(student, assignment, problems=("was graded by an earlier version: grade it again with --force",))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return Finding(student, assignment, problems=(f"its graded notebook cannot be read: {plain(error, 200)}",))
