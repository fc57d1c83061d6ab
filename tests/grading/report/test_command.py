"""``attention-grading report`` on the demo's class: right figures, nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from attention_grading.authoring.demo_class import STUDENTS
from attention_grading.cli import main
from attention_grading.nbgrader_plugin.configuration import open_course
from attention_grading.report.command import make_report
from attention_grading.report.figures import Problem
from support.places import STEMS

pytestmark = pytest.mark.nbgrader


@pytest.fixture
def in_course(course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's course root, as the working directory."""
    monkeypatch.chdir(course)
    return course


def test_figures_are_those_of_the_gradebook_and_the_notebooks(in_course):
    report = make_report(open_course(in_course), [])
    assert [one.name for one in report.assignments] == STEMS
    assert report.students == len({path.name for path in (in_course / "autograded").iterdir() if path.is_dir()})
    for one in report.assignments:
        handed_in = list((in_course / "submitted").glob(f"*/{one.name}"))
        assert one.graded == len(handed_in) == sum(one.histogram)
        assert one.graded + len(one.missing) == report.students
        assert (one.blank, one.late) == (1, 0)
        assert one.histogram[10] == one.full >= 1
        with Gradebook(f"sqlite:///{in_course / 'gradebook.db'}") as gradebook:
            assert one.mean == pytest.approx(gradebook.average_assignment_score(one.name))
        assert set(one.passed) == {"contract", "invariants", "values", "masking", "robustness", "kernel"}
        assert all(total == one.graded for _, total in one.passed.values())
        assert one.passed["kernel"][0] >= one.full


def test_demos_mistakes_are_counted_by_student_and_assignment(in_course):
    found = {one.name: one for one in make_report(open_course(in_course), []).mistakes}
    for name, stem in (("missing-scale", STEMS[0]), ("causal-dropped-with-mask", STEMS[1]), ("mask-ignored", STEMS[3])):
        assert found[name].students == {"one-mistake"}
        assert found[name].who == {stem: ("one-mistake",)}


def test_what_to_look_at_names_broken_submissions_and_skipped_cells(in_course):
    problems = {(one.student, one.assignment): one.words for one in make_report(open_course(in_course), []).problems}
    assert problems["broken-file", STEMS[0]].startswith("could not be judged: the notebook is broken")
    assert "does not parse" in problems["syntax-error", STEMS[0]]
    assert not any(student in ("all-right", "one-mistake", "blank") for student, _ in problems)


def test_submission_that_was_not_graded_is_told(in_course, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(in_course, tmp_path / "course"))
    new = copy / "submitted" / "late-comer" / STEMS[0]
    new.mkdir(parents=True)
    (new / f"{STEMS[0]}.ipynb").write_text("{}")
    monkeypatch.chdir(copy)
    report = make_report(open_course(copy), [STEMS[0]])
    assert Problem("late-comer", STEMS[0], "was handed in and has not been graded") in report.problems


def test_command_writes_a_page_that_needs_nothing_else_and_keeps_the_older_one(in_course, tmp_path, capsys):
    for _ in range(2):
        assert main(["report", "--output", str(tmp_path / "report.html")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.html.1"]
    text = (tmp_path / "report.html").read_text()
    assert "kept as report.html.1" in capsys.readouterr().out
    assert not re.search(r"https?:|<script|<link|<img|src=|url\(|@import", text)
    for one in ("What to teach again", "Histogram of the scores in 01_eager_bidirectional", "missing-scale"):
        assert one in text


def test_one_assignment_and_nobodys_name(in_course, tmp_path):
    assert main(["report", STEMS[1], "--anonymous", "--output", str(tmp_path / "report.html")]) == 0
    text = (tmp_path / "report.html").read_text()
    assert STEMS[1] in text
    assert STEMS[0] not in text
    assert "could not be judged" in text
    for student in set(STUDENTS) - {"blank"}:
        assert student not in text, student


def test_outside_a_course_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 2
    assert "there is no nbgrader_config.py" in capsys.readouterr().err
    assert main(["report", "--output", "nowhere/report.html"]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_ids_that_a_terminal_or_a_sheet_would_obey_are_told(course, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(course, tmp_path / "course [2026]"))
    monkeypatch.chdir(folder)
    odd = ("=1+1", "a\x1b[31mb", "[b]ob")
    for student in odd:
        (folder / "submitted" / student / STEMS[0]).mkdir(parents=True)
    problems = make_report(open_course(folder), STEMS[:1]).problems
    for student, words in (("=1+1", "formula"), ("ab", "U+001B"), ("[b]ob", "'['")):
        said = " ".join(one.words for one in problems if one.student == student)
        assert "has not been graded" in said
        assert words in said
