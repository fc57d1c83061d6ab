"""``attention-grading grade`` gives nbgrader's own results."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from attention_grading.authoring.course_root import nbgrader
from support.classes import LATE, OTHER, STEM, database, grade, graded_files, hand_in, make_course, rows, scores

pytestmark = pytest.mark.nbgrader


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same class graded by ``attention-grading grade`` and by ``nbgrader autograde``; tests only read it."""
    ours = make_course(tmp_path_factory.mktemp("both") / "ours", [STEM, OTHER], LATE)
    with Gradebook(database(ours), "attention") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-01-01 00:00:00 UTC")
    for kind in ("all-right", "one-mistake", "blank", "syntax-error", "broken-file", "forges-marks", "pries"):
        hand_in(ours, kind, STEM, kind)
    hand_in(ours, "one-mistake", OTHER, "one-mistake")
    hand_in(ours, "renamed", STEM, "one-mistake", name=f"Copy of {STEM} (1).ipynb")
    for student, day in (("late", "2026-01-02"), ("in-time", "2025-12-30")):
        folder = hand_in(ours, student, STEM, "one-mistake").parent
        (folder / "timestamp.txt").write_text(f"{day} 00:00:00 UTC")
        (folder / "notes").mkdir()
        (folder / "notes" / "mine.txt").write_text("notes")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "table.csv").write_text("the student's")
    (ours / "source" / STEM / "table.csv").write_text("the instructor's")
    theirs = shutil.copytree(ours, ours.parent / "theirs", symlinks=True)
    for stem in (STEM, OTHER):
        nbgrader(theirs, "autograde", stem)
    out = grade(ours, "--workers", "2", "--report", "report.json")
    (ours / "grade.out").write_text(out)
    return ours, theirs


@pytest.mark.parametrize("part", ["students", "submissions", "notebooks", "grades", "comments", "courses", "lengths"])
def test_gradebook_holds_what_nbgrader_would_have_written(both, part):
    ours, theirs = (rows(database(folder))[part] for folder in both)
    assert ours == theirs
    assert ours


def test_graded_folders_hold_what_nbgrader_would_have_written(both):
    ours, theirs = map(graded_files, both)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 11 + 2 * 2 + 10  # notebooks, two students' own files, the instructor's table
    for name in ours:
        assert ours[name][1] == theirs[name][1], name
        # how a hostile import is refused hangs on whether the folder was touched meanwhile
        texts = [re.sub(rb"(ModuleNotFound|Permission)Error", b"refused", files[name][0]) for files in (ours, theirs)]
        assert texts[0] == texts[1], name


def test_class_earns_what_it_should(both):
    got = scores(database(both[0]))
    points = {student: score for (student, stem), (score, _) in got.items() if stem == STEM}
    assert points == {
        "all-right": 10,
        "pries": 10,
        "one-mistake": 4,
        "renamed": 4,
        "in-time": 4,
        "late": 0,
        "forges-marks": points["forges-marks"],
        "blank": 0,
        "syntax-error": 0,
        "broken-file": 0,
    }
    assert points["forges-marks"] < 10
    assert {best for _, best in got.values()} == {10}


def test_problems_are_said_one_line_each(both):
    lines = (both[0] / "grade.out").read_text().splitlines()
    for start in (
        f"broken-file, {STEM}: cannot be judged: the notebook is broken",
        f"renamed, {STEM}: Copy of {STEM} (1).ipynb is graded as {STEM}.ipynb",
        f"late, {STEM}: handed in 1 day, 0:00:00 late, 4 points taken off",
        f"in-time, {STEM}: link is a link to /etc/passwd; it was set aside",
        f"syntax-error, {STEM}: cell solution does not parse",
    ):
        assert len([line for line in lines if line.startswith(start)]) == 1, start
    table = next(line.split() for line in lines if line.startswith(f" {STEM}") or line.startswith(STEM))
    assert table[:5] == [STEM, "10", "0", "6", "0"]


def test_report_has_the_run_in_figures(both):
    report = json.loads((both[0] / "report.json").read_text())
    assert report["graded"] == {STEM: 10, OTHER: 1}
    assert len(report["marks"][STEM]) == 10
    assert 0 < report["seconds_serial"] < report["seconds"]
    assert report["signal"] == 0


def test_pictures_are_kept(both):
    notebook = nbformat.read(both[0] / "autograded" / "all-right" / STEM / f"{STEM}.ipynb", as_version=4)
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) >= 2
