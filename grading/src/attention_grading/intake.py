"""``attention-grading intake``: bring what students handed in to where nbgrader looks for it.

``submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb``, and ``timestamp.txt`` beside it where the time is known. Which of the
six a notebook is, its content says first and its name second; whose it is, the path that the LMS or the instructor gave
it (see ``students.py``).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dateutil.parser
from rich.console import Console

from attention_grading.archives import Found, Reader, Refused, Slot, to_utc
from attention_grading.intake_report import COLUMNS, Line, summary, table, write_csv
from attention_grading.lookalikes import look_alikes, oddities
from attention_grading.recognise import Recognised, looks_like_notebook, recognise
from attention_grading.students import (
    Owner,
    Roster,
    Unknown,
    blackboard_key,
    blackboard_user,
    folder_name,
    owner_by_lms,
    owners_by_path,
    read_roster,
    same_folder,
    split_copy,
)
from attention_lab.variants import VARIANTS, Variant

_NOTEBOOK = re.compile(r"\.ipynb(?:\.txt|\.json)?$", re.IGNORECASE)
_MAYBE = re.compile(r"\.(?:json|txt)$|^[^.]+$", re.IGNORECASE)
_OTHER_ARCHIVE = re.compile(r"\.(?:rar|7z|tar|tgz|gz|bz2|xz|zst|zipx)$", re.IGNORECASE)
_TIMESTAMP = "timestamp.txt"
STEMS = tuple(variant.stem for variant in VARIANTS.values())
_NEVER = datetime.min.replace(tzinfo=UTC)

MOODLE_NUMBER = "by Moodle's number"
MOODLE_TIME = "no time known"
CANVAS_TIME = "no time known, not marked late"
CANVAS_LATE = "no time known, marked LATE"
# Said once below the table, however many lines they are about
HINTS = {
    MOODLE_NUMBER: "Moodle numbers a student anew in each assignment; --roster with the grading worksheets joins them.",
    MOODLE_TIME: "Moodle's downloads keep no times; --roster with the grading worksheet gives them.",
    CANVAS_TIME: "Canvas's downloads keep no times, only LATE marks; --due makes times of them.",
    CANVAS_LATE: "Without --due what Canvas marks LATE will not be late for nbgrader.",
}

DESCRIPTION = """\
Bring downloads from Canvas, Moodle or Blackboard, or plain folders and zip files, to where nbgrader wants them:
submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb with a timestamp.txt. Nothing is overwritten unless --replace, and then
the old file is kept under a numbered name. Exit code: 0 when everything was taken, 1 when something was rejected, 2 for
wrong usage.
"""
EPILOG = f"""\
Students. Canvas: the user's id (lastnamefirst_LATE_12345_67890_NAME: 12345). Blackboard: the user name. Moodle: the
participant's number, which is another one in each assignment; --roster with the grading worksheets gives each student
one id. Without an LMS: a folder or a zip for each student, or the id in the file's name beside the assignment's
(s1234_02_eager_causal.ipynb). Where that cannot be told apart, the files are rejected and --student-folder settles it.

Times. Blackboard writes them into its names; Moodle's are in its grading worksheet (--roster). Canvas and Moodle stamp
their zips with the time of the download, so those times are not used (--file-times uses them): Canvas says only whether
a file is late, and --due turns that into times. Without an LMS the zip entry's time counts, else the file's; whoever
made the file can set both. Times without a zone are read in --timezone; timestamp.txt is in UTC, as nbgrader reads it.

