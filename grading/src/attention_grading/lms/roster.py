"""Who is in the course: the rosters and grading worksheets that ids are looked up in, and ids as folders' names."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import dateutil.parser

MAX_ID_BYTES = 100
# Windows gives these names to devices
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)

_ID_COLUMNS = ("student_id", "id", "id number", "username", "email address", "email")
_ALIAS_COLUMNS = (*_ID_COLUMNS, "lms_user_id", "identifier", "sis user id", "sis login id", "orgdefinedid")
_PARTICIPANT = re.compile(r"([^\W\d]{5}[^\d]*)\d+")  # "Participant 4711", in any language
_TIME_COLUMN = "last modified (submission)"


class Unknown(Exception):
    """Nothing says whose a file is; the message says why, and what to do."""


@dataclass(frozen=True)
class Roster:
    """Who is in the course.

    Attributes:
        ids: From every id that a student goes by to the ones to use; more than one where the roster is ambiguous.
        times: From Moodle's participant number to the time of the submission, in Moodle's time zone.
    """

    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    times: Mapping[str, datetime] = field(default_factory=dict)

    def find(self, raw: str) -> str | None:
        """The student's id.

        Raises:
            Unknown: Two students go by this id.
        """
        found = self.ids.get(lookup_key(raw), frozenset())
        if len(found) > 1:
            raise Unknown(f"the roster gives {raw!r} to several students: {', '.join(sorted(found))}")
        return next(iter(found), None)


def read_roster(paths: Iterable[Path]) -> Roster:
    """Read rosters: nbgrader's ``students.csv``, Canvas's gradebook export, Moodle's grading worksheets.

    The id to use stands in the first of these columns that is there: student_id, id, id number, username, email
    address, email. All of them, lms_user_id, identifier, SIS User ID and SIS Login ID are ids that a student may go by.

    Raises:
        ValueError: A file cannot be read or has none of the columns; the message says which.
    """
    ids: defaultdict[str, set[str]] = defaultdict(set)
    times: dict[str, datetime] = {}
    for path in paths:
        rows = _rows(path)
        if _is_foreign_worksheet(rows):
            raise ValueError(
                f"the roster {path} looks like Moodle's grading worksheet in another language than English, and its "
                "columns are not known: set your own language in Moodle to English and download it again"
            )
        for row in rows:
            student = next((row[name] for name in _ID_COLUMNS if row.get(name)), "")
            if not student:
                continue
            for name in _ALIAS_COLUMNS:
                if row.get(name):
                    ids[lookup_key(row[name])].add(student)
            number = re.search(r"(?<!\d)\d+$", row.get("identifier", ""))
            if number:  # "Participant 4711", in the language of the site
                ids[number.group()].add(student)
                if (when := _parse_time(row.get(_TIME_COLUMN, ""))) is not None:
                    times[number.group()] = when
    return Roster({alias: frozenset(found) for alias, found in ids.items()}, times)


def _is_foreign_worksheet(rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether rows are those of a worksheet of Moodle's with headers of which only "ID" is known here."""
    if not rows or len(rows[0]) < 5 or set(rows[0]) & {*_ALIAS_COLUMNS, "first_name", "last_name"} != {"id"}:
        return False
    words = [match[1] if (match := _PARTICIPANT.fullmatch(row.get("id", ""))) else None for row in rows]
    return words[0] is not None and len(set(words)) == 1


def folder_name(raw: str) -> str:
    """A folder's name for a student's id: letters, digits and ``. _ - @``, which nbgrader and shells take.

    It begins with a letter, a digit or ``_``: a spreadsheet would run what begins with ``@`` or ``-``.
    An id that had to be changed for that ends in a few characters of its checksum, so that two ids never become one.
    """
    normal = unicodedata.normalize("NFC", raw.strip())
    kept = re.sub(r"[^\w.@-]+", "-", normal).lstrip("@.-").rstrip(".-")
    kept = kept.encode("utf-8", "replace")[:MAX_ID_BYTES].decode("utf-8", "ignore")
    if kept and kept == normal and not _RESERVED.fullmatch(kept):
        return kept
    checksum = hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()
    return f"{kept or 'student'}-{checksum}"


def same_folder(name: str) -> str:
    """Two folders with the same value are one folder on some file system (case, Unicode's forms)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def read_cells(path: Path) -> tuple[list[list[str]], str]:
    """Rows of a spreadsheet in CSV, and what stands between their cells.

    Raises:
        ValueError: The file cannot be read, or is no CSV; the message says why.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), delimiter
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        rows, _ = read_cells(path)
    except ValueError as error:
        raise ValueError(f"the roster {error}") from error
    names = [name.strip().casefold() for name in rows[0]] if rows else []
    if not set(names) & set(_ID_COLUMNS):
        raise ValueError(f"the roster {path} wants one of these columns: {', '.join(_ID_COLUMNS)}")
    return [{name: value.strip() for name, value in zip(names, row, strict=False)} for row in rows[1:]]


def _parse_time(text: str) -> datetime | None:
    try:
        return dateutil.parser.parse(text).replace(tzinfo=None) if any(map(str.isdigit, text)) else None
    except (ValueError, OverflowError):
        return None


def lookup_key(raw: str) -> str:
    return unicodedata.normalize("NFC", raw.strip()).casefold()
