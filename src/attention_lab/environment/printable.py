"""Text for a terminal, which would obey escape sequences."""

from __future__ import annotations


def printable(text: object) -> str:
    """The text in one line; a question mark stands for each character that does not show."""
    return "".join(character if character.isprintable() else "?" for character in str(text))
