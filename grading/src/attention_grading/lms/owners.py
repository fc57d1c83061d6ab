"""Find out whose a file is, by the path that the LMS or the instructor gave it.

- Canvas, ``lastnamefirst_LATE_12345_67890_NAME``: 12345 is the user's id, 67890 the file's; ``LATE`` is there if it is.
- Moodle, ``First Last_4711_assignsubmission_file_`` as a folder or before the name: 4711 is the participant's number,
  another one in each assignment. A roster (Moodle's grading worksheets) says whose it is.
- Blackboard, ``TITLE_username_attempt_2026-10-01-12-30-00_NAME``, with a ``.txt`` beside it that names the user.
- No LMS: a folder or an archive for each student, or ids in the names of the files.

The outermost name that follows a scheme counts: the LMS wrote it, and what lies below was written by the student.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from attention_grading.lms.recognise import variant_in_name
from attention_grading.lms.roster import Roster, Unknown, lookup_key
from attention_lab.variants import VARIANTS

# Names are up to 1000 characters of anybody's choice: no pattern here may have two ways to match the same character,
# or it takes the square of the length, and worse.

# A file's own number has three digits and more, so that dates in names are not taken for ids. Canvas leaves letters,
# marks and digits of a name; Python's \w knows no marks, as many scripts write vowels
_CANVAS = re.compile(
    r"(?:(?P<late>LATE_)?anon_(?P<anonymous>[^\W_]+)|[\w\x80-\U0010ffff]+?_(?P<late_too>LATE_)?(?P<id>\d+))"
    r"_(?P<file>\d{3,18})_(?P<rest>.+)",
    re.DOTALL,
)
_MOODLE = re.compile(r".+?_(?P<id>\d+)_assignsubmission_[a-z]+(?:_(?P<rest>.*))?", re.DOTALL)
_BLACKBOARD = re.compile(
    r"(?P<prefix>.+?)_attempt_(?P<stamp>\d{4}(?:-\d\d){5})(?:(?P<data>\.txt)|_(?P<rest>.+))", re.DOTALL
)
_BLACKBOARD_NAME = re.compile(r"\s*Name:[^\n]*\((?P<user>[^()\n]+)\)\s*$", re.MULTILINE)

_SCHEMES = {"moodle": _MOODLE, "blackboard": _BLACKBOARD, "canvas": _CANVAS}
MAX_USER_PARTS = 20  # of Blackboard's user names, which may hold underscores

# Folders that say nothing about whose a file is
_GENERAL = re.compile(
    r"(?:submi\w++|downloads?|assignments?|notebooks?|my ?drive|drive|colab ?notebooks?|content|attention|gradebook\w*"
    r"|archive|all|class|course|homework|hw|exercises?|new ?folder|desktop|documents|files|data|tmp|zip|week|session"
    r"|unit|section|lab|tutorial|module|part)[\W\d_]*+",
    re.IGNORECASE,
)
_COPY_OF = re.compile(r"^(?:copy of|kopie von|copie de|copia de)[\s_]+", re.IGNORECASE)
_COPY_NUMBER = re.compile(r"(?:\((\d{1,3})\)|[\s_-]copy(?:[\s_-](\d{1,2}))?)$", re.IGNORECASE)
# Canvas's number of a further attempt; after anything else than the assignment it may be part of an id
_ATTEMPT_NUMBER = re.compile(r"(?<=l)-(\d{1,2})$")
_EXTENSIONS = (".ipynb", ".json", ".txt", ".zip")
# The number goes with the name only if it is that assignment's own: another one may be the end of an id
_ASSIGNMENT = re.compile(
    "|".join(
        r"(?:(?<![^\W_]){:02d}[\W_]*)?{}(?:[\W_]*attention)?".format(
            variant.number, r"[\W_]*".join(variant.name.split("_"))
        )
        for variant in sorted(VARIANTS.values(), key=lambda one: -len(one.name))
    ),
    re.IGNORECASE,
)
_SAYS_NOTHING = re.compile(
    r"(?:final|finished|done|fixed|new|solution|solved|submission|submit|copy|v\d+)", re.IGNORECASE
)


@dataclass(frozen=True)
class Owner:
    """What a path says.

    Attributes:
        kind: ``canvas``, ``moodle``, ``blackboard``, ``plain`` or ``roster``.
        raw: The id as it stands there.
        how: Where it stands, in words.
        rest: The learner's own file name, where the scheme keeps it.
        late: Whether the LMS marks it late; ``None`` where it says nothing.
        when: The time that the LMS states, in the LMS's time zone.
        number: The LMS's running number of the file: a later one is larger.
        above: A folder above the LMS's name that may be a student's; empty where there is none.
        lms_name: The whole name that the LMS wrote; empty where none did.
    """

    kind: str
    raw: str
    how: str
    rest: str = ""
    late: bool | None = None
    when: datetime | None = None
    number: int = 0
    above: str = ""
    lms_name: str = ""


def owner_by_lms(
    source: str,
    parts: Sequence[str],
    users: Mapping[tuple[str, ...], str],
    roster: Roster,
    lms: str | None = None,
) -> Owner | None:
    """Whose a file is where an LMS wrote its path; ``None`` where none did.

    Args:
        source: Name of the folder or archive that was given.
        parts: The path inside it.
        users: Blackboard's user names, from ``blackboard_users``.
        roster: May hold the ends of Blackboard's names.
        lms: The only scheme to look for, or ``none``; ``None`` looks for all three.

    Raises:
        Unknown: Blackboard wrote it, and its user name cannot be told from the title.
    """
    below = parts if tuple(parts[:1]) != (source,) else parts[1:]
    for index, name in enumerate((source, *below)):
        found = [
            (match.start("rest") if match["rest"] else len(name), kind, match)
            for kind, scheme in _SCHEMES.items()
            if lms in (None, kind) and (match := scheme.fullmatch(name))
        ]
        if not found:
            continue
        # What comes after the first mark is the student's own and may look like another scheme
        _, kind, match = min(found, key=lambda each: each[0])
        rest, above = match["rest"] or "", "/".join(_telling(below[: max(index - 1, 0)]))
        if kind == "moodle":
            number = match["id"]
            return Owner(
                kind, number, f"Moodle's participant {number}", rest, None, roster.times.get(number), 0, above, name
            )
        if kind == "blackboard":
            folder = tuple(below[: max(index - 1, 0)])
            user = users.get((*folder, match["prefix"], match["stamp"])) or _blackboard_user(match["prefix"], roster)
            return Owner(kind, user, f"Blackboard's user {user}", rest, None, _stamp(match["stamp"]), 0, above, name)
        user = match["id"] or f"anon_{match['anonymous']}"
        late = bool(match["late"] or match["late_too"])
        return Owner(kind, user, f"Canvas's user {user}", rest, late, None, int(match["file"]), above, name)
    return None


def blackboard_key(parts: Sequence[str]) -> tuple[str, ...] | None:
    """Where Blackboard's own description of an attempt belongs; ``None`` where the file is none."""
    match = _BLACKBOARD.fullmatch(parts[-1])
    return (*parts[:-1], match["prefix"], match["stamp"]) if match and match["data"] else None


