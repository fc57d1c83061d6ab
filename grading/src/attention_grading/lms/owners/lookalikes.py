"""Ids that an instructor may take for others: letters that look alike, and characters that show nothing.

A help for the eye, no guarantee: Unicode has thousands of letters that look alike, and these are the common ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")
# small letters, and digits, that look like a Latin one in most fonts
_LIKE = str.maketrans(
    {
        **dict(zip("авеікмнорстухјѕԁԛԝһӏ", "abeikmhopctyxjsdqwhl", strict=True)),
        **dict(zip("αβεηικμνορτυχ", "abenikuvoptux", strict=True)),
        **dict(zip("01ı", "oli", strict=True)),
    }
)


def oddities(student: str) -> Iterator[str]:
    """What is odd about an id, in words.

    Args:
        student: The id as it was given.
    """
    letters = {script: _first_of(student, script) for script in _SCRIPTS}
    found = [(script, letter) for script, letter in letters.items() if letter]
    if len(found) > 1:
        names = " and ".join(f"{script.capitalize()} ({letter}, {_code(letter)})" for script, letter in found)
        yield f"the id mixes letters that look alike: {names}"
    hidden = sorted({character for character in student if unicodedata.category(character) == "Cf"})
    if hidden:
        yield f"the id has invisible characters: {', '.join(map(_code, hidden))}"


def appearance(student: str) -> str:
    """Ids with the same value look the same, or nearly so."""
    shown = "".join(character for character in student if unicodedata.category(character) != "Cf")
    # I and l are one stroke, and capitals of most other letters look like the small ones
    small = unicodedata.normalize("NFKC", shown.replace("I", "l")).casefold()
    return small.translate(_LIKE)


def look_alikes(students: Iterable[str]) -> dict[str, list[str]]:
    """By id, the others that look the same; only those that have any."""
    groups: dict[str, set[str]] = {}
    for student in students:
        groups.setdefault(appearance(student), set()).add(student)
    return {one: sorted(group - {one}) for group in groups.values() if len(group) > 1 for one in group}


def _first_of(student: str, script: str) -> str | None:
    return next((letter for letter in student if unicodedata.name(letter, "").startswith(f"{script} ")), None)


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
