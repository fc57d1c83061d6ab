"""A score that an instructor gave by hand: it stays, is said wherever points are read, and lateness follows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from attention_grading.authoring.course_root import nbgrader
from attention_grading.cli import main
from support.classes import LATE, SMALL_POINTS, STEM, database, hand_in, points, run

pytestmark = pytest.mark.nbgrader

KEPT = "hand score of 1.5 in masking kept from an earlier grading"


def score_by_hand(folder: Path, score: float | None) -> None:
    """What Formgrader does when an instructor writes a score into the box beside bob's check, or empties the box."""
    with Gradebook(database(folder), "attention") as gradebook:
        grade = gradebook.find_grade("test-masking", STEM, STEM, "bob")
        grade.manual_score, grade.needs_manual_grade = score, False
        gradebook.db.commit()


def call_bob_by_name(folder: Path) -> None:
    with Gradebook(database(folder), "attention") as gradebook:
        gradebook.update_or_create_student("bob", first_name="Bob", last_name="Baker")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_hand_score_that_outlives_a_submission_is_said_with_student_and_check(small, capsys, monkeypatch):
    assert run("--verdict-only") == 0
    call_bob_by_name(small)
    score_by_hand(small, 1.5)
    hand_in(small, "bob", STEM, "blank")
    capsys.readouterr()
    assert run("--verdict-only") == 0
    assert points(small)["bob"] == 1.5
    assert f"Bob Baker (bob), {STEM}: {KEPT}; the judge gives 0" in said(capsys)

    page = (small / "moodle.csv").write_text("Identifier,Full name,ID number,Grade\nParticipant 4711,Bob Baker,bob,\n")
    assert page
    assert main(["return", STEM, "--lms", "moodle", "--gradebook", "moodle.csv"]) == 1
    returned = said(capsys)
    assert f"Bob Baker (bob): {KEPT}" in returned
    assert "still to be graded by hand" not in returned
    assert KEPT in (small / "feedback" / "bob" / STEM / f"{STEM}.html").read_text()

    assert main(["report"]) == 0
    report = (small / "report.html").read_text()
    assert KEPT in report
    assert "Bob Baker (bob)" in report
    assert "still to be graded by hand" not in report

    score_by_hand(small, 1.5)  # the instructor has looked at it again
    capsys.readouterr()
    main(["return", STEM, "--lms", "moodle", "--gradebook", "moodle.csv"])
    assert KEPT not in said(capsys)


def test_late_penalty_follows_a_hand_score(small, capsys):
    config = small / "nbgrader_config.py"
    half = (
        "from nbgrader.plugins import LateSubmissionPlugin\nclass Half(LateSubmissionPlugin):\n"
        "    def late_submission_penalty(self, student_id, score, late):\n        return score / 2\n"
        "c.AssignLatePenalties.plugin_class = Half\n"
    )
    config.write_text(config.read_text().replace(LATE, half))
    with Gradebook(database(small), "attention") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-01-01 00:00:00 UTC")
    (small / "submitted" / "bob" / STEM / "timestamp.txt").write_text("2026-01-02 00:00:00 UTC")
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS | {"bob": 2}
    assert "handed in 1 day, 0:00:00 late, 2 points taken off" in said(capsys)
    score_by_hand(small, 2)
    assert run("--verdict-only", "--dry-run") == 0
    assert points(small)["bob"] == 4  # 6 less 2: not worked out again, since nothing is written
    capsys.readouterr()
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS | {"bob": 3}
    out = said(capsys)
    assert (
        f"bob, {STEM}: handed in 1 day, 0:00:00 late, 3 points taken off (2 before its score was changed by hand)"
        in out
    )
    with Gradebook(database(small), "attention") as gradebook:
        assert not gradebook.find_grade("test-masking", STEM, STEM, "bob").needs_manual_grade
    assert run("--verdict-only") == 0
    assert "taken off" not in said(capsys)


def test_what_canvas_says_is_said_instead_of_a_time_that_nobody_measured(small, capsys):
    with Gradebook(database(small), "attention") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-01-01 00:00:00 UTC")
    with (small / "nbgrader_config.py").open("a") as config:
        config.write("c.NbGraderAPI.timezone = 'Europe/Berlin'\n")
    times = {"ann": "2025-12-31 22:30:00 UTC", "bob": "2026-01-01 00:01:00 UTC", "cem": "2026-01-01 00:00:00 UTC"}
    for student, time in times.items():
        (small / "submitted" / student / STEM / "timestamp.txt").write_text(time)
    for student, words in (("bob", "late, says Canvas\n"), ("cem", "on time, says Canvas\n")):
        (small / "submitted" / student / STEM / "timestamp_from.txt").write_text(words)
    assert run("--verdict-only") == 0
    out = said(capsys)
    assert f"bob, {STEM}: late, says Canvas, 4 points taken off" in out
    assert "0:01:00" not in out
    nbgrader(small, "generate_feedback", STEM)
    pages = {student: (small / "feedback" / student / STEM / f"{STEM}.html").read_text() for student in times}
    about = {student: re.search(r'class="about">(.*?)</p>', page, re.DOTALL)[1] for student, page in pages.items()}
    assert "handed in 2025-12-31 23:30 CET" in about["ann"]
    assert "late, says Canvas" in about["bob"]
    assert "on time, says Canvas" in about["cem"]
    assert "2026" not in about["bob"] + about["cem"]
