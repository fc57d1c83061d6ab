"""Intake of one download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attention_grading.lms.candidates import Reading, Times
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import Line
from attention_grading.lms.owners.answers import Answers
from attention_grading.lms.owners.roster import Roster
from support.platforms.downloads import zipped


@pytest.fixture
def take(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., dict[str, Line]]:
    """Take in one archive, or a folder with these files; gives the lines by path.

    A module whose question is not whose a file is says once, by ``STUDENT_FOLDER``, which folder is the student's.
    """

    def take(
        entries: dict[str, bytes] | bytes,
        name: str = "submissions.zip",
        *,
        level: int | None = getattr(request.module, "STUDENT_FOLDER", None),
        roster: Roster | None = None,
        times: Times | None = None,
        lms: str | None = None,
        groups: bool = False,
        **options: object,
    ) -> dict[str, Line]:
        source = tmp_path / name
        if isinstance(entries, bytes):
            source.write_bytes(entries)
        elif name.endswith(".zip"):
            source.write_bytes(zipped(entries))
        else:
            for below, data in entries.items():
                path = source / below
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        how = Reading(roster or Roster(), times or Times(), lms, Answers(level), groups)
        lines = intake([source], tmp_path / "submitted", how, **options)
        return {line.file.removeprefix(f"{name}/"): line for line in lines}

    return take
