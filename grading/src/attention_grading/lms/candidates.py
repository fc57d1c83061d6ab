"""What downloads hold: notebooks of which assignment and student are known, and lines about everything else."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from attention_grading.lms.intake_table import Line
from attention_grading.lms.lookalikes import look_alikes, oddities
from attention_grading.lms.owners import (
    Owner,
    blackboard_key,
    blackboard_user,
    owner_by_lms,
    owners_by_path,
    split_copy,
)
from attention_grading.lms.recognise import Recognised, looks_like_notebook, recognise
from attention_grading.lms.roster import Roster, Unknown, folder_name, same_folder
from attention_grading.lms.zip_reader import Found, Reader, Refused, Slot, to_utc
from attention_lab.variants import Variant

_NOTEBOOK = re.compile(r"\.ipynb(?:\.txt|\.json)?$", re.IGNORECASE)
_MAYBE = re.compile(r"\.(?:json|txt)$|^[^.]+$", re.IGNORECASE)
_OTHER_ARCHIVE = re.compile(r"\.(?:rar|7z|tar|tgz|gz|bz2|xz|zst|zipx)$", re.IGNORECASE)
_NEVER = datetime.min.replace(tzinfo=UTC)

MOODLE_NUMBER = "by Moodle's number"
MOODLE_TIME = "no time known"
CANVAS_TIME = "no time known, not marked late"
CANVAS_LATE = "no time known, marked LATE"


@dataclass(frozen=True)
class Times:
    """How times are read.

    Attributes:
        zone: The time zone of times that state none; ``None`` is this machine's.
        due: When the submissions were due, for LMSs that say late or not and no time.
        late_by: How late a submission is taken to be that is marked late.
        trust_files: Whether the times of Canvas's and Moodle's archives count.
    """

    zone: tzinfo | None = None
    due: datetime | None = None
    late_by: timedelta = timedelta(minutes=1)
    trust_files: bool = False


@dataclass(frozen=True)
class Candidate:
    """A notebook of which assignment and student are known.

    Attributes:
        owner: What its path says.
        known_by: Where the id comes from: the owner's kind, or the roster.
        student: The student's folder.
    """

    found: Found
    slot: Slot
    variant: Variant
    owner: Owner
    known_by: str
    student: str
    recognised: Recognised
    when: datetime | None
    when_from: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """How downloads are read.

    Attributes:
        roster: Who is in the course.
        times: How times are read.
        lms: ``canvas``, ``moodle``, ``blackboard``, ``none``; ``None`` goes by the names.
        level: Which folder is the student's where no LMS wrote the names (see ``owners_by_path``).
    """

    roster: Roster = field(default_factory=Roster)
    times: Times = field(default_factory=Times)
    lms: str | None = None
    level: int | None = None


def counted(sources: Sequence[Path], how: Reading) -> dict[tuple[str, str], Candidate]:
    """What ``intake`` takes of the same downloads, by student and assignment; nothing is written."""
    nowhere = Path(os.devnull) / "nowhere"
    with Reader(is_wanted) as reader:
        groups, _ = read_attempts(reader, sources, nowhere, how)
        return {(group[-1].student, group[-1].variant.stem): group[-1] for group in groups}


def read_attempts(
    reader: Reader, sources: Sequence[Path], into: Path, how: Reading
) -> tuple[list[list[Candidate]], list[Line]]:
    """Each student's attempts at each assignment, the one that counts last; and lines about everything else."""
    lines: list[Line] = []
    candidates: list[Candidate] = []
    for source in sources:
        new, others = _candidates(list(reader.read(source)), reader, how)
        candidates += new
        lines += others
    candidates, clashing = _apart(candidates, into)
    lines += clashing
    attempts: defaultdict[tuple[str, Variant], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        attempts[candidate.student, candidate.variant].append(candidate)
    return [sorted(group, key=_order) for group in attempts.values()], lines


def timestamp(when: datetime) -> str:
    """A time as nbgrader writes it and reads it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def is_wanted(name: str) -> bool:
    return bool(_NOTEBOOK.search(name) or _MAYBE.search(name))


def _candidates(things: list[Found | Refused], reader: Reader, how: Reading) -> tuple[list[Candidate], list[Line]]:
    lines = [_rejected(thing, thing.reason) for thing in things if isinstance(thing, Refused)]
    users: dict[tuple[str, ...], str] = {}
    notebooks: list[tuple[Found, Slot]] = []
    for found in things:
        if isinstance(found, Refused):
            continue
        key = blackboard_key(found.parts)
        if key is not None and found.slot is not None:
            if user := blackboard_user(key, reader.fetch(found.slot)[:2000].decode("utf-8-sig", "replace")):
                users[key] = user
        elif found.slot is not None and (
            _NOTEBOOK.search(found.parts[-1]) or looks_like_notebook(reader.fetch(found.slot))
        ):
            notebooks.append((found, found.slot))
        else:
            lines.append(_left_out(found))
    known: list[tuple[Found, Slot, Owner | Unknown | None, Variant, Recognised]] = []
    for found, slot in notebooks:
        owner: Owner | Unknown | None = None
        try:
            owner = owner_by_lms(found.source, found.parts, users, how.roster, how.lms)
        except Unknown as reason:
            owner = reason
        recognised = recognise(reader.fetch(slot), _names(found, owner))
        if recognised.variant is None:
            why = recognised.broken or "neither its content nor its name says which of the six it is"
            lines.append(_rejected(found, why))
            continue
        if recognised.repairs:
            slot = reader.keep(recognised.data)
        known.append((found, slot, owner, recognised.variant, replace(recognised, data=b"")))
    plain = [found for found, _, owner, _, _ in known if owner is None]
    mixed = len(plain) not in (0, len(known))
    by_path = owners_by_path(plain[0].source, [found.parts for found in plain], how.level) if plain else {}
    candidates = []
    for found, slot, owner, variant, recognised in known:
        result = _candidate(found, slot, owner or by_path[found.parts], variant, recognised, how, mixed)
        if isinstance(result, Candidate):
            candidates.append(result)
        else:
            lines.append(result)
    return candidates, lines


def _names(found: Found, owner: Owner | Unknown | None) -> tuple[str, ...]:
    """What a file is called: the learner's own name for it first."""
    own_name = learners_name(found, owner) if isinstance(owner, Owner) else found.parts[-1]
    return (own_name, *reversed(found.parts), found.source)


def learners_name(found: Found, owner: Owner) -> str:
    """What the learner called the file; what the LMS wrote before it is left out, if it is this file that it named."""
    return owner.rest if owner.rest and found.parts[-1] == owner.lms_name else found.parts[-1]


def _left_out(found: Found) -> Line:
    name = found.parts[-1]
    if _OTHER_ARCHIVE.search(name):
        return _rejected(found, "is an archive of a kind that is not read; zip is")
    if name.casefold().endswith(".py"):
        return _rejected(found, "is a script; the notebook is what is graded")
    return Line("ignored", file=_path(found), details=("is no notebook",))


def _rejected(thing: Found | Refused, reason: str, assignment: str = "") -> Line:
    return Line("rejected", "", assignment, file=_path(thing), details=(reason,))


def _candidate(
    found: Found,
    slot: Slot,
    owner: Owner | Unknown,
    variant: Variant,
    recognised: Recognised,
    how: Reading,
    mixed: bool,
) -> Candidate | Line:
    notes = list(recognised.notes)
    try:
        if not isinstance(owner, Owner):
            raise owner
        if mixed and owner.above:
            raise Unknown(f"it has an LMS's name in folder {owner.above!r}, beside notebooks that have none: say --lms")
        listed = how.roster.find(owner.raw)
    except Unknown as reason:
        return _rejected(found, str(reason), variant.stem)
    if listed is None:
        if how.roster.ids:
            notes.append("is not in the roster")
        if owner.kind == "moodle":
            notes.append(MOODLE_NUMBER)
    elif listed != owner.raw:
        notes.append(f"by the roster, from {owner.how}")
    if mixed:
        notes.append("the download mixes an LMS's names with others: see --lms")
    student = folder_name(listed or owner.raw)
    notes += oddities(listed or owner.raw)
    if student != (listed or owner.raw):
        notes.append(f"the id {listed or owner.raw!r} was changed into a folder's name")
    when, when_from = _time(found, owner, how.times)
    if when is None and when_from:
        notes.append(when_from)
    known_by = "roster" if listed else owner.kind
    return Candidate(found, slot, variant, owner, known_by, student, recognised, when, when_from, tuple(notes))


def _time(found: Found, owner: Owner, times: Times) -> tuple[datetime | None, str]:
    """When a submission was made, and who says so; without a time, why there is none."""
    if owner.when is not None:
        return to_utc(owner.when, times.zone), "LMS"
    # Both write their zips as they are downloaded, and stamp every file with that moment
    if times.trust_files or owner.kind not in ("canvas", "moodle"):
        return found.when, found.when_from
    if owner.late is None:
        return None, MOODLE_TIME
    if times.due is None:
        return None, CANVAS_LATE if owner.late else CANVAS_TIME
    if owner.late:
        return times.due + times.late_by, "Canvas's LATE and --due"
    return min(times.due, found.when or times.due), "Canvas and --due"


def _apart(candidates: list[Candidate], into: Path) -> tuple[list[Candidate], list[Line]]:
    """Leave out whoever would share a folder with somebody else, and say who looks like somebody else."""
    people: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for each in candidates:
        people[same_folder(each.student)].add((each.student, each.known_by))
    there: defaultdict[str, list[str]] = defaultdict(list)
    if into.is_dir():
        for name in os.listdir(into):
            there[same_folder(name)].append(name)
    alike = look_alikes([*(each.student for each in candidates), *(name for names in there.values() for name in names)])
    kept, lines = [], []
    for each in candidates:
        key = same_folder(each.student)
        others = sorted(name for name in there[key] if name != each.student)
        if len(people[key]) > 1:
            ids = ", ".join(f"{student!r} ({known_by})" for student, known_by in sorted(people[key]))
            reason = f"several ids would share one folder: {ids}; if they are one student, a roster or one name says so"
            lines.append(line_about("rejected", each, (reason,)))
        elif others and each.student not in there[key]:
            reason = f"the folder of another id is there, {others[0]!r}, that some file systems take for the same"
            lines.append(line_about("rejected", each, (reason,)))
        else:
            like = alike.get(each.student, ())
            note = f"the id looks like another: {', '.join(map(repr, like))}"
            kept.append(replace(each, notes=(*each.notes, note)) if like else each)
    return kept, lines


def _order(candidate: Candidate) -> tuple[object, ...]:
    """Attempts in the order they were made; what the LMS says counts before what anybody can set."""
    owner, found = candidate.owner, candidate.found
    name, number = split_copy(learners_name(found, owner))
    return (
        candidate.when if owner.when is not None and candidate.when else _NEVER,
        owner.number,
        candidate.found.when or _NEVER,
        number,
        name == candidate.variant.stem,
        found.source,
        found.parts,
    )


def line_about(status: str, candidate: Candidate, details: Iterable[str]) -> Line:
    return Line(
        status,
        candidate.student,
        candidate.variant.stem,
        timestamp(candidate.when) if candidate.when else "",
        candidate.when_from if candidate.when else "",
        _path(candidate.found),
        candidate.owner.how,
        tuple(details),
    )


def _path(thing: Found | Refused) -> str:
    parts = thing.parts if thing.parts[:1] != (thing.source,) else thing.parts[1:]
    return "/".join((thing.source, *parts))
