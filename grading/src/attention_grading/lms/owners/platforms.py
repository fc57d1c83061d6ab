"""Whose a file is where a learning platform wrote its path. ``docs/lms.md`` shows each layout and where it was read.

The outermost name that follows a layout counts: the platform wrote it, and what lies below was written by the student.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from attention_grading.lms.owners.gradescope import METADATA, SUBMISSION, Submitted
from attention_grading.lms.owners.roster import Roster, Unknown, lookup_key
from attention_grading.lms.recognise import variant_in_name
from attention_lab.variants import VARIANTS

# Names are up to 1000 characters of anybody's choice: no pattern here may have two ways to match the same character,
# or it takes the square of the length, and worse.

# A file's own number has three digits and more, so that dates in names are not taken for ids. Canvas leaves letters,
# marks and digits of a name; Python's \w knows no marks, as many scripts write vowels
_CANVAS = re.compile(
    r"(?:(?P<late>LATE_)?anon_(?P<anonymous>[^\W_]+)"
    r"|(?P<name>[\w\x80-\U0010ffff]+?)_(?P<late_too>LATE_)?(?P<id>\d+))"
    r"_(?P<file>\d{3,18})_(?P<rest>.+)",
    re.DOTALL,
)
# the user's number follows the name without anything between them
_CANVAS_QUIZ = re.compile(
    r"(?P<name>[-\w\x80-\U0010ffff]*?)(?<!\d)(?P<id>\d+)_question_\d+_(?P<file>\d{1,18})_(?P<rest>.+)", re.DOTALL
)
_MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+(?:_(?P<rest>.*))?", re.DOTALL)
_BLACKBOARD = re.compile(
    r"(?P<prefix>.+?)_attempt_(?P<stamp>\d{4}(?:-\d\d){5})(?:(?P<data>\.txt)|_(?P<rest>.+))", re.DOTALL
)
_BLACKBOARD_NAME = re.compile(r"\s*Name:[^\n]*\((?P<user>[^()\n]+)\)\s*$", re.MULTILINE)
_BRIGHTSPACE = re.compile(
    r"(?P<id>\d+)-\d+ - (?P<name>.+?) - (?P<when>[^-]*?\d{4},? \d{1,2}:?\d\d(?: [AP]M)?)(?: - (?P<rest>.+))?", re.DOTALL
)
_BRIGHTSPACE_TIME = re.compile(r"([A-Z][a-z]{2})[a-z]*\.? (\d{1,2}), (\d{4}),? (\d{1,2}?):?(\d\d) ([AP]M)")
_AUTOLAB = re.compile(r"(?P<id>[^\s/@]+@[^\s/@_]+)_(?P<number>\d{1,9})_(?P<rest>.+)", re.DOTALL)
_CLASSROOM = re.compile(r"(?P<id>.+?) - (?P<rest>.+)", re.DOTALL)
_VERSION = re.compile(r"version (\d{1,9})", re.IGNORECASE)

# Of two that fit the same name as far, the first counts: a quiz's names fit Canvas's other scheme, too
_SCHEMES = {
    "canvas quiz": _CANVAS_QUIZ,
    "canvas": _CANVAS,
    "moodle": _MOODLE,
    "blackboard": _BLACKBOARD,
    "brightspace": _BRIGHTSPACE,
    "autolab": _AUTOLAB,
    "classroom": _CLASSROOM,
}
PLATFORMS = ("canvas", "moodle", "blackboard", "brightspace", "teams", "classroom", "gradescope", "autolab")
MAX_USER_PARTS = 20  # of Blackboard's user names, which may hold underscores


@dataclass(frozen=True)
class Owner:
    """What a path says.

    Attributes:
        kind: A platform, ``canvas quiz``, ``table``, ``folder``, ``pattern``, ``nbgrader`` or ``roster``.
        raw: The id as it stands there.
        how: Where it stands, in words.
        rest: The learner's own file name, where the scheme keeps it.
        late: Whether the platform marks it late; ``None`` where it says nothing.
        when: The time that the platform states, in its time zone where it states none.
        number: The platform's running number of the file or attempt: a later one is larger.
        above: Folders above the platform's name; empty where there are none.
        lms_name: The whole name that the platform wrote; empty where none did.
        person: The student's name as the platform writes it, which goes with one id.
        others: Further ids of the same student.
        partners: Ids of those who handed it in together with the student.
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
    person: str = ""
    others: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Download:
    """What else a download tells than its files' names.

    Attributes:
        roster: May hold the ends of Blackboard's names.
        lms: The only platform to look for, or ``none``; ``None`` looks for all.
        users: Blackboard's user names, by ``blackboard_key``.
        submitted: Who handed in each of Gradescope's folders, by its path.
    """

    roster: Roster = field(default_factory=Roster)
    lms: str | None = None
    users: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    submitted: Mapping[tuple[str, ...], Submitted] = field(default_factory=dict)


