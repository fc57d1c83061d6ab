"""When assignments are due and when submissions came, and how that is said: in the course's own time zone.

Canvas says late or on time and no more. nbgrader wants a time, so ``intake`` makes one of the due date, and leaves a
file beside it that says whose word that is: what nobody measured is shown to nobody as a time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attention_grading.course_file import CourseProblem

ON_TIME, LATE = "on time, says Canvas", "late, says Canvas"
# Beside timestamp.txt, which holds a time that was made up
SAID_FILE = "timestamp_from.txt"


def course_zone(config: Any) -> tzinfo | None:
    """The zone in which Formgrader shows times, ``c.NbGraderAPI.timezone``; ``None`` where the course names none.

    Raises:
        CourseProblem: There is no such zone.
    """
    name = config.get("NbGraderAPI", {}).get("timezone")
    if not name:
        return None
    zone = zone_named(name)
    if zone is None:
        raise CourseProblem(
            f"c.NbGraderAPI.timezone in nbgrader_config.py is {name!r}, and there is no such zone; write one such as "
            "'Europe/Berlin'"
        )
    return zone


def zone_named(name: Any) -> tzinfo | None:
    """A time zone by its name, such as ``Europe/Berlin``; ``None`` where there is none of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        return None


def time_in_words(when: datetime, zone: tzinfo | None) -> str:
    """A time in a zone, with the zone's name; a time without a zone is in UTC, as nbgrader has it.

    Args:
        when: The time.
        zone: ``None`` is UTC.
    """
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return aware.astimezone(zone or UTC).strftime("%Y-%m-%d %H:%M %Z")


def said_by_platform(folder: Path) -> str | None:
    """What a platform said of a submission instead of a time: one of ``ON_TIME`` and ``LATE``; ``None`` for a time."""
    try:
        text = (folder / SAID_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return text if text in (ON_TIME, LATE) else None


def lateness_in_words(seconds: float, folder: Path) -> str:
    """How late a submission is, such as ``handed in 1 day, 0:00:00 late``."""
    return said_by_platform(folder) or f"handed in {timedelta(seconds=round(seconds))} late"