Columns of the report: {", ".join(COLUMNS)}.
"""


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


class NotPlaced(Exception):
    """A file was left where it is; the message says why."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("sources", metavar="ZIP_OR_FOLDER", nargs="+", type=Path)
    parser.add_argument("--into", metavar="FOLDER", type=Path, help="default: submitted, in the course root")
    parser.add_argument("--roster", metavar="CSV", type=Path, action="append", default=[], help="who is in the course")
    parser.add_argument(
        "--only",
        metavar="ASSIGNMENT",
        action="append",
        choices=STEMS,
        help="take this one of the six alone",
    )
    parser.add_argument("--lms", choices=("canvas", "moodle", "blackboard", "none"), help="default: told by the names")
    parser.add_argument(
        "--student-folder", metavar="N", type=int, help="without an LMS: which folder is the student's; 0: the name"
    )
    parser.add_argument("--timezone", metavar="ZONE", help="such as Europe/Berlin (default: this machine's)")
    parser.add_argument("--due", metavar="TIME", help='"2026-10-01 23:59": when what is marked late or not was due')
    parser.add_argument(
        "--late-by", metavar="MINUTES", type=float, default=1, help="what LATE is worth (default: %(default)g)"
    )
    parser.add_argument("--file-times", action="store_true", help="trust the times in Canvas's and Moodle's zips")
    parser.add_argument("--replace", action="store_true", help="replace other files that are there, and keep them")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done; write nothing but the report")
    parser.add_argument("--report", metavar="CSV", type=Path, help="write the table into a file, too")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the command; returns its exit code."""
    try:
        zone = ZoneInfo(options.timezone) if options.timezone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        parser.error(f"there is no time zone {options.timezone!r}; such as Europe/Berlin")
    for source in options.sources:
        if not source.exists():
            parser.error(f"there is no {source}")
    if options.into is None and not Path("nbgrader_config.py").is_file():
        parser.error("run it in the course root, where nbgrader_config.py is, or say --into")
    if options.report is not None and not options.report.parent.is_dir():
        parser.error(f"there is no folder {options.report.parent} for the report")
    if options.student_folder is not None and options.student_folder < 0:
        parser.error("--student-folder wants 0, 1, 2, …")
    into = options.into or Path("submitted")
    if into.exists() and not into.is_dir():
        parser.error(f"{into} is no folder")
    try:
        roster = read_roster(options.roster)
        due = _due(options.due, zone)
        late_by = timedelta(minutes=options.late_by)
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    times = Times(zone, due, late_by, options.file_times)
    lines = intake(
        options.sources,
        into,
        roster=roster,
        times=times,
        lms=options.lms,
        level=options.student_folder,
        only=options.only,
        replace_others=options.replace,
        dry_run=options.dry_run,
    )
    console = Console(highlight=False)
    title = "intake: a dry run, nothing was written" if options.dry_run else "intake"
    console.print(table(lines, title))
    console.print(summary(lines))
    said = {detail for line in lines for detail in line.details}
    for note, hint in HINTS.items():
        if note in said:
            console.print(f"[yellow]hint[/yellow] {hint}")
    if options.report is not None:
        try:
            keep_aside(options.report)
            write_csv(options.report, lines)
        except OSError as error:
            print(f"attention-grading: the report cannot be written: {error}", file=sys.stderr)
            return 1
    return 1 if any(line.status == "rejected" for line in lines) else 0


def intake(
    sources: Sequence[Path],
    into: Path,
    *,
    roster: Roster | None = None,
    times: Times | None = None,
    lms: str | None = None,
    level: int | None = None,
    only: Collection[str] | None = None,
    replace_others: bool = False,
    dry_run: bool = False,
) -> list[Line]:
    """Take in what lies in folders and archives. Never raises for what it finds there.

    Args:
        sources: Folders, archives or notebooks.
        into: nbgrader's folder of submissions.
        roster: Who is in the course.
        times: How times are read.
        lms: ``canvas``, ``moodle``, ``blackboard``, ``none``; ``None`` goes by the names.
        level: Which folder is the student's where no LMS wrote the names (see ``owners_by_path``).
        only: Stems of the assignments that are taken; ``None``: all six.
        replace_others: Whether a different file that is there gives way.
        dry_run: Whether nothing is written.

    Returns:
        One line for each thing that was found.
    """
    roster, times = roster or Roster(), times or Times()
    with Reader(_wanted, into.resolve(), times.zone) as reader:
        groups, lines = _attempts(reader, sources, into, roster, times, lms, level)
        for group in groups:
            *earlier, last = group
            if only is not None and last.variant.stem not in only:
                lines += [_line("ignored", each, ("is another assignment's: see --only",)) for each in group]
                continue
            lines += [_line("earlier attempt", each, ("a later one counts",)) for each in earlier]
            if last.recognised.broken and any(not each.recognised.broken for each in earlier):
                last = replace(last, notes=(*last.notes, "an earlier attempt can be read"))
            lines.append(_placed(last, reader, into, replace_others, dry_run))
    return sorted(lines, key=lambda line: (line.student, line.assignment, line.file))


def counted(
    sources: Sequence[Path], roster: Roster | None = None, lms: str | None = None, level: int | None = None
) -> dict[tuple[str, str], Candidate]:
    """What ``intake`` takes of the same downloads, by student and assignment; nothing is written.

    Args:
        sources: Folders, archives or notebooks.
        roster: Who is in the course.
        lms: As for ``intake``.
        level: As for ``intake``.
    """
    nowhere = Path(os.devnull) / "nowhere"
    with Reader(_wanted) as reader:
        groups, _ = _attempts(reader, sources, nowhere, roster or Roster(), Times(), lms, level)
        return {(group[-1].student, group[-1].variant.stem): group[-1] for group in groups}


def _attempts(
    reader: Reader,
    sources: Sequence[Path],
    into: Path,
    roster: Roster,
    times: Times,
    lms: str | None,
    level: int | None,
) -> tuple[list[list[Candidate]], list[Line]]:
    """Each student's attempts at each assignment, the one that counts last; and lines about everything else."""
    lines: list[Line] = []
    candidates: list[Candidate] = []
    for source in sources:
        new, others = _candidates(list(reader.read(source)), reader, roster, times, lms, level)
        candidates += new
        lines += others
    candidates, clashing = _apart(candidates, into)
    lines += clashing
    attempts: defaultdict[tuple[str, Variant], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        attempts[candidate.student, candidate.variant].append(candidate)
    return [sorted(group, key=_order) for group in attempts.values()], lines


def keep_aside(path: Path) -> str | None:
    """Give a file a numbered name, so that another can take its place; returns that name."""
    if not os.path.lexists(path):
        return None
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.{number}")):
        number += 1
    path.rename(aside)
    return aside.name


def timestamp(when: datetime) -> str:
    """A time as nbgrader writes it and reads it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def _wanted(name: str) -> bool:
    return bool(_NOTEBOOK.search(name) or _MAYBE.search(name))


def _candidates(
    things: list[Found | Refused],
    reader: Reader,
    roster: Roster,
    times: Times,
    lms: str | None,
    level: int | None,
) -> tuple[list[Candidate], list[Line]]:
    lines = [
        Line("rejected", file=_path(thing), details=(thing.reason,)) for thing in things if isinstance(thing, Refused)
    ]
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
    known: list[tuple[Found, Slot, Owner | Unknown | None, Recognised]] = []
    for found, slot in notebooks:
        owner: Owner | Unknown | None = None
        try:
            owner = owner_by_lms(found.source, found.parts, users, roster, lms)
        except Unknown as reason:
            owner = reason
        recognised = recognise(reader.fetch(slot), _names(found, owner))
        if recognised.variant is None:
            reason = recognised.broken or "neither its content nor its name says which of the six it is"
            lines.append(Line("rejected", file=_path(found), details=(reason,)))
            continue
        if recognised.repairs:
            slot = reader.keep(recognised.data)
        known.append((found, slot, owner, replace(recognised, data=b"")))
    plain = [found for found, _, owner, _ in known if owner is None]
    mixed = len(plain) not in (0, len(known))
    by_path = owners_by_path(plain[0].source, [found.parts for found in plain], level) if plain else {}
    candidates = []
    for found, slot, owner, recognised in known:
        result = _candidate(found, slot, owner or by_path[found.parts], recognised, roster, times, mixed)
        if isinstance(result, Candidate):
            candidates.append(result)
        else:
            lines.append(result)
    return candidates, lines


def _names(found: Found, owner: Owner | Unknown | None) -> tuple[str, ...]:
    """What a file is called: the learner's own name for it first."""
    own_name = _own_name(found, owner) if isinstance(owner, Owner) else found.parts[-1]
    return (own_name, *reversed(found.parts), found.source)


def _own_name(found: Found, owner: Owner) -> str:
    """What the learner called the file; what the LMS wrote before it is left out, if it is this file that it named."""
    return owner.rest if owner.rest and found.parts[-1] == owner.lms_name else found.parts[-1]


def _left_out(found: Found) -> Line:
    name = found.parts[-1]
    if _OTHER_ARCHIVE.search(name):
        return Line("rejected", file=_path(found), details=("is an archive of a kind that is not read; zip is",))
    if name.casefold().endswith(".py"):
        return Line("rejected", file=_path(found), details=("is a script; the notebook is what is graded",))
    return Line("ignored", file=_path(found), details=("is no notebook",))


def _candidate(
    found: Found,
    slot: Slot,
    owner: Owner | Unknown,
    recognised: Recognised,
    roster: Roster,
    times: Times,
    mixed: bool,
) -> Candidate | Line:
    variant = recognised.variant
    notes = list(recognised.notes)
    try:
        if not isinstance(owner, Owner):
            raise owner
        if mixed and owner.above:
            raise Unknown(f"it has an LMS's name in folder {owner.above!r}, beside notebooks that have none: say --lms")
        listed = roster.find(owner.raw)
    except Unknown as reason:
        return Line("rejected", "", variant.stem, file=_path(found), details=(str(reason),))
    if listed is None:
        if roster.ids:
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
    when, when_from = _time(found, owner, times)
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
            lines.append(_line("rejected", each, (reason,)))
        elif others and each.student not in there[key]:
            reason = f"the folder of another id is there, {others[0]!r}, that some file systems take for the same"
            lines.append(_line("rejected", each, (reason,)))
        else:
            like = alike.get(each.student, ())
            note = f"the id looks like another: {', '.join(map(repr, like))}"
            kept.append(replace(each, notes=(*each.notes, note)) if like else each)
    return kept, lines


def _order(candidate: Candidate) -> tuple[object, ...]:
    """Attempts in the order they were made; what the LMS says counts before what anybody can set."""
    owner, found = candidate.owner, candidate.found
    name, number = split_copy(_own_name(found, owner))
    return (
        candidate.when if owner.when is not None and candidate.when else _NEVER,
        owner.number,
        candidate.found.when or _NEVER,
        number,
        name == candidate.variant.stem,
        found.source,
        found.parts,
    )


def _placed(candidate: Candidate, reader: Reader, into: Path, replace_others: bool, dry_run: bool) -> Line:
    repairs = list(candidate.recognised.repairs)
    name, wanted = _own_name(candidate.found, candidate.owner), f"{candidate.variant.stem}.ipynb"
    numbered = re.fullmatch(rf"{candidate.variant.stem}-\d+\.ipynb", name) and candidate.owner.number
    if name != wanted and not numbered:
        repairs.append(f"renamed from {name!r}")
    details = (*repairs, *candidate.notes)
    if candidate.recognised.broken:
        details = (*details, f"will get 0 points: {candidate.recognised.broken}")
    folder = into / candidate.student / candidate.variant.stem
    try:
        status, said = _place(
            folder, wanted, reader.fetch(candidate.slot), candidate.when, replace_others, write=not dry_run
        )
    except NotPlaced as reason:
        return _line("rejected", candidate, (str(reason), *details))
    except OSError as error:
        return _line("rejected", candidate, (f"cannot be written: {error.strerror or error}", *details))
    if status == "taken" and repairs:
        status = "repaired"
    return _line(status, candidate, (*said, *details))


def _place(
    folder: Path, name: str, data: bytes, when: datetime | None, replace_others: bool, write: bool
) -> tuple[str, tuple[str, ...]]:
    """Put a notebook and its timestamp into a folder; returns what became of it and what to say.

    Raises:
        NotPlaced: Another file is there, or something that is no plain file or folder.
    """
    path, stamp_path = folder / name, folder / _TIMESTAMP
    for place in (folder.parent, folder, path, stamp_path):
        if place.is_symlink():
            raise NotPlaced(f"{place.name} is a link there; nothing is written through links")
    for place in (path, stamp_path):
        if place.exists() and not place.is_file():
            raise NotPlaced(f"{place.name} is there and is no file")
    stamp = timestamp(when) if when else None
    old_stamp = stamp_path.read_text(encoding="utf-8", errors="replace").strip() if stamp_path.exists() else None
    there = path.exists()
    same = there and path.stat().st_size == len(data) and path.read_bytes() == data
    said: list[str] = []
    if there and not same and not replace_others:
        raise NotPlaced("another file is there and was left alone; --replace puts this one in its place")
    if same and stamp in (None, old_stamp):
        return "already there", ()
    if same and old_stamp is not None and not replace_others:
        return "already there", (f"with the time {old_stamp}, which was left alone; --replace changes it",)
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        if there and not same:
            said.append(f"the old one is kept as {keep_aside(path)}")
            if stamp and old_stamp and stamp < old_stamp:
                said.append("its time is before that of the old one")
        if old_stamp not in (None, stamp):
            keep_aside(stamp_path)
        if not same:
            _write(path, data)
        if stamp is not None and stamp != old_stamp:
            _write(stamp_path, f"{stamp}\n".encode())
    elif there and not same:
        said.append("replaces another file, which is kept")
    return ("already there", ("its time is new",)) if same else ("taken", tuple(said))


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step, so that a run that is interrupted leaves no half of one."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with part.open("xb") as file:
        file.write(data)
    part.replace(path)


def _line(status: str, candidate: Candidate, details: Iterable[str]) -> Line:
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


def _due(text: str | None, zone: tzinfo | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = dateutil.parser.parse(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"--due wants a time such as '2026-10-01 23:59', not {text!r}") from error
    utc = when.astimezone(UTC) if when.tzinfo else to_utc(when, zone)
    if utc is None:
        raise ValueError(f"there is no such time as {text!r}")
    return utc
