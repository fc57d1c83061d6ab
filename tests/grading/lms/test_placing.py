"""What is written where: once, beside what is there, and nothing through links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from nbgrader.utils import parse_utc

from attention_grading.lms.candidates import Times
from support.places import ROOT
from support.platforms.downloads import GOOD, OTHER, PACKED, PLAIN, STEM, notebook, placed, stamp, where, zipped

STUDENT_FOLDER = 1  # whose a file is, is not the question here


def test_second_run_finds_everything_there(take, tmp_path):
    take({GOOD: notebook()})
    again = take({GOOD: notebook()})[GOOD]
    assert (again.status, again.details) == ("already there", ())


def test_other_file_is_left_alone_unless_replaced_and_then_kept(take, tmp_path):
    take({GOOD: notebook(mark="old")}, times=Times(UTC))
    lines = take({GOOD: notebook(mark="new")}, times=Times(timezone(timedelta(hours=1))))
    assert lines[GOOD].status == "rejected"
    assert placed(tmp_path) == {where("student-a"): notebook(mark="old")}
    for mark in ("new", "newest"):
        lines = take({GOOD: notebook(mark=mark)}, replace_others=True, times=Times(timezone(timedelta(hours=1))))
        assert lines[GOOD].status == "taken"
        assert ("its time is before that of the old one" in lines[GOOD].details) == (mark == "new")
    assert f"the old one is kept as {STEM}.ipynb.2" in lines[GOOD].details
    path = where("student-a")
    assert placed(tmp_path) == {
        path: notebook(mark="newest"),
        f"{path}.1": notebook(mark="old"),
        f"{path}.2": notebook(mark="new"),
    }
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 11, 30)
    kept = tmp_path / "submitted" / "student-a" / STEM / "timestamp.txt.1"
    assert parse_utc(kept.read_text().strip()) == datetime(*PACKED)


def test_same_notebook_with_another_time_keeps_the_first_unless_replaced(take, tmp_path):
    take({GOOD: notebook()}, times=Times(UTC))
    later = Times(timezone(timedelta(hours=-1)))
    assert "left alone" in take({GOOD: notebook()}, times=later)[GOOD].details[0]
    assert stamp(tmp_path, "student-a") == datetime(*PACKED)
    take({GOOD: notebook()}, times=later, replace_others=True)
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 13, 30)


def test_replaced_file_does_not_keep_the_old_ones_time(take, tmp_path):
    name = f"a_101_9001_{STEM}.ipynb"
    take({name: notebook(mark="1")}, times=Times(UTC, trust_files=True), level=None)
    take({name: notebook(mark="2")}, replace_others=True, level=None)
    assert stamp(tmp_path, "101") is None


@pytest.mark.parametrize(
    "place", ["student-a", f"student-a/{STEM}", where("student-a"), f"student-a/{STEM}/timestamp.txt"]
)
def test_nothing_is_written_through_links(take, tmp_path, place):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "submitted" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere / "file" if link.suffix else elsewhere)
    lines = take({GOOD: notebook()}, replace_others=True)
    assert "is a link" in lines[GOOD].details[0]
    assert list(elsewhere.iterdir()) == []


def test_file_in_the_way_is_reported(take, tmp_path):
    (tmp_path / "submitted").mkdir()
    (tmp_path / "submitted" / "student-a").write_text("in the way")
    lines = take({GOOD: notebook(), f"student-b/{STEM}.ipynb": notebook()})
    assert "cannot be written" in lines[GOOD].details[0]
    assert lines[f"student-b/{STEM}.ipynb"].status == "taken"


def test_dry_run_says_the_same_and_writes_nothing(take, tmp_path):
    said = take(PLAIN, dry_run=True)
    assert not (tmp_path / "submitted").exists()
    assert take(PLAIN) == said


def test_only_the_assignment_that_is_asked_for_is_taken(take, tmp_path):
    whole = zipped({f"release/{stem}/{stem}.ipynb": notebook(stem) for stem in (STEM, OTHER)})
    lines = take({"onestudent_101_9001_release.zip": whole}, only=[STEM], level=None)
    assert set(placed(tmp_path)) == {where("101")}
    (other,) = (line for line in lines.values() if line.assignment == OTHER)
    assert (other.status, other.details) == ("ignored", ("is another assignment's: see --only",))


def test_lessons_in_a_folder_that_was_handed_in_as_a_whole_are_no_assignments(take, tmp_path):
    lessons = {path.name: path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb")}
    whole = zipped(
        {f"release/{STEM}/{STEM}.ipynb": notebook(STEM), "release/START.md": "# Start"}
        | {f"release/lessons/{name}": text for name, text in lessons.items()}
    )
    lines = take({"onestudent_101_9001_release.zip": whole}, level=None)
    assert set(placed(tmp_path)) == {where("101")}
    assert {line.assignment for line in lines.values() if line.status == "taken"} == {STEM}
    for name in lessons:
        (line,) = (line for key, line in lines.items() if name in key)
        assert line.status == "ignored", line
