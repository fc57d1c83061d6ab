"""What students handed in: find it, read it, and say by a fingerprint whether it has been graded as it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import attention_lab
from attention_grading.nbgrader_course import Course, CourseProblem
from attention_grading.pipeline import GradingTerms, NotebookTask
from attention_grading.student_folders import ANYBODY, student_folders
from attention_lab.submission import NotJudgeable, read_text

# Beside the graded notebook; the name's dot keeps it out of feedback (c.CourseDirectory.ignore)
STAMP = ".graded.json"


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


def find_handed_in(course: Course, assignment: str) -> Iterator[HandedIn]:
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


def read_tasks(course: Course, handed_in: HandedIn, notebooks: Iterable[Path]) -> list[NotebookTask]:
    """Read a submission's notebooks.

    Args:
        course: The course.
        handed_in: The submission.
        notebooks: The files to read; what is wrong with one becomes its task's reason.
    """
    tasks = []
    for path in notebooks:
        master = read_master(course, handed_in.assignment, path.stem)
        try:
            tasks.append(NotebookTask(path.stem, master, read_text(path)))
        except NotJudgeable as reason:
            tasks.append(NotebookTask(path.stem, master, None, str(reason)))
    return tasks


def read_master(course: Course, assignment: str, notebook: str) -> str:
    """Text of the instructor's source.

    Raises:
        CourseProblem: There is none.
    """
    path = course.folder("source", ".", assignment) / f"{notebook}.ipynb"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CourseProblem(
            f"the instructor's notebook {path} cannot be read ({error.strerror}); grading rebuilds submissions from it"
        ) from error


# ---- whether it has been graded -------------------------------------------------------------------------------------


def fingerprint(folder: Path, masters: Iterable[str], terms: GradingTerms, late: float) -> str:
    """Everything that a grade hangs on, as one hash. The seed itself cannot be told from it.

    Args:
        folder: The submission: all that is in it counts.
        masters: The instructor's notebooks.
        terms: What holds for the run.
        late: Seconds after the due date, as the gradebook has them.
    """
    known = {
        "seed": _hash(terms.judging.seed.encode()),
        "limits": repr((terms.judging.limits, terms.judging.output_limits, terms.judging.code_cells)),
        "shown": repr((terms.verdict_only, terms.max_lines, terms.max_traceback)),
        "versions": [terms.version, attention_lab.__version__],
        "masters": [_hash(master.encode()) for master in masters],
        "files": list(_contents(folder)),
        "late": late,
    }
    return _hash(json.dumps(known, sort_keys=True).encode())


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    """Names and hashes of all files, links not followed."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(place, name)
            plain = stat.S_ISREG(path.lstat().st_mode) and os.access(path, os.R_OK)
            yield os.fsencode(path.relative_to(folder)).hex(), _hash_file(path) if plain else "no plain file"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(folder: Path) -> str | None:
    """The fingerprint that a graded submission was stamped with; ``None`` where there is none."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        return stamp["fingerprint"]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_stamp(folder: Path, print_: str) -> None:
    """Stamp a graded submission."""
    (folder / STAMP).write_text(json.dumps({"fingerprint": print_}) + "\n", encoding="utf-8")