def owner_by_platform(source: str, parts: Sequence[str], download: Download) -> Owner | None:
    """Whose a file is where a platform wrote its path; ``None`` where none did.

    Args:
        source: Name of the folder or archive that was given.
        parts: The path inside it.
        download: What else is known of it.

    Raises:
        Unknown: A platform wrote it, and whose it is cannot be told.
    """
    below = path_inside(source, parts)
    for index, name in enumerate((source, *below)):
        found = [
            (match.start("rest") if match["rest"] else len(name), kind, match)
            for kind, scheme in _SCHEMES.items()
            if download.lms in (None, kind.partition(" ")[0]) and (match := scheme.fullmatch(name))
            if kind != "classroom" or _is_classrooms(match, name == (source, *below)[-1])
        ]
        above = below[: max(index - 1, 0)]
        if found:
            # What comes after the first mark is the student's own and may look like another scheme
            _, kind, match = min(found, key=lambda each: each[0])
            return _READERS[kind](match, above, download)
        if download.lms in (None, "teams") and (owner := _by_teams((source, *below)[index:], above)):
            return owner
        if download.lms in (None, "gradescope") and index and SUBMISSION.fullmatch(name):
            return _by_gradescope(below[:index], download)
    return None


def path_inside(source: str, parts: Sequence[str]) -> tuple[str, ...]:
    """The path below what was given; empty where that is the file itself."""
    return () if tuple(parts) == (source,) else tuple(parts)


def blackboard_key(parts: Sequence[str]) -> tuple[str, ...] | None:
    """Where Blackboard's own description of an attempt belongs; ``None`` where the file is none."""
    match = _BLACKBOARD.fullmatch(parts[-1])
    return (*parts[:-1], match["prefix"], match["stamp"]) if match and match["data"] else None


def blackboard_user(key: tuple[str, ...], text: str) -> str | None:
    """The user name in Blackboard's description of an attempt, if the file's name ends in it."""
    match = _BLACKBOARD_NAME.match(text)
    return match["user"] if match and key[-2].endswith(f"_{match['user']}") else None


def _canvas(match: re.Match[str], above: tuple[str, ...], download: Download) -> Owner:
    user = match["id"] or f"anon_{match['anonymous']}"
    return Owner(
        "canvas",
        user,
        f"Canvas's user {user}",
        match["rest"],
        late=bool(match["late"] or match["late_too"]),
        number=int(match["file"]),
        above="/".join(above),
        lms_name=match.string,
        person=match["name"] or "",
    )


def _canvas_quiz(match: re.Match[str], above: tuple[str, ...], download: Download) -> Owner:
    """Of a name that ends in digits itself, a roster tells where the user's number begins."""
    digits, ids = match["id"], download.roster.ids
    known = [digits[start:] for start in range(min(len(digits), 18)) if lookup_key(digits[start:]) in ids]
    if len(known) > 1:
        raise Unknown(f"its name ends in {digits}, which holds several ids of the roster: {', '.join(known)}")
    user = (known or [digits])[0]
    return Owner(
        "canvas quiz",
        user,
        f"Canvas's user {user}, in a quiz",
        match["rest"],
        number=int(match["file"]),
        above="/".join(above),
        lms_name=match.string,
        person=match["name"] + digits.removesuffix(user),
    )


def _moodle(match: re.Match[str], above: tuple[str, ...], download: Download) -> Owner:
    number = match["id"]
    return Owner(
        "moodle",
        number,
        f"Moodle's participant {number}",
        match["rest"] or "",
        when=download.roster.times.get(number),
        above="/".join(above),
        lms_name=match.string,
        person=match["name"],
    )


