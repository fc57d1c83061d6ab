"""What downloads hold: notebooks of which assignment and student are known, and everything that is left aside."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

from attention_grading.lms.intake_table import Line
from attention_grading.lms.owners.answers import Answers, LeftOut
from attention_grading.lms.owners.gradescope import METADATA, Submitted, read_metadata
from attention_grading.lms.owners.lookalikes import oddities
from attention_grading.lms.owners.platforms import (
    PLATFORMS,
    Download,
    NotHandedIn,
    Owner,
    blackboard_key,
    blackboard_user,
    path_inside,
)
from attention_grading.lms.owners.roster import Roster, Unknown, folder_name
from attention_grading.lms.owners.rule import ASKED, Known, students_of
from attention_grading.lms.recognise import Recognised, looks_like_notebook, recognise, variant_in_name
from attention_grading.lms.zip_reader import Found, Reader, Refused, Slot, to_utc
from attention_grading.nbgrader_plugin.times import LATE, ON_TIME
from attention_lab.variants import Variant

_NOTEBOOK = re.compile(r"\.ipynb(?:\.txt|\.json)?$", re.IGNORECASE)
_MAYBE = re.compile(r"\.(?:json|txt)$|^[^.]+$", re.IGNORECASE)
_LESSON = re.compile(r"(?:^|[\W_])L\d+_[a-z]\w+\.ipynb$")
_OTHER_ARCHIVE = re.compile(r"\.(?:rar|7z|tar|tgz|gz|bz2|xz|zst|zipx)$", re.IGNORECASE)
_SHORTCUT = re.compile(r"\.(?:gdoc|gsheet|gshortcut|glink|url|webloc)$", re.IGNORECASE)

MOODLE_NUMBER = "by Moodle's number"
MOODLE_TIME = "no time known"
QUIZ_TIME = "no time known: Canvas tells none in a quiz"
CANVAS_TIME = "no time known, not marked late"
CANVAS_LATE = "no time known, marked LATE"


@dataclass(frozen=True)
class Times:
    """How times are read.

    Attributes:
        zone: The time zone of times that state none; ``None`` is this machine's.
        due: When the submissions were due, for LMSs that say late or not and no time.
        due_dates: The same by assignment, where ``due`` says nothing.
        late_by: How late a submission is taken to be that is marked late.
        trust_files: Whether the times of Canvas's and Moodle's archives count.
    """

    zone: tzinfo | None = None
    due: datetime | None = None
    late_by: timedelta = timedelta(minutes=1)
    trust_files: bool = False
    due_dates: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A notebook of which assignment and student are known.

    Attributes:
        owner: What its path says.
        known_by: Where the id comes from: the owner's kind, or the roster.
        student: The student's folder.
        partner: Whether somebody else of the student's group handed it in.
        notes: What was made of it.
        look: What an instructor should look at.
    """

    found: Found
    slot: Slot
    variant: Variant
    owner: Owner
    known_by: str
    student: str
    partner: bool
    recognised: Recognised
    when: datetime | None
    when_from: str
    notes: tuple[str, ...]
    look: tuple[str, ...]


@dataclass(frozen=True)
class LeftAside:
    """A file that is not taken.

    Attributes:
        students: Folders of those who handed it in; empty where nobody knows.
        matters: Whether it is to be looked at even if the same student's notebook is there.
    """

    thing: Found | Refused
    reason: str
    students: tuple[str, ...] = ()
    assignment: str = ""
    matters: bool = True


@dataclass(frozen=True)
class Reading:
    """How downloads are read.

    Attributes:
        roster: Who is in the course.
        times: How times are read.
        lms: One of ``PLATFORMS``, or ``none``; ``None`` goes by the names.
        answers: What the instructor says about owners.
        groups: Whether the roster's groups hand in together.
    """

    roster: Roster = field(default_factory=Roster)
    times: Times = field(default_factory=Times)
    lms: str | None = None
    answers: Answers = field(default_factory=Answers)
    groups: bool = False