def blackboard_user(key: tuple[str, ...], text: str) -> str | None:
    """The user name in Blackboard's description of an attempt, if the file's name ends in it."""
    match = _BLACKBOARD_NAME.match(text)
    return match["user"] if match and key[-2].endswith(f"_{match['user']}") else None


def _blackboard_user(prefix: str, roster: Roster) -> str:
    for variant in VARIANTS.values():
        for title in (variant.stem, variant.name):
            if prefix.casefold().startswith(f"{title}_"):
                return prefix[len(title) + 1 :]
    places = [index for index, character in enumerate(prefix) if character == "_"]
    ends = [prefix[index + 1 :] for index in places[-MAX_USER_PARTS:]]
    known = [end for end in ends if lookup_key(end) in roster.ids]
    if len(known) == 1 or len(ends) == 1:
        return (known or ends)[0]
    raise Unknown(
        "where the user name begins in it cannot be told: put the .txt that Blackboard made beside it, or give --roster"
    )


def owners_by_path(
    source: str, paths: Sequence[tuple[str, ...]], level: int | None = None
) -> dict[tuple[str, ...], Owner | Unknown]:
    """Whose files are that no LMS named: by folder, by the name of an archive or by an id in the file's name.

    Args:
        source: Name of the folder or archive that was given.
        paths: The notebooks' paths inside it, all of them: folders that all share say nothing.
        level: Which folder on the way is the student's, counted from 1; 0 is the file's own name; ``None`` finds out.
    """
    if level is not None:
        return {path: _owner_at(path, level) for path in paths}
    folders = {path: _telling(path[:-1]) for path in paths}
    shared = _shared(list(folders.values()))
    folders = {path: names[shared:] for path, names in folders.items()}
    deeper = {names[1:] for names in folders.values() if len(names) > 1}
    firsts = {names[0] for names in folders.values() if names}
    left_over: defaultdict[str, set[str]] = defaultdict(set)
    alone: defaultdict[str, bool] = defaultdict(bool)
    for path, names in folders.items():
        # In the only folder there is, a name beside the assignment's may well be the student's
        if names and (name := id_in_name(path[-1])):
            alone[names[0]] |= len(firsts) == 1 and variant_in_name(path[-1]) is not None
            left_over[names[0]].add(lookup_key(name))
    owners: dict[tuple[str, ...], Owner | Unknown] = {}
    for path, names in folders.items():
        if not names:
            owners[path] = _owner_of_loose(source, path)
        elif len(names) > 1 and (len(deeper) > 1 or len(firsts) == 1):
            owners[path] = Unknown(
                f"which of its folders is the student's cannot be told ({' / '.join(names)}): say --student-folder N"
            )
        elif len(left_over[names[0]]) > 1 or alone[names[0]]:
            owners[path] = Unknown(
                f"folder {names[0]!r} may be a class: its notebooks have names or ids in their own names: say "
                "--student-folder N for the folder that is the student's, 0 for the file's own name"
            )
        else:
            owners[path] = Owner("plain", names[0], f"folder {names[0]!r}", path[-1])
    return owners


