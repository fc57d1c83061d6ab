"""Who is in the course: the rosters and grading worksheets that ids are looked up in, and ids as folders' names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import dateutil.parser

from attention_grading.files import read_cells
from attention_grading.text import with_name

MAX_ID_BYTES = 100
# Windows gives these names to devices
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)

# Headers as ``_header`` writes them. Moodle: id number; Blackboard: student id; Gradescope: sid; Brightspace:
# orgdefinedid; nbgrader and Canvas: id
_ID_COLUMNS = ("student id", "id", "id number", "sid", "orgdefinedid", "username", "email address", "email")
_ALIAS_COLUMNS = (*_ID_COLUMNS, "lms user id", "identifier", "sis user id", "sis login id")
_EMAIL_COLUMNS = ("email address", "email")
_FULL_NAME_COLUMNS = ("student", "full name", "name")
_GROUP_COLUMNS = ("group", "group name", "team")
_PARTICIPANT = re.compile(r"([^\W\d]{5}[^\d]*)\d+")  # "Participant 4711", in any language
_TIME_COLUMN = "last modified (submission)"


class Unknown(Exception):
    """Nothing says whose a file is; the message says why, and what to do."""


@dataclass(frozen=True)
class Person:
    """What a roster tells of a student; empty where it tells nothing."""

    first: str = ""
    last: str = ""
    email: str = ""


@dataclass(frozen=True)
class Roster:
    """Who is in the course.

    Attributes:
        ids: From every id that a student goes by to the ones to use; more than one where the roster is ambiguous.
        times: From Moodle's participant number to the time of the submission, in Moodle's time zone.
        people: Everybody, by the id to use.
        named: From a name, its words sorted, to the ids to use.
        groups: From a group's name to the ids of its members.
    """

    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    times: Mapping[str, datetime] = field(default_factory=dict)
    people: Mapping[str, Person] = field(default_factory=dict)
    named: Mapping[tuple[str, ...], frozenset[str]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, raw: str) -> str | None:
        """The student's id.

        Raises:
            Unknown: Two students go by this id.
        """
        return self._only(raw, self.ids.get(lookup_key(raw), frozenset()))

    def find_name(self, name: str) -> str | None:
        """The id of the student who is called so, in whatever order the words of the name stand.

        Raises:
            Unknown: Two students have this name.
        """
        return self._only(name, self.named.get(_words(name), frozenset()))

    def goes_by(self, student: str, name: str) -> bool:
        """Whether a student may be called so, quotation marks and the like aside; of no name nothing is known."""
        names = [_letters(words) for words, ids in self.named.items() if student in ids]
        return not names or _letters(_words(name)) in names

    def members(self, student: str) -> tuple[str, ...]:
        """Who works in the group in which this student is; empty where there is none."""
        return next((members for members in self.groups.values() if student in members), ())

    def called(self, folder: str) -> str:
        """A student's folder with the name of whose it is, where the roster has one."""
        person = self._by_folder.get(folder, Person())
        return with_name(" ".join(filter(None, (person.first, person.last))), folder)

    @cached_property
    def _by_folder(self) -> dict[str, Person]:
        return {folder_name(student): person for student, person in self.people.items()}

    def _only(self, raw: str, found: frozenset[str]) -> str | None:
        if len(found) > 1:
            raise Unknown(f"the roster gives {raw!r} to several students: {', '.join(sorted(found))}")
        return next(iter(found), None)


