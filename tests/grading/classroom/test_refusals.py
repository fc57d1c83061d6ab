"""Where grading cannot start, and gradebooks that somebody else holds."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from attention_grading.classroom.task import Graded
from attention_grading.notebooks.grade import GradingTerms, NotebookTask
from support.classes import OTHER, SMALL_POINTS, STEM, InlineCrew, points, run

pytestmark = pytest.mark.nbgrader


# ---- a gradebook that somebody else holds ----------------------------------------------------------------------------


@contextlib.contextmanager
def locked(course: Path) -> Iterator[None]:
    """Another program writes to the gradebook and does not finish."""
    with contextlib.closing(sqlite3.connect(course / "gradebook.db")) as other:
        other.execute("begin exclusive")
        yield
        other.rollback()


def test_locked_gradebook_is_said_in_one_line(small, capsys, monkeypatch):
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    with locked(small):
        assert run("--verdict-only") == 2
    err = capsys.readouterr().err
    assert "in use by another program" in err
    assert len(err.splitlines()) == 1
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS


def test_gradebook_that_is_locked_during_a_run_ends_it_in_good_order(small, capsys, monkeypatch):
    locks = contextlib.ExitStack()

    class Locking(InlineCrew):
        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            graded = super().submit(tasks, terms)
            if not Locking.held:
                Locking.held = True
                locks.enter_context(locked(small))
            return graded

        held = False

    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Locking)
    with locks:
        assert run("--verdict-only") == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out
    assert "in use by another program" in out
    assert points(small) == {}
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS


# ---- where grading cannot start --------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run(*options) == 2
    return capsys.readouterr().err


def test_assignment_that_was_never_generated_says_what_to_run(small, capsys):
    assert f"run: nbgrader generate_assignment {OTHER} --force" in refused(capsys, OTHER)
    hand_in_place = small / "submitted" / "ann" / OTHER
    hand_in_place.mkdir()
    shutil.copy(small / "submitted" / "ann" / STEM / f"{STEM}.ipynb", hand_in_place / f"{OTHER}.ipynb")
    assert f"run: nbgrader generate_assignment {OTHER} --force" in refused(capsys)
    (small / "gradebook.db").unlink()
    assert "run: nbgrader generate_assignment ASSIGNMENT --force" in refused(capsys, STEM)
    assert not (small / "gradebook.db").exists()


def test_mistyped_assignment_is_told_what_there_is(small, capsys):
    said = refused(capsys, f"{STEM}x")
    assert f"there is no assignment {STEM}x; there are: " in said
    assert STEM in said.partition("there are: ")[2]
    assert "generate_assignment" not in said


def test_other_places_students_and_configurations_are_refused(small, capsys, monkeypatch):
    assert "by nobody" in refused(capsys, "--student", "nobody")
    config = small / "nbgrader_config.py"
    text = config.read_text()
    config.write_text(text + "from nbgrader.preprocessors import Execute\n" + STOCK)
    assert "autogrades by other steps" in refused(capsys)
    config.write_text(text + "1 / 0\n")
    assert "ZeroDivisionError" in refused(capsys)
    config.write_text(text)
    shutil.rmtree(small / "submitted")
    assert "no submissions" in refused(capsys)
    monkeypatch.chdir(small.parent)
    assert "no nbgrader_config.py" in refused(capsys)


STOCK = "c.Autograde.autograde_preprocessors = [Execute, WriteVerdict, SaveAutoGrades]\n"


def test_submission_that_cannot_be_read_is_not_graded_and_says_so(small, capsys):
    (small / "submitted" / "bob" / STEM / "timestamp.txt").write_text("yesterday evening")
    with (small / "nbgrader_config.py").open("a") as config:  # the course's own hook would set that file aside
        config.write("c.Autograde.pre_convert_hook = lambda **names: None\n")
    assert run("--verdict-only") == 1
    assert f"bob, {STEM}: could not be graded: timestamp.txt holds no time" in capsys.readouterr().out
    assert points(small) == {student: score for student, score in SMALL_POINTS.items() if student != "bob"}
