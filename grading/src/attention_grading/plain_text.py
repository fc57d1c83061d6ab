"""Text that came from a learner's process, made harmless for terminals, HTML and logs."""

from __future__ import annotations

import re
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


def _harmless(character: str) -> bool:
    # C: control, format (the direction of writing), surrogate, private, unassigned
    return character in "\n\t" or not unicodedata.category(character).startswith("C")
