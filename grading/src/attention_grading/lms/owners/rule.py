"""The one rule: an owner is certain, or asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from attention_grading.lms.owners.answers import Answers
from attention_grading.lms.owners.file_names import id_in_name, split_copy, without_extensions
from attention_grading.lms.owners.platforms import Download, Owner, owner_by_platform, path_inside
from attention_grading.lms.owners.roster import Roster, Unknown, lookup_key
from attention_lab.variants import VARIANTS

ASKED = (
    "it is not certain whose it is: no platform wrote its path, it lies in no folder of nbgrader's, and no "
    "roster knows it. Use --student-folder, --pattern or --owners"
)
_STEMS = {variant.stem for variant in VARIANTS.values()}
_SUBMITTED = "submitted"
# May be anything: an attempt, a week
_SHORT_NUMBER = re.compile(r"\d{1,2}")
MAX_WORDS = 20  # of a file's name that are looked up


@dataclass(frozen=True)
class Known:
    """What is known of owners in one source.

    Attributes:
        answers: What the instructor says.
        download: What else the download tells.
    """

    answers: Answers = field(default_factory=Answers)
    download: Download = field(default_factory=Download)

    def owner_of(self, source: str, parts: tuple[str, ...]) -> Owner:
        """Whose a file is.

        Args:
            source: Name of the folder or archive that was given.
            parts: The path inside it.

        Raises:
            Unknown: That is not certain; the message says why, and how it can be settled.
        """
        below = path_inside(source, parts)
        owner = (
            self._answer(source, parts)
            or self._platform(source, parts)
            or _by_nbgrader((source, *below))
            or _by_roster(source, below or parts, self.download.roster)
        )
        if owner is None:
            raise Unknown(ASKED)
        return owner

    def _platform(self, source: str, parts: tuple[str, ...]) -> Owner | None:
        """What a platform says, unless the file lies in another student's folder: whose that is may name it so."""
        owner, roster = owner_by_platform(source, parts, self.download), self.download.roster
        if owner is None:
            return None
        for folder in owner.above.split("/"):
            student = None if _SHORT_NUMBER.fullmatch(folder) else _listed(folder, roster)
            if student and student != _in_roster((owner.raw, *owner.others), owner.person, roster):
                raise Unknown(f"lies in the folder of {student}, and is named as {owner.how}: say whose it is")
        return owner

    def _answer(self, source: str, parts: tuple[str, ...]) -> Owner | None:
        """What the instructor says; of a file that a platform named, the table says whose it is and nothing else."""
        answer = self.answers.owner_of(source, path_inside(source, parts))
        if answer is None or answer.kind != "table":
            return answer
        try:
            named = owner_by_platform(source, parts, self.download)
        except Unknown:
            return answer
        if named is None:
            return answer
        return replace(named, raw=answer.raw, how=answer.how, person="", others=(), partners=answer.partners)


def _by_nbgrader(path: tuple[str, ...]) -> Owner | None:
    """nbgrader's folder: ``submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb``, at the top or in ``submitted`` itself."""
    place = next(
        (index for index, name in enumerate(path[:2]) if without_extensions(name).casefold() == _SUBMITTED), None
    )
    inside = path[place + 1 :] if place is not None else ()
    if len(inside) != 3 or inside[1] not in _STEMS or split_copy(inside[2])[0] != inside[1]:
        return None
    return Owner("nbgrader", inside[0], f"nbgrader's folder {inside[0]!r}")


def _by_roster(source: str, path: tuple[str, ...], roster: Roster) -> Owner | None:
    """The one student of the roster whose id or name is a folder's, the archive's or in the file's name.

    Raises:
        Unknown: The path names several.
    """
    if not roster.ids:
        return None
    found: dict[str, str] = {}
    for name in (without_extensions(source), *map(without_extensions, path[:-1]), *_ids_in(path[-1])):
        if not _SHORT_NUMBER.fullmatch(name) and (student := _listed(name, roster)):
            found.setdefault(student, name)
    if len(found) > 1:
        raise Unknown(f"its path names several students of the roster: {', '.join(sorted(found))}")
    return next((Owner("roster", name, f"{name!r} in the roster") for name in found.values()), None)


def _listed(name: str, roster: Roster) -> str | None:
    """The student that a name or an id belongs to; one that belongs to several names nobody."""
    try:
        return roster.find(name) or roster.find_name(name)
    except Unknown:
        return None


def _ids_in(name: str) -> Iterator[str]:
    """What may be an id in a file's name: what is left beside the assignment, and how the name begins."""
    yield id_in_name(name)
    base, _ = split_copy(name)
    places = [match.start() for match in re.finditer(r"[_\s]", base)][:MAX_WORDS]
    yield from (base[:place].rstrip(" -") for place in (*places, len(base)))


def students_of(owner: Owner, roster: Roster, groups: bool) -> tuple[tuple[str, bool], ...]:
    """Ids of those whose a file is, the one who handed it in first, each with whether the roster lists it.

    Args:
        owner: What the path says.
        roster: Who is in the course.
        groups: Whether the roster's groups hand in together.

    Raises:
        Unknown: The roster gives an id to several.
    """
    members = roster.groups.get(lookup_key(owner.person or owner.raw), ())
    if members and not groups:
        raise Unknown(
            f"is the work of the roster's group {owner.person or owner.raw!r}: with --groups it counts for all its "
            "members"
        )
    if members:
        return tuple((member, True) for member in members)
    # Brightspace's number is in no roster, and may be another student's id there
    ids = () if owner.kind == "brightspace" and owner.person else (owner.raw, *owner.others)
    listed = _in_roster(ids, owner.person, roster)
    if owner.kind == "moodle" and owner.person and listed is not None and not roster.goes_by(listed, owner.person):
        # teams' folders have the number of the team
        raise Unknown(
            f"{owner.raw} has another name than {owner.person!r} in the roster; is it a team's number? See --groups"
        )
    found = {listed or owner.raw: listed is not None}
    for partner in owner.partners:
        known = _in_roster((partner,), "", roster)
        found.setdefault(known or partner, known is not None)
    if groups and listed is not None:
        found |= {member: True for member in roster.members(listed)}
    return tuple(found.items())


def _in_roster(ids: Iterable[str], name: str, roster: Roster) -> str | None:
    for raw in ids:
        if listed := roster.find(raw) or roster.find_name(raw):
            return listed
    return roster.find_name(name) if name else None
