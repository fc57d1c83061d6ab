"""Courses to grade."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from attention_grading.classroom import task
from support.classes import LATE, SMALL_CLASS, STEM, InlineCrew, hand_in, make_course


@pytest.fixture(scope="module", autouse=True)
def _one_session() -> Iterator[None]:
    """Tests that grade in this process share one warm session a file."""
    yield
    task.close_session()


@pytest.fixture(scope="session")
def blank_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with one release that nobody has handed in; tests copy it."""
    return make_course(tmp_path_factory.mktemp("blank") / "course", [STEM], LATE)


@pytest.fixture
def small(blank_course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with four submissions, and the command that grades in this process."""
    folder = shutil.copytree(blank_course, tmp_path / "course")
    for student, kind in SMALL_CLASS.items():
        hand_in(folder, student, STEM, kind)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    return folder
