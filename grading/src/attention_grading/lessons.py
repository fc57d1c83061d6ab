"""The lessons in ``notebooks/``: they install the kit from the course's pinned address, as the releases do.

A lesson runs where it lies, so it holds the address itself and no placeholder; ``make release`` keeps it right.
"""

from __future__ import annotations

import re
from pathlib import Path

from attention_grading.course import read_course

_ADDRESS = re.compile(r"attention-lab @ git\+https://[^\\\"\s]+")


def pin_lessons(course: Path) -> list[Path]:
    """Write the address of ``course.toml`` into the lessons.

    Args:
        course: The course root.

    Returns:
        The lessons that held another address.
    """
    kit = read_course(course).kit
    changed = []
    for path in sorted((course / "notebooks").glob("*.ipynb")):
        before = path.read_text(encoding="utf-8")
        after = _ADDRESS.sub(lambda _: kit, before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed
