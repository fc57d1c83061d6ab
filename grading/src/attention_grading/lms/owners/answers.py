"""What an instructor says about owners: which folder is the student's, a pattern of paths, or an edited table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from attention_grading.files import read_cells
from attention_grading.lms.owners.file_names import id_in_name, without_extensions
from attention_grading.lms.owners.platforms import Owner
from attention_grading.lms.owners.roster import Unknown
from attention_grading.text import without_apostrophe

STUDENT = "{student}"
LEFT_OUT = "-"


class LeftOut(Unknown):
    """The instructor's table says that nobody hands this file in."""


@dataclass(frozen=True)
class Pattern:
    """A pattern of paths. It takes time by the product of both lengths: students choose their files' names.

    Attributes:
        before: What stands before the student's id: characters, ``*`` for anything but ``/``, ``**`` for anything.
        after: What stands after it.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]

    def student_in(self, path: str) -> str | None:
        """The first and shortest part of the path that fits as the student's id; ``None`` where none does."""
        starts = _fits(self.before, path)
        ends = _fits(self.after[::-1], path[::-1])[::-1]
        for start in range(len(path)):
            for end in range(start + 1, len(path) + 1 if starts[start] else 0):
                if path[end - 1] == "/":
                    break
                if ends[end]:
                    return path[start:end]
        return None


def _fits(tokens: Sequence[str], text: str) -> list[bool]:
    """For each length whether the tokens fit that much of the text's beginning."""
    fits = [True] + [False] * len(text)
    for token in tokens:
        if token not in ("*", "**"):
            fits = [False, *(fits[place] and character == token for place, character in enumerate(text))]
            continue
        for place, character in enumerate(text, 1):
            fits[place] |= fits[place - 1] and (token == "**" or character != "/")
    return fits


@dataclass(frozen=True)
class Answers:
    """What the instructor says; it counts before everything else.

    Attributes:
        level: Which folder on the way is the student's, counted from 1; 0 is the file's own name; ``None`` says
            nothing.
        pattern: Where the id stands in the path inside what was given, see ``read_pattern``.
        table: Students by path, see ``read_table``.
    """

    level: int | None = None
    pattern: Pattern | None = None
    table: Mapping[str, str] = field(default_factory=dict)

    def owner_of(self, source: str, path: tuple[str, ...]) -> Owner | None:
        """Whose a file is; ``None`` where nothing was said about it.

        Args:
            source: Name of the folder, archive or file that was given.
            path: The path inside it; empty where it is the file itself.

        Raises:
            Unknown: What was said does not fit the file.
            LeftOut: The table leaves it out.
        """
        student = self.table.get("/".join((source, *path)))
        if student == LEFT_OUT:
            raise LeftOut("is left out: the table says so")
        if student:
            first, *partners = (name.strip() for name in student.split(";"))
            return Owner("table", first, "the table", partners=tuple(partners))
        path = path or (source,)
        if self.pattern is not None:
            student = self.pattern.student_in("/".join(path))
            if student is None:
                raise Unknown("its path does not fit --pattern")
            return Owner("pattern", without_extensions(student), "--pattern")
        if self.level is None:
            return None
        if self.level == 0:
            name = id_in_name(path[-1])
            if not name:
                raise Unknown("there is no id in its name")
            return Owner("folder", name, "file name")
        if self.level >= len(path):
            raise Unknown(f"it lies in {len(path) - 1} folders, and --student-folder says {self.level}")
        return Owner("folder", without_extensions(path[self.level - 1]), f"folder {self.level}")


def read_pattern(text: str) -> Pattern:
    """A pattern of paths: ``{student}`` stands for the id, ``*`` for anything but ``/``, ``**`` for anything.

    Raises:
        ValueError: ``{student}`` does not stand in it once; the message says so.
    """
    if text.count(STUDENT) != 1:
        raise ValueError(f"--pattern needs {STUDENT} in it once, such as '*/{STUDENT}_*.ipynb', not {text!r}")
    before, after = (tuple(re.findall(r"\*\*|.", part, re.DOTALL)) for part in text.split(STUDENT))
    return Pattern(before, after)


def read_table(path: Path) -> dict[str, str]:
    """Students by path, from the table that ``intake --dry-run`` writes, edited.

    A row whose cell ``student`` is empty says nothing; ``-`` leaves the file out; ``a; b`` is work of both.

    Raises:
        ValueError: The file cannot be read, or has not these columns; the message says so.
    """
    rows, _ = read_cells(path)
    names = [name.strip().casefold() for name in rows[0]] if rows else []
    if not {"file", "student"} <= set(names):
        raise ValueError(f"the table {path} needs the columns file and student, as intake --dry-run writes them")
    file, student = names.index("file"), names.index("student")
    table: dict[str, str] = {}
    for row in rows[1:]:
        if len(row) <= max(file, student) or not row[student].strip():
            continue
        key, value = without_apostrophe(row[file]), without_apostrophe(row[student]).strip()
        table[key] = f"{table[key]}; {value}" if key in table else value
    return table
