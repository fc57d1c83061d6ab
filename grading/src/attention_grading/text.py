"""Text that came from a learner's process, made harmless for terminals, HTML and logs."""

from __future__ import annotations

import re
import textwrap
import unicodedata

# ECMA-48 control sequences (colours, cursor, titles, hyperlinks)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-Z\\-_])", re.DOTALL)


def plain(text: object, limit: int, lines: bool = False) -> str:
    """Printable text of at most ``limit`` characters.

    Args:
        text: Anything; what is no string becomes one.
        limit: Characters; what is cut is said.
        lines: Whether line breaks and tabs stay; otherwise they become spaces.

    Returns:
        The text without escape sequences, control characters and those that turn the direction of writing.
    """
    string = text if isinstance(text, str) else str(text)
    cut = len(string) > limit
    kept = string[:limit]
    if not kept.isprintable():  # most is, and then there is nothing to take out
        kept = "".join(character for character in _ESCAPES.sub("", kept) if _harmless(character))
    if not lines:
        kept = re.sub(r"[\n\t]+", " ", kept)
    return kept + (f" … (cut after {limit} characters)" if cut else "")


def id_problem(student: str) -> str | None:
    """Why no command works with a student's id, in words that follow "the id"; ``None`` where each does.

    Ids end in spreadsheets, file names, patterns of names and terminals. ``intake`` makes of any id one that is fine.
    """
    if not student.strip():
        return "is empty"
    if student.lstrip().startswith(FORMULA_STARTS):
        return f"begins with {student.lstrip()[0]!r}, which a spreadsheet takes for a formula"
    hidden = next((one for one in student if not _shows(one)), None)
    if hidden is not None:
        return f"holds a character that cannot be seen (U+{ord(hidden):04X})"
    special = next((one for one in student if one in "[]*?/\\"), None)
    return f"holds {special!r}, which has a meaning of its own in names of files" if special else None


# What a spreadsheet runs: see OWASP, CSV injection; the last four are the wide forms of the first
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def _shows(character: str) -> bool:
    # C: control, format, surrogate, private, unassigned; Zl and Zp: ends of lines and paragraphs
    category = unicodedata.category(character)
    return not category.startswith("C") and category not in ("Zl", "Zp")


def _harmless(character: str) -> bool:
    # C: control, format (the direction of writing), surrogate, private, unassigned
    return character in "\n\t" or not unicodedata.category(character).startswith("C")


def harmless(cell: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(("\t", "\r", "\n")) or cell.lstrip().startswith(FORMULA_STARTS) else cell


def without_apostrophe(cell: str) -> str:
    """The text as it was before ``harmless`` put an apostrophe in front."""
    return cell[1:] if cell.startswith("'") and harmless(cell[1:]) == cell else cell


def with_name(name: str, student: str) -> str:
    """A student as people read it: the name and the id, or the id alone where no name is known."""
    return f"{name} ({student})" if name and name != student else student


def wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """The text in lines, broken between words alone: a path that is too long for a terminal stays whole."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
