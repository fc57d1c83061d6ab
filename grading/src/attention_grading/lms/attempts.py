"""Each student's attempts at each assignment: of several notebooks, which are one student's, and which counts."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from attention_grading.lms.candidates import (
    Candidate,
    LeftAside,
    Reading,
    is_wanted,
    learners_name,
    left_aside_lines,
    line_about,
    path_of,
    read_source,
)
from attention_grading.lms.intake_table import Line
from attention_grading.lms.owners.file_names import id_in_name, split_copy
from attention_grading.lms.owners.lookalikes import look_alikes
from attention_grading.lms.owners.platforms import PLATFORMS
from attention_grading.lms.owners.roster import same_folder
from attention_grading.lms.zip_reader import Reader
from attention_lab.variants import Variant

_NEVER = datetime.min.replace(tzinfo=UTC)


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
    candidates: list[Candidate] = []
    aside: list[LeftAside] = []
    for source in sources:
        new, others = read_source(list(reader.read(source)), reader, how)
        candidates += new
        aside += others
    candidates, clashing = _apart(candidates, into)
    attempts: defaultdict[tuple[str, Variant], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        attempts[candidate.student, candidate.variant].append(candidate)
    groups, lines = [], clashing
    for group in attempts.values():
        own = [each for each in group if not each.partner] or group
        if reason := _why_no_attempts(own, reader):
            lines += [line_about("rejected", each, (reason,)) for each in own]
        else:
            groups.append(sorted(own, key=_order))
    there = {(group[-1].student, group[-1].variant.stem) for group in groups}
    return groups, [*lines, *(line for each in aside for line in left_aside_lines(each, there))]


def _why_no_attempts(group: Sequence[Candidate], reader: Reader) -> str | None:
    """Why different notebooks that would be one student's are not attempts of one; ``None`` where they may be.

    A platform orders what one student handed in. Otherwise copies of one name in one folder are attempts.
    """
    first = group[0]
    if first.partner and len({each.owner.raw for each in group}) > 1:
        return "several of the group handed it in, and which one is this student's cannot be told: use --owners"
    attempts = {_attempt(each) for each in group}
    if len(attempts) < 2 or len({reader.fetch(each.slot) for each in group}) == 1:
        return None
    names = ", ".join(sorted(path_of(each.found) for each in group)[:5])
    return (
        f"{len(group)} different notebooks would be {first.student!r}'s {first.variant.stem}, and nothing says that "
        f"they are one student's attempts: {names}. Keep one, or give each its owner with --owners"
    )


def _attempt(candidate: Candidate) -> tuple[object, ...]:
    owner, parts = candidate.owner, candidate.found.parts
    if owner.kind == "classroom":  # Drive numbers files of the same name, whosever they are
        return (candidate.found.source, *parts)
    return () if owner.kind.partition(" ")[0] in PLATFORMS else (*parts[:-1], id_in_name(parts[-1]))


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
        # what the instructor's table says is meant
        who = {(student, known_by) for student, known_by in people[key] if known_by != "table"}
        others = sorted(name for name in there[key] if name != each.student)
        if len(who) > 1 or len({student for student, _ in people[key]}) > 1:
            ids = ", ".join(f"{student!r} ({known_by})" for student, known_by in sorted(people[key]))
            reason = f"several ids would share one folder: {ids}; if they are one student, a roster or one name says so"
            lines.append(line_about("rejected", each, (reason,)))
        elif others and each.student not in there[key]:
            other = others[0]
            reason = f"there is already the folder of another id, {other!r}, which some file systems take for the same"
            lines.append(line_about("rejected", each, (reason,)))
        else:
            like = alike.get(each.student, ())
            note = f"the id looks like another: {', '.join(map(repr, like))}"
            kept.append(replace(each, look=(*each.look, note)) if like else each)
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