def read_roster(paths: Iterable[Path]) -> Roster:
    """Read rosters: nbgrader's ``students.csv``, gradebooks and lists of Canvas, Moodle, Blackboard, Brightspace.

    The id to use stands in the first of these columns that is there: student_id, id, id number, SID, OrgDefinedId,
    username, email address, email. All of them, lms_user_id, identifier, SIS User ID and SIS Login ID are ids that a
    student may go by. Names, e-mail addresses and groups are read where there are columns for them.

    Raises:
        ValueError: A file cannot be read or has none of the columns; the message says which.
    """
    ids: defaultdict[str, set[str]] = defaultdict(set)
    named: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    groups: defaultdict[str, dict[str, None]] = defaultdict(dict)
    times: dict[str, datetime] = {}
    people: dict[str, Person] = {}
    for path in paths:
        for line, row in enumerate(_rows(path), 2):
            student = _first(row, _ID_COLUMNS)
            if problem := spreadsheet_problem(student):
                raise ValueError(f"the roster {path}, row {line}: {problem}")
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
            person = _person(row)
            if words := _words(f"{person.first} {person.last}"):
                named[words].add(student)
            people[student] = person if words or student not in people else people[student]
            if group := _first(row, _GROUP_COLUMNS):
                groups[lookup_key(group)][student] = None
    return Roster(
        {alias: frozenset(found) for alias, found in ids.items()},
        times,
        people,
        {words: frozenset(found) for words, found in named.items()},
        {group: tuple(found) for group, found in groups.items()},
    )


def _first(row: Mapping[str, str], names: Sequence[str]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _person(row: Mapping[str, str]) -> Person:
    """First and last name; of a name in one cell, the last word or what stands before a comma is the last name."""
    email = _first(row, _EMAIL_COLUMNS)
    if row.get("first name") or row.get("last name"):
        return Person(row.get("first name", ""), row.get("last name", ""), email)
    name = _first(row, _FULL_NAME_COLUMNS)
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.rpartition(" ")
    return Person(first.strip(), last.strip(), email)


def _words(name: str) -> tuple[str, ...]:
    return tuple(sorted(filter(None, re.split(r"[\s,_]+", unicodedata.normalize("NFC", name).casefold()))))


def _letters(words: tuple[str, ...]) -> str:
    return "".join(sorted("".join(filter(str.isalnum, word)) for word in words))


def _is_foreign_worksheet(rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether rows are those of a worksheet of Moodle's with headers of which at most "ID" is known here."""
    if not rows or len(rows[0]) < 5 or set(rows[0]) & {*_ALIAS_COLUMNS, "first name", "last name"} - {"id"}:
        return False
    firsts = [next(iter(row.values()), "") for row in rows]
    words = [match[1] if (match := _PARTICIPANT.fullmatch(first)) else None for first in firsts]
    return words[0] is not None and len(set(words)) == 1


def spreadsheet_problem(cell: str) -> str | None:
    """Why a cell holds no value any more: a spreadsheet program's error words, in its language, or a rounded number."""
    if not _SPREADSHEETS_OWN.fullmatch(cell.strip()):
        return None
    return f"a spreadsheet program wrote {cell.strip()!r} in place of what stood there; export it anew"


# "#VALUE!", "#WERT!", "#NV", and an id that became "1,01E+02"
_SPREADSHEETS_OWN = re.compile(r"#[¡¿]?(?:[A-ZÀ-Þ/0_]+[!?]|NV|N/[AD])|\d[.,]\d+E\+\d+|#[¡¿][A-Z/0]+")


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


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        rows, _ = read_cells(path)
    except ValueError as error:
        raise ValueError(f"the roster {error}") from error
    names = [_header(name) for name in rows[0]] if rows else []
    found = [{name: _cell(name, value) for name, value in zip(names, row, strict=False)} for row in rows[1:]]
    if _is_foreign_worksheet(found):
        raise ValueError(
            f"the roster {path} looks like Moodle's grading worksheet in another language than English, and its "
            "columns are not known: set your own language in Moodle to English and download it again"
        )
    if not set(names) & set(_ID_COLUMNS):
        raise ValueError(f"the roster {path} needs one of these columns: {', '.join(_ID_COLUMNS)}")
    return found


def _header(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).strip().casefold()


def _cell(name: str, value: str) -> str:
    # Brightspace writes "#" before ids, so that a spreadsheet takes them for no numbers
    return value.strip().removeprefix("#") if name in ("orgdefinedid", "username") else value.strip()


def _parse_time(text: str) -> datetime | None:
    try:
        return dateutil.parser.parse(text).replace(tzinfo=None) if any(map(str.isdigit, text)) else None
    except (ValueError, OverflowError):
        return None


def lookup_key(raw: str) -> str:
    return unicodedata.normalize("NFC", raw.strip()).casefold()