def _blackboard(match: re.Match[str], above: tuple[str, ...], download: Download) -> Owner:
    user = download.users.get((*above, match["prefix"], match["stamp"]))
    user = user or _blackboard_user(match["prefix"], download.roster)
    return Owner(
        "blackboard",
        user,
        f"Blackboard's user {user}",
        match["rest"] or "",
        when=_stamp(match["stamp"], "%Y-%m-%d-%H-%M-%S"),
        above="/".join(above),
        lms_name=match.string,
    )


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


def _brightspace(match: re.Match[str], above: tuple[str, ...], download: Download) -> Owner:
    """The number is Brightspace's own for the student; its rosters do not have it, so that the name joins them."""
    when = _BRIGHTSPACE_TIME.fullmatch(match["when"])
    return Owner(
        "brightspace",
        match["id"],
        f"Brightspace's user {match['id']}, {match['name']}",
        match["rest"] or "",
        when=_stamp("{} {} {} {}:{} {}".format(*when.groups()), "%b %d %Y %I:%M %p") if when else None,
        above="/".join(above),
        lms_name=match.string,
        person=match["name"],
    )


def _autolab(match: re.Match[str], above: tuple[str, ...], download: Download) -> Owner:
    return Owner(
        "autolab",
        match["id"],
        f"Autolab's user {match['id']}",
        match["rest"],
        number=int(match["number"]),
        above="/".join(above),
        lms_name=match.string,
    )


def _classroom(match: re.Match[str], above: tuple[str, ...], download: Download) -> Owner:
    return Owner(
        "classroom",
        match["id"],
        f"Google Classroom's name {match['id']}",
        match["rest"],
        above="/".join(above),
        lms_name=match.string,
        person=match["id"],
    )


_READERS = {
    "canvas": _canvas,
    "canvas quiz": _canvas_quiz,
    "moodle": _moodle,
    "blackboard": _blackboard,
    "brightspace": _brightspace,
    "autolab": _autolab,
    "classroom": _classroom,
}


def _is_classrooms(match: re.Match[str], is_file: bool) -> bool:
    """Whether a name is a person's, a hyphen and the assignment's title: "Homework 2 - 02_eager_causal" is not."""
    words = match["id"].split()
    return (
        is_file
        and len(words) > 1
        and not any(character.isdigit() or character == "_" for character in match["id"])
        and variant_in_name(match["rest"]) is not None
    )


def _by_teams(path: tuple[str, ...], above: tuple[str, ...]) -> Owner | None:
    """``Submitted files/NAME/ASSIGNMENT/Version 1/FILE``; ``Working files`` is what was not handed in."""
    folder = path[0].casefold().removesuffix(".zip")
    if len(path) < 4 or folder not in ("submitted files", "working files"):
        return None
    student = path[1]
    if folder == "working files":
        raise NotHandedIn(student)
    version = next((int(match[1]) for part in path[2:-1] if (match := _VERSION.fullmatch(part))), 0)
    return Owner("teams", student, f"Teams' folder {student!r}", number=version, above="/".join(above), person=student)


class NotHandedIn(Unknown):
    """A draft that lies on the platform: Teams keeps it beside what was handed in.

    Args:
        student: Whose it is.
    """

    def __init__(self, student: str):
        super().__init__("lies in Teams' Working files: it is a draft, and was not handed in")
        self.student = student


def _by_gradescope(folder: tuple[str, ...], download: Download) -> Owner:
    submitted = download.submitted.get(folder)
    if submitted is None or not submitted.students:
        raise Unknown(
            f"Gradescope's folder {folder[-1]!r} names a submission and no student: keep {METADATA} beside it"
        )
    first, *partners = submitted.students
    return Owner(
        "gradescope",
        first[0],
        f"Gradescope's {folder[-1]}",
        when=submitted.when,
        above="/".join(folder[:-1]),
        lms_name=folder[-1],
        others=first[1:],
        partners=tuple(partner[0] for partner in partners),
    )


def _stamp(text: str, scheme: str) -> datetime | None:
    try:
        return datetime.strptime(text, scheme)
    except ValueError:
        return None
