"""Keeping files that others replace."""

from __future__ import annotations

import os
from pathlib import Path


def keep_aside(path: Path) -> str | None:
    """Give a file a numbered name, so that another can take its place; returns that name."""
    if not os.path.lexists(path):
        return None
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.{number}")):
        number += 1
    path.rename(aside)
    return aside.name
