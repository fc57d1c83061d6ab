"""``attention-grading intake``: bring what students handed in to where nbgrader looks for it.

``submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb``, and ``timestamp.txt`` beside it where the time is known. Which
of the course's notebooks one is, its content says first and its name second; whose it is, the path that the LMS or the
instructor gave it, the roster or the instructor (see ``owners/``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from attention_grading.files import keep_aside
from attention_grading.lms.attempts import read_attempts
from attention_grading.lms.candidates import (
    Candidate,
    Reading,
    is_wanted,
    learners_name,
    line_about,
    timestamp,
)
from attention_grading.lms.intake_table import Line
from attention_grading.lms.zip_reader import Reader
from attention_grading.nbgrader_plugin.times import LATE, ON_TIME, SAID_FILE

_TIMESTAMP = "timestamp.txt"


class NotPlaced(Exception):
    """A file was left where it is; the message says why."""


def intake(
    sources: Sequence[Path],
    into: Path,
    how: Reading | None = None,
    *,
    only: Collection[str] | None = None,
    replace_others: bool = False,
    dry_run: bool = False,
) -> list[Line]:
    """Take in what lies in folders and archives. Never raises for what it finds there.

    Args:
        sources: Folders, archives or notebooks.
        into: nbgrader's folder of submissions.
        how: How they are read.
        only: Stems of the assignments that are taken; ``None``: all.
        replace_others: Whether a different file that is there gives way.
        dry_run: Whether nothing is written.

    Returns:
        One line for each thing that was found.
    """
    how = how or Reading()
    with Reader(is_wanted, into.resolve(), how.times.zone) as reader:
        groups, lines = read_attempts(reader, sources, into, how)
        for group in groups:
            *earlier, last = group
            if only is not None and last.variant.stem not in only:
                lines += [line_about("ignored", each, ("is another assignment's: see --only",)) for each in group]
                continue
            lines += [line_about("earlier attempt", each, ("a later one counts",)) for each in earlier]
            if last.recognised.broken and any(not each.recognised.broken for each in earlier):
                last = replace(last, look=(*last.look, "an earlier attempt can be read"))
            lines.append(_placed(last, reader, into, replace_others, dry_run))
    return sorted(lines, key=lambda line: (line.student, line.assignment, line.file))


def _placed(candidate: Candidate, reader: Reader, into: Path, replace_others: bool, dry_run: bool) -> Line:
    repairs = list(candidate.recognised.repairs)
    name, wanted = learners_name(candidate.found, candidate.owner), f"{candidate.variant.stem}.ipynb"
    numbered = re.fullmatch(rf"{candidate.variant.stem}-\d+\.ipynb", name) and candidate.owner.number
    if name != wanted and not numbered:
        repairs.append(f"renamed from {name!r}")
    look = candidate.look
    if candidate.recognised.broken:
        look = (*look, f"will get 0 points: {candidate.recognised.broken}")
    details = (*repairs, *candidate.notes, *look)
    folder = into / candidate.student / candidate.variant.stem
    try:
        status, said = _place(folder, wanted, reader, candidate, replace_others, write=not dry_run)
    except NotPlaced as reason:
        return line_about("rejected", candidate, (str(reason), *details))
    except OSError as error:
        return line_about("rejected", candidate, (f"cannot be written: {error.strerror or error}", *details))
    if status == "taken" and repairs:
        status = "repaired"
    return line_about(status, candidate, (*said, *details), look)


def _place(
    folder: Path, name: str, reader: Reader, candidate: Candidate, replace_others: bool, write: bool
) -> tuple[str, tuple[str, ...]]:
    """Put a notebook and its timestamp into a folder; returns what became of it and what to say.

    Raises:
        NotPlaced: Another file is there, or something that is neither a regular file nor a folder.
    """
    path, stamp_path, said_path = folder / name, folder / _TIMESTAMP, folder / SAID_FILE
    for place in (folder.parent, folder, path, stamp_path, said_path):
        if place.is_symlink():
            raise NotPlaced(f"{place.name} is a link there; nothing is written through links")
    for place in (path, stamp_path, said_path):
        if place.exists() and not place.is_file():
            raise NotPlaced(f"{place.name} is there and is no file")
    data, stamp = reader.fetch(candidate.slot), timestamp(candidate.when) if candidate.when else None
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
            said_path.unlink(missing_ok=True)
            if candidate.when_from in (ON_TIME, LATE):
                _write(said_path, f"{candidate.when_from}\n".encode())
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
