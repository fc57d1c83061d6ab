"""Hostile, broken and clumsy submissions, and what each deserves."""

from submissions import clumsy, code, notebooks, outputs, outside, resources
from submissions.entry import CATALOGUE, RIGHT, WRONG, Entry, Place, World

__all__ = [
    "CATALOGUE",
    "RIGHT",
    "WRONG",
    "Entry",
    "Place",
    "World",
    "clumsy",
    "code",
    "notebooks",
    "outputs",
    "outside",
    "resources",
]
