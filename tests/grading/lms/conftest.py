"""Intake of one download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import Line
from support.platforms.downloads import zipped


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., dict[str, Line]]:
    """Take in one archive, or a folder with these files; gives the lines by path."""

    def take(entries: dict[str, bytes] | bytes, name: str = "submissions.zip", **options: object) -> dict[str, Line]:
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
        lines = intake([source], tmp_path / "submitted", **options)
        return {line.file.removeprefix(f"{name}/"): line for line in lines}

    return take