def timestamp(when: datetime) -> str:
    """A time as nbgrader writes it and reads it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def is_wanted(name: str) -> bool:
    return bool(_NOTEBOOK.search(name) or _MAYBE.search(name) or name == METADATA)


def read_source(
    things: Sequence[Found | Refused], reader: Reader, how: Reading
) -> tuple[list[Candidate], list[LeftAside]]:
    known = Known(how.answers, _download(things, reader, how))
    aside: list[LeftAside] = []
    read: list[tuple[Found, Slot, Owner, Recognised, Variant]] = []
    for thing in things:
        if isinstance(thing, Found) and blackboard_key(thing.parts) is not None:
            continue
        owner, unknown = _owner(known, thing)
        students, assignment = _names_of(owner, unknown, how), _assignment_in_name(thing)
        if isinstance(unknown, LeftOut):
            aside.append(LeftAside(thing, str(unknown), (), assignment, matters=False))
            continue
        if isinstance(thing, Refused) or thing.slot is None or not _is_notebook(thing, reader.fetch(thing.slot)):
            reason, matters = _why_left(thing)
            aside.append(LeftAside(thing, reason, students, assignment, matters))
            continue
        recognised = recognise(reader.fetch(thing.slot), _names(thing, owner))
        if recognised.variant is None:
            why = recognised.broken or "neither its content nor its name says which notebook of the course it is"
            lesson = _LESSON.search(thing.parts[-1]) is not None  # it came with the folder of a whole course
            reason = "is a lesson, and lessons are not handed in" if lesson else why
            aside.append(LeftAside(thing, reason, students, matters=not lesson))
        elif owner is None:
            matters = not isinstance(unknown, NotHandedIn)
            aside.append(LeftAside(thing, str(unknown), students, recognised.variant.stem, matters))
        else:
            slot = reader.keep(recognised.data) if recognised.repairs else thing.slot
            read.append((thing, slot, owner, replace(recognised, data=b""), recognised.variant))
    problems = _contradictions([owner for _, _, owner, _, _ in read])
    kinds = {owner.kind.partition(" ")[0] for _, _, owner, _, _ in read}
    others = kinds & {"nbgrader", "roster"} or any(each.reason == ASKED and each.matters for each in aside)
    mixed = bool(kinds & {*PLATFORMS} and others)
    candidates = []
    for found, slot, owner, recognised, variant in read:
        try:
            if mixed and owner.above:
                raise Unknown(
                    f"it has a platform's name in folder {owner.above!r}, beside notebooks that have none: say --lms"
                )
            if problem := problems.get((owner.kind, owner.raw)):
                raise Unknown(problem)
            candidates += list(_candidates(found, slot, owner, variant, recognised, how, mixed))
        except Unknown as reason:
            aside.append(LeftAside(found, str(reason), (), variant.stem))
    return candidates, aside


def _download(things: Sequence[Found | Refused], reader: Reader, how: Reading) -> Download:
    """What else than names a download tells: Blackboard's descriptions of attempts, Gradescope's list."""
    users: dict[tuple[str, ...], str] = {}
    submitted: dict[tuple[str, ...], Submitted] = {}
    for found in things:
        if isinstance(found, Refused) or found.slot is None:
            continue
        key = blackboard_key(found.parts)
        if key is not None:
            if user := blackboard_user(key, reader.fetch(found.slot)[:2000].decode("utf-8-sig", "replace")):
                users[key] = user
        elif found.parts[-1] == METADATA:
            above = found.parts[:-1]
            submitted |= {(*above, name): who for name, who in read_metadata(reader.fetch(found.slot)).items()}
    return Download(how.roster, how.lms, users, submitted)


def _owner(known: Known, thing: Found | Refused) -> tuple[Owner | None, Unknown | None]:
    try:
        return known.owner_of(thing.source, thing.parts or (thing.source,)), None
    except Unknown as reason:
        return None, reason


def _names_of(owner: Owner | None, unknown: Unknown | None, how: Reading) -> tuple[str, ...]:
    """Folders of those who handed in a file that is left aside; empty where that is not certain."""
    if isinstance(unknown, NotHandedIn):
        owner = Owner("teams", unknown.student, "", person=unknown.student)
    try:
        found = students_of(owner, how.roster, how.groups) if owner is not None else ()
    except Unknown:
        return ()
    return tuple(folder_name(student) for student, _ in found)


def _assignment_in_name(thing: Found | Refused) -> str:
    variant = next((found for name in reversed(thing.parts) if (found := variant_in_name(name))), None)
    return variant.stem if variant else ""


def _is_notebook(found: Found, data: bytes) -> bool:
    return bool(_NOTEBOOK.search(found.parts[-1])) or looks_like_notebook(data)


def _names(found: Found, owner: Owner | None) -> tuple[str, ...]:
    """What a file is called: the learner's own name for it first."""
    own_name = learners_name(found, owner) if owner is not None else found.parts[-1]
    return (own_name, *reversed(found.parts), found.source)


def learners_name(found: Found, owner: Owner) -> str:
    """What the learner called the file; what the LMS wrote before it is left out, if it is this file that it named."""
    return owner.rest if owner.rest and found.parts[-1] == owner.lms_name else found.parts[-1]


