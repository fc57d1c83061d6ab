"""Answers of several students that are the same but for names, comments and layout: a hint, and no accusation."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory

from attention_grading.nbgrader_plugin.folders import course_folder
from attention_grading.nbgrader_plugin.gradebook_reader import ClassMarks
from attention_grading.notebooks.verdict_cells import Finding
from attention_grading.text import plain
from attention_lab.notebook.learner_cells import INSTRUCTOR_IDS, grade_id_of, is_written, source_of
from attention_lab.variants import get_variant


@dataclass(frozen=True)
class SameAnswers:
    """Students whose answers are the same.

    Attributes:
        assignment: Its name.
        students: Who they are.
        statements: How long the answer is.
    """

    assignment: str
    students: tuple[str, ...]
    statements: int


def same_answers(coursedir: CourseDirectory, marks: ClassMarks, found: Sequence[Finding]) -> tuple[SameAnswers, ...]:
    """Compare the answers in a course's graded notebooks, assignment by assignment; the longest first."""
    alike: list[SameAnswers] = []
    for assignment, graded in marks.marks.items():
        blank = {one.student for one in found if one.assignment == assignment and one.blank}
        paths = [
            (student, course_folder(coursedir, "autograded", student, assignment) / f"{assignment}.ipynb")
            for student in sorted(graded)
        ]
        alike += students_alike(assignment, paths, blank, marks.called)
    return tuple(alike)


def students_alike(
    assignment: str,
    notebooks: Iterable[tuple[str, Path]],
    blank: Collection[str] = (),
    called: Callable[[str], str] = str,
) -> list[SameAnswers]:
    """Group students by their answers.

    Args:
        assignment: Its name.
        notebooks: Students and their graded notebooks; one that cannot be read is like none.
        blank: Students who wrote no answer.
        called: What a student is shown as.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    lengths: dict[str, int] = {}
    for student, path in notebooks:
        answer = None if student in blank else skeleton(_answer(path, assignment))
        if answer is not None:
            groups[answer[0]].append(plain(called(student), 300))
            lengths[answer[0]] = answer[1]
    alike = [SameAnswers(assignment, tuple(who), lengths[key]) for key, who in groups.items() if len(who) > 1]
    return sorted(alike, key=lambda one: (-one.statements, one.students))


def _answer(path: Path, assignment: str) -> str:
    """The learner's cell that was judged, wherever it stood; what a learner tries beside it says nothing.

    Where that cell only gives the function its name, as in ``task = mine``, all of the learner's cells.
    """
    try:
        function = get_variant(assignment).function_name
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        own = [source_of(cell) for cell in cells if cell["cell_type"] == "code" and _is_learners(cell)]
        judged = next((source for source in reversed(own) if is_written(source, function)), "")
        return judged if f"def {function}" in judged else "\n".join(own)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _is_learners(cell: dict[str, Any]) -> bool:
    return grade_id_of(cell) not in INSTRUCTOR_IDS


def skeleton(answer: str) -> tuple[str, int] | None:
    """Code without the names that it gives, its comments, docstrings, imports and layout.

    Args:
        answer: Its text.

    Returns:
        It as text, and how many statements it has; ``None`` where there are none, or it does not parse.
    """
    try:
        tree = ast.parse(answer)
        tree.body = [node for node in tree.body if not isinstance(node, _IMPORTS)]
        _drop_docstrings(tree)
        names: dict[str, str] = {}
        for name in _given(tree):
            names.setdefault(name, f"name{len(names)}")
        _rename(tree, names)
        count = sum(isinstance(each, ast.stmt) for each in ast.walk(tree))
        return (ast.dump(tree), count) if count else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


_IMPORTS = (ast.Import, ast.ImportFrom)


def _drop_docstrings(node: ast.AST) -> None:
    for each in ast.walk(node):
        if isinstance(each, (ast.FunctionDef, ast.ClassDef)) and len(each.body) > 1 and ast.get_docstring(each, False):
            del each.body[0]


def _given(node: ast.AST) -> Iterator[str]:
    """Names that the code itself gives, in the order in which they are written."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.arg):
            yield each.arg
        elif isinstance(each, (ast.FunctionDef, ast.ClassDef)):
            yield each.name


def _rename(node: ast.AST, names: dict[str, str]) -> None:
    for each in ast.walk(node):
        for field in ("id", "arg", "name"):
            name = getattr(each, field, None)
            if isinstance(name, str) and not isinstance(each, ast.keyword):
                setattr(each, field, names.get(name, name))
