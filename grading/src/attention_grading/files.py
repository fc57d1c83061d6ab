"""Keeping files that others replace."""

from __future__ import annotations

import os
from pathlib import Path


def free_name(path: Path) -> Path:
    """The path itself where nothing is there, else with the first number that is free."""
    number = 0
    free = path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def keep_aside(path: Path) -> str | None:
    """Give a file a numbered name, so that another can take its place; returns that name."""
    return path.rename(free_name(path)).name if os.path.lexists(path) else None
