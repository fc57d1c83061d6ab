"""What Canvas marks late or not becomes a time by the gradebook's due date, and nobody is shown that time."""

from __future__ import annotations

import os
import sysconfig
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from attention_grading.cli import main
from attention_grading.lms.candidates import Times
from support.platforms.downloads import OTHER, STEM, notebook, stamp, zipped

CANVAS = {
    f"a_101_9001_{STEM}.ipynb": notebook(),
    f"b_LATE_102_9002_{STEM}.ipynb": notebook(),
    f"a_101_9003_{OTHER}.ipynb": notebook(OTHER),
}
DUE = datetime(2026, 10, 1, 21, 59)  # in UTC


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course root whose gradebook knows one due date, on a machine that is in UTC."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv(
        "PATH", sysconfig.get_path("scripts"), prepend=os.pathsep
    )  # nbgrader makes gradebooks by alembic
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\nc.NbGraderAPI.timezone = 'Europe/Berlin'\n")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-10-01 23:59 Europe/Berlin")
    (tmp_path / "canvas.zip").write_bytes(zipped(CANVAS, (2026, 10, 3, 9, 0, 0)))
    return tmp_path


@pytest.mark.nbgrader
@pytest.mark.parametrize(
    "due",
    [
        [],
        ["--due", "2026-10-01 23:59"],
        ["--due", "2026-10-01 23:59 Europe/Berlin"],
        ["--due", "2026-10-01 23:59+02:00"],
        ["--due", "2026-10-01 21:59", "--timezone", "UTC"],
    ],
    ids=["the gradebook's", "in the course's zone", "zone by name", "zone by hours", "another zone by option"],
)
def test_due_date_is_the_gradebooks_in_whatever_zone_it_is_given(root, due, capsys):
    assert main(["intake", "canvas.zip", *due]) == 0
    assert stamp(root, "101") == DUE
    assert stamp(root, "102") == datetime(2026, 10, 1, 22, 0)
    said = capsys.readouterr().out
    shown = "21:59 UTC" if "UTC" in due else "23:59 CEST"
    assert f"{STEM} is due 2026-10-01 {shown}" in said
    assert "differs" not in said


@pytest.mark.nbgrader
def test_a_due_date_that_differs_from_the_gradebooks_is_told(root, capsys):
    assert main(["intake", "canvas.zip", "--due", "2026-10-01 23:59 UTC"]) == 0
    said = capsys.readouterr().out
    assert f"--due differs from the gradebook's due date of {STEM}" in said
    assert "2026-10-01 23:59 CEST" in said
    assert "2026-10-02 01:59 CEST" in said
    assert said.count("differs") == 1  # the gradebook has no due date of the other


@pytest.mark.nbgrader
def test_without_a_due_date_it_is_said_how_to_give_one(root, capsys):
    assert main(["intake", "canvas.zip"]) == 0
    assert stamp(root, "101", OTHER) is None
    assert "nbgrader db assignment add" in capsys.readouterr().out


@pytest.mark.nbgrader
def test_a_zone_that_is_none_is_told(root, capsys):
    (root / "nbgrader_config.py").write_text("c = get_config()\nc.NbGraderAPI.timezone = 'Europe/Nowhere'\n")
    assert main(["intake", "canvas.zip"]) == 2
    assert "c.NbGraderAPI.timezone" in capsys.readouterr().err


def test_what_canvas_says_lies_beside_the_time_that_was_made_of_it(take, tmp_path):
    times = Times(UTC, datetime(2026, 10, 1, 12, tzinfo=UTC))
    lines = take(CANVAS, times=times)
    assert lines[f"b_LATE_102_9002_{STEM}.ipynb"].time_from == "late, says Canvas"
    said = {path.parent.parent.name: path.read_text() for path in tmp_path.glob(f"submitted/*/{STEM}/*_from.txt")}
    assert said == {"101": "on time, says Canvas\n", "102": "late, says Canvas\n"}
    take(CANVAS, times=Times(UTC, trust_files=True), replace_others=True)  # a real time
    assert not list(tmp_path.glob("submitted/*/*/timestamp_from.txt"))
