"""What the graded notebooks say beyond points: which mistakes were named, and what an instructor has to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory

from attention_grading.class_marks import ClassMarks, course_folder
from attention_grading.mistakes import SENTENCES
from attention_grading.plain_text import plain
from attention_grading.preprocessors import BROKEN
from attention_grading.student_folders import ANYBODY, student_folders

_DIAGNOSIS, _NOTE = "diagnosis: ", "note: "
_BLANK = "your function is not implemented yet"  # the judge's own words about the untouched stub


@dataclass(frozen=True)
class Finding:
    """What a graded notebook says.

    Attributes:
        student: Student's id.
        assignment: Name of the assignment.
        mistakes: Names of the mistakes that were recognised, each once.
        unnamed: Checks that failed for a reason that was not recognised.
        blank: Whether the function was left as it was given out.
        problems: What an instructor has to look at, in words.
    """

    student: str
    assignment: str
    mistakes: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    blank: bool = False
    problems: tuple[str, ...] = ()


def findings(coursedir: CourseDirectory, marks: ClassMarks) -> Iterator[Finding]:
    """Read the graded notebooks of all submissions, and tell those that were handed in and not graded."""
    for assignment, graded in marks.marks.items():
        for student, mark in sorted(graded.items()):
            path = course_folder(coursedir, "autograded", student, assignment) / f"{assignment}.ipynb"
            found = _read(student, assignment, path)
            if mark.needs_manual_grade:
                found = Finding(**{**vars(found), "problems": (*found.problems, "is still to be graded by hand")})
            yield found
        for student, _ in student_folders(course_folder(coursedir, "submitted", ANYBODY, assignment)):
            if student not in graded and not student.startswith("."):
                yield Finding(student, assignment, problems=("was handed in and has not been graded",))


def _read(student: str, assignment: str, path: Path) -> Finding:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return read_notebook(student, assignment, notebook)
    except FileNotFoundError:
        return Finding(student, assignment, problems=("has points, but its graded notebook is missing",))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Finding(student, assignment, problems=(f"its graded notebook cannot be read: {plain(error, 200)}",))


def read_notebook(student: str, assignment: str, notebook: Mapping[str, Any]) -> Finding:
    """What a graded notebook says.

    Args:
        student: Student's id.
        assignment: Name of the assignment.
        notebook: Its JSON. Only the outputs of graded cells count: the judge alone writes those.
    """
    mistakes: dict[str, None] = {}
    unnamed, problems, blank, passed = [], [], 0, 0
    if reason := notebook["metadata"].get(BROKEN):
        problems.append(f"could not be judged: {plain(reason, 300)}")
    for cell in notebook["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if not about.get("grade"):
            continue
        errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
        for output in cell["outputs"]:
            if output["output_type"] == "stream" and not problems:
                problems += [
                    plain(line.removeprefix(_NOTE), 300)
                    for line in "".join(output["text"]).splitlines()
                    if line.startswith(_NOTE)
                ]
        if not errors:
            passed += 1
            continue
        name = _named(errors[0]["traceback"])
        if name is not None:
            mistakes[name] = None
        elif _BLANK in errors[0]["evalue"]:
            blank += 1
        else:
            unnamed.append(about["grade_id"].removeprefix("test-"))
    is_blank = bool(blank) and not (passed or mistakes or unnamed)
    broken = BROKEN in notebook["metadata"]
    return Finding(
        student, assignment, tuple(mistakes), () if broken else tuple(unnamed), is_blank, tuple(dict.fromkeys(problems))
    )


def _named(traceback: list[str]) -> str | None:
    """The mistake's name: the judge writes it into the last line."""
    last = traceback[-1] if traceback else ""
    name = last.removeprefix(_DIAGNOSIS).split(":")[0] if last.startswith(_DIAGNOSIS) else ""
    return name if name in SENTENCES else None
