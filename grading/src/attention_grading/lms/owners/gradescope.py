"""Gradescope's ``submission_metadata.yml``: who handed in which folder of an export, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dateutil.parser
import yaml

METADATA = "submission_metadata.yml"
SUBMISSION = re.compile(r"submission_\d+(?:\.zip)?", re.IGNORECASE)
MAX_METADATA = 20 * 2**20  # bytes; with all attempts' results, a large class makes some megabytes


@dataclass(frozen=True)
class Submitted:
    """What Gradescope says of one submission.

    Attributes:
        students: The ids of each who handed it in: the school's, the e-mail address, the name.
        when: The time, in UTC.
    """

    students: tuple[tuple[str, ...], ...]
    when: datetime | None


class _Loader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """Reads every plain value as its text, for others fail in many ways; what has one of Ruby's classes is left out."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def read_metadata(data: bytes) -> dict[str, Submitted]:
    """By the folder's name, who handed it in; empty where the file is none of Gradescope's."""
    if len(data) > MAX_METADATA:
        return {}
    try:
        found = yaml.load(data, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    entries = found if isinstance(found, Mapping) else {}
    return {str(name): _submitted(entry) for name, entry in entries.items() if isinstance(entry, Mapping)}


def _submitted(entry: Mapping[Any, Any]) -> Submitted:
    people = entry.get(":submitters")
    students = [_ids(person) for person in people if isinstance(person, Mapping)] if isinstance(people, list) else []
    return Submitted(tuple(filter(None, students)), _time(entry.get(":created_at")))


def _time(text: object) -> datetime | None:
    """A time of day in UTC, unless it says otherwise."""
    try:
        when = dateutil.parser.parse(text) if isinstance(text, str) and ":" in text else None
    except (ValueError, OverflowError):
        return None
    return when if when is None or when.tzinfo else when.replace(tzinfo=UTC)


def _ids(person: Mapping[Any, Any]) -> tuple[str, ...]:
    values = (person.get(name) for name in (":sid", ":email", ":name"))
    # anything but a text may be lists of lists, each written once and meant a thousand times
    texts = (value.strip() for value in values if isinstance(value, str))
    return tuple(text for text in texts if text not in ("", "~", "null"))