def id_in_name(name: str) -> str:
    """What is left of a file's name without the assignment, copy marks and words that name nobody."""
    base, _ = split_copy(name)
    left = _ASSIGNMENT.sub(" ", base)
    words = re.split(r"[\s_]+", left) if left != base else [base]
    return "_".join(
        word for word in words if word.strip("-.()") and not _SAYS_NOTHING.fullmatch(word.strip("-.()"))
    ).strip("-.() ")


def split_copy(name: str) -> tuple[str, int]:
    """A file's name without extensions, ``Copy of`` and copy number, and that number (0 where there is none)."""
    base, number = _COPY_OF.sub("", _without_extensions(name).strip()), 0
    if match := _COPY_NUMBER.search(base):
        base, number = base[: match.start()], int(next((digits for digits in match.groups() if digits), 1))
    elif (match := _ATTEMPT_NUMBER.search(base)) and _ASSIGNMENT.fullmatch(base[: match.start()]):
        base, number = base[: match.start()], int(match[1])
    return base.strip(), number


def _shared(paths: Sequence[tuple[str, ...]]) -> int:
    """How many folders all paths share before they part; 0 where they never part."""
    for index in range(min(map(len, paths), default=0)):
        if len({names[index] for names in paths}) > 1:
            return index
    return 0


def _owner_at(path: tuple[str, ...], level: int) -> Owner | Unknown:
    if level == 0:
        name = id_in_name(path[-1])
        return Owner("plain", name, "file name", path[-1]) if name else Unknown("its name holds no id")
    if level >= len(path):
        return Unknown(f"it lies in {len(path) - 1} folders, and --student-folder says {level}")
    return Owner("plain", _without_extensions(path[level - 1]), f"folder {level}", path[-1])


def _owner_of_loose(source: str, path: tuple[str, ...]) -> Owner | Unknown:
    name = id_in_name(path[-1])
    if name and variant_in_name(path[-1]):
        return Owner("plain", name, "id in the file's name", path[-1])
    if source.casefold().endswith(".zip") and _telling((source,)):
        return Owner("plain", _without_extensions(source), "name of the archive", path[-1])
    return Unknown(
        "nothing in its path says whose it is: put it into a folder named after the student, "
        "or the student's id before the name of the notebook"
    )


def _telling(names: Sequence[str]) -> tuple[str, ...]:
    """Folders that may be a student's: none of the six, no general word."""
    bare = [_without_extensions(name).strip() for name in names]
    return tuple(name for name in bare if name and not _GENERAL.fullmatch(name) and not variant_in_name(name))


def _without_extensions(name: str) -> str:
    while name.casefold().endswith(_EXTENSIONS):
        name = name.rpartition(".")[0]
    return name


def _stamp(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d-%H-%M-%S")
    except ValueError:
        return None
