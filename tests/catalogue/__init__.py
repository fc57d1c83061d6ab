"""Hostile, broken and clumsy submissions, and what each deserves."""

from catalogue import clumsy, code, notebooks, outputs, outside, resources
from catalogue.entry import CATALOGUE, RIGHT, WRONG, Entry, Place, World

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