def _why_left(thing: Found | Refused) -> tuple[str, bool]:
    """Why a file that is no notebook is left aside, and whether that matters beside a notebook of the same student."""
    if isinstance(thing, Refused):
        return thing.reason, True
    name = thing.parts[-1]
    if _OTHER_ARCHIVE.search(name):
        return "is an archive of a kind that intake does not read; zip files are read", True
    if name.casefold().endswith(".py"):
        return "is a script, and only the notebook is graded", True
    if _SHORTCUT.search(name):
        return "is a shortcut to a file that stayed where it was; the notebook itself has to be handed in", True
    return "is not a notebook", False


def left_aside_lines(aside: LeftAside, there: set[tuple[str, str]]) -> Iterator[Line]:
    """Lines about a file, one for each who handed it in; what somebody has nothing else than is rejected.

    Args:
        aside: The file.
        there: Students and assignments of which a notebook is taken.
    """
    for student in aside.students or ("",):
        taken = {stem for one, stem in there if one == student} if student and not aside.matters else set()
        alone = bool(student) and not (aside.assignment in taken if aside.assignment else taken)
        rejected = aside.matters or alone
        reason = aside.reason if aside.matters or not alone else f"{aside.reason}; this student handed in nothing else"
        path = path_of(aside.thing)
        yield Line("rejected" if rejected else "ignored", student, aside.assignment, file=path, details=(reason,))


def _contradictions(owners: Iterable[Owner]) -> dict[tuple[str, str], str]:
    """Ids that a platform would have given to people of different names: then no platform wrote them."""
    people: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for owner in owners:
        if owner.person:
            people[owner.kind, owner.raw].add(owner.person)
    return {
        (
            kind,
            raw,
        ): f"{raw!r} comes with several names, so it is nobody's id: {', '.join(sorted(names))}; say --lms"
        for (kind, raw), names in people.items()
        if len(names) > 1
    }


def _candidates(
    found: Found, slot: Slot, owner: Owner, variant: Variant, recognised: Recognised, how: Reading, mixed: bool
) -> Iterator[Candidate]:
    """One for each student whose notebook it is.

    Raises:
        Unknown: The roster gives an id to several.
    """
    when, when_from = _time(found, owner, variant, how.times)
    students = students_of(owner, how.roster, how.groups)
    handed_in_by = folder_name(students[0][0])
    for number, (student, listed) in enumerate(students):
        notes, look = [], [*recognised.notes, *oddities(student)]
        if listed and student != owner.raw:
            notes.append(f"by the roster, from {owner.how}")
        elif not listed:
            look += ["is not in the roster"] if how.roster.ids else []
            notes += [MOODLE_NUMBER] if owner.kind == "moodle" else []
        if mixed:
            notes.append("the download mixes a platform's names with others: see --lms")
        if number:
            notes.append(f"handed in by {handed_in_by}, of the same group")
        if folder_name(student) != student:
            notes.append(f"the id {student!r} was changed into a folder's name")
        if when is None and when_from:
            notes.append(when_from)
        yield Candidate(
            found,
            slot,
            variant,
            owner,
            "roster" if listed else owner.kind,
            folder_name(student),
            bool(number),
            recognised,
            when,
            when_from,
            tuple(notes),
            tuple(look),
        )


def _time(found: Found, owner: Owner, variant: Variant, times: Times) -> tuple[datetime | None, str]:
    """When a submission was made, and who says so; without a time, why there is none."""
    if owner.when is not None:
        return (owner.when if owner.when.tzinfo else to_utc(owner.when, times.zone)), "LMS"
    # They write their zips as they are downloaded, and stamp every file with that moment
    if times.trust_files or owner.kind not in ("canvas", "canvas quiz", "moodle"):
        return found.when, found.when_from
    if owner.late is None:
        return None, MOODLE_TIME if owner.kind == "moodle" else QUIZ_TIME
    due = times.due or times.due_dates.get(variant.stem)
    if due is None:
        return None, CANVAS_LATE if owner.late else CANVAS_TIME
    return (due + times.late_by, LATE) if owner.late else (min(due, found.when or due), ON_TIME)


def line_about(status: str, candidate: Candidate, details: Iterable[str], look: Iterable[str] = ()) -> Line:
    """A line about a candidate; ``look`` is what of the details an instructor should look at."""
    return Line(
        status,
        candidate.student,
        candidate.variant.stem,
        timestamp(candidate.when) if candidate.when else "",
        candidate.when_from if candidate.when else "",
        path_of(candidate.found),
        candidate.owner.how,
        tuple(details),
        tuple(look),
    )


def path_of(thing: Found | Refused) -> str:
    return "/".join((thing.source, *path_inside(thing.source, thing.parts)))
