"""Only what changed is graded again, and one submission's trouble is its own."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import ClassVar

import pytest
from nbgrader.api import Gradebook
from nbgrader.utils import find_all_files

from attention_grading import __version__
from attention_grading.authoring.course_root import nbgrader
from attention_grading.classroom import gradebook_writer, local_pool
from attention_grading.classroom.fingerprint import STAMP, stamp_of, versions
from attention_grading.classroom.task import Graded
from attention_grading.nbgrader_plugin.course import load_course
from attention_grading.notebooks.grade import GradingTerms, NotebookTask
from attention_grading.sandbox.processes import Interrupted, WorkerFailed
from support.classes import (
    LATE,
    SMALL_POINTS,
    STEM,
    InlineCrew,
    database,
    graded_files,
    graded_students,
    hand_in,
    points,
    rows,
    run,
)

pytestmark = pytest.mark.nbgrader


def test_only_what_changed_is_graded_again(small, capsys):
    assert run() == 0
    assert points(small) == SMALL_POINTS
    stamps = {student: (small / "autograded" / student / STEM / STAMP).stat().st_mtime_ns for student in SMALL_POINTS}
    hand_in(small, "cem", STEM, "all-right")
    capsys.readouterr()
    assert run("--report", "report.json") == 0
    report = json.loads(Path("report.json").read_text())
    assert (report["graded"], report["unchanged"]) == ({STEM: 1}, {STEM: 3})
    assert points(small) == SMALL_POINTS | {"cem": 10}
    now = {student: (small / "autograded" / student / STEM / STAMP).stat().st_mtime_ns for student in SMALL_POINTS}
    assert {student for student in SMALL_POINTS if now[student] != stamps[student]} == {"cem"}
    assert run("--force", "--student", "ann", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: 1}


def test_graded_notebooks_have_the_courses_address_and_no_placeholders(small, monkeypatch):
    """Formgrader shows these notebooks as they are; they once held ``{{badge}}`` and the like."""
    assert run("--student", "ann", "bob") == 0
    nbgrader(small, "autograde", STEM, "--student", "cem", "--force")
    for student in ("ann", "bob", "cem"):
        text = (small / "autograded" / student / STEM / f"{STEM}.ipynb").read_text()
        assert not re.search(r"\{\{[a-z]+(:[^}]*)?\}\}", text), student
        assert "](../START.md)" in text  # the course is not published: its links are its own


def change_master(folder: Path) -> None:
    master = folder / "source" / STEM / f"{STEM}.ipynb"
    text = master.read_text()
    assert "## Try it" in text
    master.write_text(text.replace("## Try it", "## Try yours"))


def grant_time(folder: Path) -> None:
    with Gradebook(database(folder), "attention") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-01-01 00:00:00 UTC")
        gradebook.update_or_create_submission(STEM, "bob", timestamp="2026-01-02 00:00:00 UTC")


def forget(folder: Path) -> None:
    with Gradebook(database(folder), "attention") as gradebook:
        gradebook.remove_submission(STEM, "bob")


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda folder: (folder / "submitted" / "bob" / STEM / "more.txt").write_text("x"), {"bob"}),
        (lambda folder: shutil.rmtree(folder / "autograded" / "bob"), {"bob"}),
        (forget, {"bob"}),
        (grant_time, {"bob"}),
        (lambda folder: (folder / ".grading_seed").write_text("another seed\n"), set(SMALL_POINTS)),
        (change_master, set(SMALL_POINTS)),
    ],
    ids=["a file more", "folder gone", "not in the gradebook", "late now", "another seed", "another master"],
)
def test_whatever_a_grade_hangs_on_makes_it_graded_again(small, capsys, change: Callable[[Path], object], again):
    assert run("--verdict-only") == 0
    assert run("--verdict-only", "--dry-run") == 0
    assert re.search(rf"{STEM} +0 +4", capsys.readouterr().out)
    change(small)
    assert run("--verdict-only", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: len(again)}


def test_another_version_of_the_packages_grades_nobody_again_unasked_and_says_so(small, capsys, monkeypatch):
    """An upgrade in the middle of a term once had everybody graded again, without a word."""
    with monkeypatch.context() as before:
        before.setattr(GradingTerms, "__init__", partialmethod(GradingTerms.__init__, version="0.0.9"))
        before.setattr("attention_grading.classroom.task.__version__", "0.0.9")
        assert run("--verdict-only") == 0
    hand_in(small, "cem", STEM, "all-right")
    capsys.readouterr()
    assert run("--verdict-only", "--dry-run") == 0
    said = capsys.readouterr().out
    assert re.search(rf"{STEM} +1 +3", said)
    assert f"{STEM}: 3 submissions were graded by {versions('0.0.9')}; this is {versions(__version__)}." in said
    assert "Their grades stay; --force grades them again." in said
    assert run("--verdict-only", "--force", "--student", "ann", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: 1}
    assert run("--verdict-only", "--report", "report.json") == 0
    report = json.loads(Path("report.json").read_text())
    assert (report["graded"], report["unchanged"]) == ({STEM: 1}, {STEM: 3})
    assert [line for line in report["lines"] if line.startswith(f"{STEM}: 2 submissions were graded by")]


def test_changed_rule_for_lateness_is_a_change_for_those_who_are_late(small):
    with Gradebook(database(small), "attention") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-01-01 00:00:00 UTC")
    for student, day in (("ann", "01"), ("bob", "02")):
        (small / "submitted" / student / STEM / "timestamp.txt").write_text(f"2026-01-{day} 00:00:00 UTC")
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS | {"bob": 0}
    config = small / "nbgrader_config.py"
    config.write_text(config.read_text().replace(LATE, 'c.LateSubmissionPlugin.penalty_method = "none"\n'))
    assert run("--verdict-only", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: 1}
    assert points(small) == SMALL_POINTS
    for penalty in (1, 2):  # a class of the same name, in nbgrader_config.py as docs/grading_a_class.md has it
        with config.open("a") as file:
            file.write("from nbgrader.plugins import LateSubmissionPlugin\nclass Rule(LateSubmissionPlugin):\n")
            file.write(f"    def late_submission_penalty(self, student_id, score, late):\n        return {penalty}\n")
            file.write("c.AssignLatePenalties.plugin_class = Rule\n")
        assert run("--verdict-only", "--report", "report.json") == 0
        assert json.loads(Path("report.json").read_text())["graded"] == {STEM: 1}
        assert points(small) == SMALL_POINTS | {"bob": 4 - penalty}
    assert run("--verdict-only", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {}


def test_verdict_only_gives_the_same_scores_and_no_pictures(small):
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS
    for student in SMALL_POINTS:
        assert "image/png" not in (small / "autograded" / student / STEM / f"{STEM}.ipynb").read_text()


def test_manual_grades_survive_as_nbgrader_keeps_them(small):
    assert run() == 0
    with Gradebook(database(small), "attention") as gradebook:
        mark = gradebook.find_grade("test-masking", STEM, STEM, "bob")
        mark.manual_score, mark.extra_credit, mark.needs_manual_grade = 1.5, 0.5, False
        gradebook.find_comment("solution", STEM, STEM, "bob").manual_comment = "well tried"
        gradebook.db.commit()
    theirs = shutil.copytree(small, small.parent / "theirs")
    nbgrader(theirs, "autograde", STEM, "--student", "bob", "--force")
    assert run("--student", "bob", "--force") == 0
    assert rows(database(small)) == rows(database(theirs))
    assert points(small) == SMALL_POINTS | {"bob": 6}
    with Gradebook(database(small), "attention") as gradebook:
        assert gradebook.find_grade("test-masking", STEM, STEM, "bob").needs_manual_grade


def test_half_a_character_in_a_cell_costs_nobody_the_grade(small):
    path = small / "submitted" / "ann" / STEM / f"{STEM}.ipynb"
    text = path.read_text()
    path.write_text(text.replace("def eager_causal_attention(", "word = '\\ud800'\\ndef eager_causal_attention(", 1))
    assert path.read_text() != text
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS


def test_stamp_stays_out_of_feedback(small):
    assert run("--verdict-only") == 0
    folder = small / "autograded" / "ann" / STEM
    course = load_course(small)
    assert stamp_of(folder) is not None
    assert [Path(path).name for path in find_all_files(str(folder), course.coursedir.ignore)] == [f"{STEM}.ipynb"]


def test_dry_run_writes_nothing(small, capsys):
    (small / ".grading_seed").unlink()
    (small / "submitted" / "bob" / STEM / f"{STEM}.ipynb").rename(small / "submitted" / "bob" / STEM / "copy.ipynb")
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*") if "__pycache__" not in path.parts}
    assert run("--dry-run") == 0
    assert re.search(rf"{STEM} +4 +0", capsys.readouterr().out)
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*") if "__pycache__" not in path.parts} == before


def test_crash_between_gradebook_and_folder_has_it_graded_again(small, monkeypatch):
    assert run("--verdict-only") == 0
    hand_in(small, "bob", STEM, "all-right")
    old = graded_files(small)

    def crash(staged: Path, place: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gradebook_writer, "_put_into_place", crash)
        assert run("--verdict-only") == 130
    assert points(small) == SMALL_POINTS | {"bob": 10}
    assert graded_files(small) == old
    assert not list((small / "autograded").rglob(".*.new"))
    assert run("--verdict-only", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: 1}
    assert graded_files(small) != old


def test_gradebook_that_fails_leaves_the_submission_ungraded_and_the_others_graded(small, monkeypatch, capsys):
    penalise = gradebook_writer._write_grades

    def fail(submitted: object, columns: object, graded: object) -> list[str]:
        if submitted.assignment.student_id == "bob":
            penalise(submitted, columns, replace(graded, scores={"test-values": 2.0}))
            raise OSError("the disk is full")
        return penalise(submitted, columns, graded)

    with monkeypatch.context() as patch:
        patch.setattr(gradebook_writer, "_write_grades", fail)
        assert run("--verdict-only") == 1
    assert f"bob, {STEM}: could not be recorded: OSError: the disk is full" in capsys.readouterr().out
    assert points(small) == {student: score for student, score in SMALL_POINTS.items() if student != "bob"}
    assert graded_students(small) == {"ann", "cem", "dot"}
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS


def test_only_as_many_are_in_work_as_there_is_room(small, monkeypatch):
    class Lazy(InlineCrew):
        now = most = 0

        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            Lazy.now += 1
            Lazy.most = max(Lazy.most, Lazy.now)
            future = super().submit(tasks, terms)
            done = future.exception

            def taken(timeout: float | None = None) -> BaseException | None:
                Lazy.now -= 1
                return done(timeout)

            future.exception = taken
            return future

    for number in range(6):
        hand_in(small, f"more-{number}", STEM, "blank")
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Lazy)
    assert run("--verdict-only") == 0
    assert len(points(small)) == 10
    assert Lazy.most == 3  # two in work, one that is being recorded


@pytest.mark.parametrize("error", [WorkerFailed("no confinement here"), BrokenProcessPool("all are gone")])
def test_what_would_fail_for_everybody_ends_the_run(small, monkeypatch, capsys, error):
    class Failing(InlineCrew):
        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            future: Future[Graded] = Future()
            future.set_exception(error)
            return future

    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Failing)
    assert run() == 1
    out = capsys.readouterr().out
    assert f"Stopped: {error}" in out
    assert "run the same command again" in out
    assert points(small) == {}


def test_process_that_dies_twice_costs_its_submission_alone(small, monkeypatch, capsys):
    class Deadly(local_pool.LocalPool):
        tries = 0

        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            if "the scale is missing" in tasks[0].text or "the triangle is lost" in tasks[0].text:
                Deadly.tries += 1
                return self._pool.schedule(os._exit, (9,))
            return super().submit(tasks, terms)

    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Deadly)
    assert run("--verdict-only", "--workers", "1") == 1
    out = capsys.readouterr().out
    assert Deadly.tries == 4
    for student in ("bob", "dot"):
        assert f"{student}, {STEM}: could not be graded: its process died (twice, the second time alone)" in out
    assert points(small) == {"ann": 10, "cem": 0}
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS


class Interrupting(InlineCrew):
    """A crew in which somebody else ends the process of two submissions, a given number of times each."""

    times = 1
    order: ClassVar[list[str]] = []

    def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
        self.order.append(tasks[0].text)
        if "the triangle is lost" in tasks[0].text and self.order.count(tasks[0].text) <= self.times:
            future: Future[Graded] = Future()
            future.set_exception(Interrupted("its process was killed from outside"))
            return future
        return super().submit(tasks, terms)


def test_submission_that_others_ended_is_graded_again_when_the_rest_is_done(small, monkeypatch, capsys):
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Interrupting)
    monkeypatch.setattr(Interrupting, "order", [])
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS
    assert "the triangle is lost" in Interrupting.order[-1]
    assert len(Interrupting.order) == len(SMALL_POINTS) + 1


def test_submission_that_others_ended_twice_stays_ungraded(small, monkeypatch, capsys):
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Interrupting)
    monkeypatch.setattr(Interrupting, "order", [])
    monkeypatch.setattr(Interrupting, "times", 3)  # two first tries, one second
    assert run("--verdict-only") == 1
    out = capsys.readouterr().out
    assert "bob" not in points(small)
    assert f"bob, {STEM}: could not be graded: its process was killed from outside (twice, the second" in out


@pytest.mark.parametrize("student", ["=1+1", "a[red]b", "@sum"])
def test_id_that_a_spreadsheet_or_a_terminal_would_run_is_not_graded(small, capsys, student):
    hand_in(small, student, STEM, "all-right")
    assert run("--verdict-only") == 1
    assert f"{student}, {STEM}: could not be graded: the student's id" in capsys.readouterr().out
    assert points(small) == SMALL_POINTS
