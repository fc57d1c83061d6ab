"""``attention-grading intake``: exit codes, table and report; and nbgrader grades what it took in."""

from __future__ import annotations

import csv
from datetime import datetime

import nbformat
import pytest
from nbgrader.api import Gradebook

from attention_grading.authoring.course_root import nbgrader, prepare
from attention_grading.cli import main
from attention_grading.lms.intake_table import COLUMNS, Line, write_csv
from attention_grading.lms.owners.rule import ASKED
from support.places import ROOT
from support.platforms.downloads import PLAIN, STEM, notebook, with_entry, zipped

# ---- the command and its report --------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "nbgrader_config.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command_exits_with_0_1_or_2(root, capsys):
    (root / "good.zip").write_bytes(zipped(PLAIN))
    assert main(["intake", "good.zip", "--student-folder", "1"]) == 0
    assert "1 taken, 2 repaired, 1 earlier attempt, 1 ignored" in capsys.readouterr().out
    (root / "bad.zip").write_bytes(with_entry("/x.ipynb"))
    assert main(["intake", "bad.zip", "--replace", "--student-folder", "1"]) == 1
    for wrong in (["good.zip", "--student-folder", "-1"], ["good.zip", "--lms", "none at all"], []):
        with pytest.raises(SystemExit) as stopped:
            main(["intake", *wrong])
        assert stopped.value.code == 2
        assert "usage:" in capsys.readouterr().err
    problems = (
        ["missing.zip"],
        ["good.zip", "--timezone", "Nowhere/At all"],
        ["good.zip", "--due", "some day"],
        ["good.zip", "--roster", "missing.csv"],
        ["good.zip", "--into", "good.zip"],
        ["good.zip", "--report", "missing/report.csv"],
        ["good.zip", "--pattern", "*.ipynb"],
        ["good.zip", "--owners", "missing.csv"],
        ["good.zip", "--groups"],
    )
    for wrong in problems:
        assert main(["intake", *wrong]) == 2
        said = capsys.readouterr().err
        assert said.startswith("attention-grading: nothing was taken. ")
        assert "usage:" not in said
    (root / "nbgrader_config.py").unlink()
    assert main(["intake", "good.zip"]) == 2


def test_terminal_shows_what_was_done_and_no_control_characters(root, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    name = "student-\x1b[31mred\u202e[bold]"
    (root / "downloads" / name).mkdir(parents=True)
    (root / "downloads" / name / "mine.ipynb").write_bytes(notebook())
    assert main(["intake", "downloads", "--dry-run"]) == 1
    out = capsys.readouterr().out
    assert "nothing was written" in out
    assert "[bold]/mine.ipynb" in out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert not (root / "submitted").exists()


def test_at_80_columns_what_needs_attention_comes_last_and_no_word_is_broken(root, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    entries = {f"student{number}_{number}_9001_{STEM}.ipynb": notebook() for number in range(101, 141)}
    other = f"submissions/a_folder_with_a_long_name/and_another_one_in_it/with_a_long_name_{STEM}_(1)_final.ipynb"
    (root / "canvas.zip").write_bytes(zipped({**entries, "one_150_9002_essay.pdf": b"%PDF", other: notebook()}))
    assert main(["intake", "canvas.zip", "--due", "2026-10-01"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "40 taken, 2 rejected"
    assert len(lines) < 20  # nothing of those who need no attention
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    assert "150: canvas.zip/one_150_9002_essay.pdf" in words
    assert ASKED in words
    assert all(piece in words for piece in other.split("/"))
    assert lines[-1].strip().endswith("final.ipynb")


def test_hints_are_said_once(root, capsys):
    entries = {f"a_{number}_9001_{STEM}.ipynb": notebook() for number in (101, 102, 103)}
    (root / "canvas.zip").write_bytes(zipped({**entries, f"b_LATE_104_9004_{STEM}.ipynb": notebook()}))
    assert main(["intake", "canvas.zip"]) == 0
    out = capsys.readouterr().out
    assert out.count("hint") == 2
    assert "Or say --due" in " ".join(out.split())
    assert main(["intake", "canvas.zip", "--due", "2026-10-01"]) == 0
    assert "hint" not in capsys.readouterr().out


def test_report_is_harmless_in_a_spreadsheet_and_an_old_one_is_kept(root):
    for name in ("=cmd()", "+1", "-1", "@sum", "\t=1"):
        (root / "downloads" / name).mkdir(parents=True)
        (root / "downloads" / name / "x.pdf").write_bytes(b"")
    (root / "report.csv").write_text("old")
    main(["intake", str(root / "downloads"), "--report", "report.csv"])
    with (root / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 5
    assert (root / "report.csv.1").read_text() == "old"
    write_csv(root / "direct.csv", [Line("ignored", file=name) for name in ("=1", "+1", "-1", "@1", " =1", "a=1", "")])
    with (root / "direct.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["'=1", "'+1", "'-1", "'@1", "' =1", "a=1", ""]


# ---- with nbgrader ---------------------------------------------------------------------------------------------------


@pytest.mark.nbgrader
def test_late_submission_is_taken_in_graded_and_penalised(tmp_path, monkeypatch):
    folder = tmp_path / "course"
    prepare(ROOT, folder)
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write('\nc.LateSubmissionPlugin.penalty_method = "zero"\nc.JudgingRules.allow_unconfined = True\n')
    nbgrader(folder, "generate_assignment", STEM)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate=datetime(2026, 10, 1, 12))
    master = nbformat.read(folder / "source" / STEM / f"{STEM}.ipynb", as_version=4)
    solved = nbformat.read(folder / "release" / STEM / f"{STEM}.ipynb", as_version=4)
    answer = next(cell.source for cell in master.cells if cell.id == "solution")
    next(cell for cell in solved.cells if cell.id == "solution").source = answer
    data = nbformat.writes(solved).encode()
    entries = {f"one_101_9001_Copy of {STEM}.ipynb": data, f"two_LATE_102_9002_{STEM}.ipynb": b"\xef\xbb\xbf" + data}
    (folder / "canvas.zip").write_bytes(zipped(entries))
    monkeypatch.chdir(folder)
    assert main(["intake", "canvas.zip", "--due", "2026-10-01 14:00", "--timezone", "Europe/Berlin"]) == 0
    nbgrader(folder, "autograde", STEM)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        one, two = (gradebook.find_submission(STEM, student) for student in ("101", "102"))
        assert (one.score, one.total_seconds_late, one.late_submission_penalty) == (10, 0, 0)
        assert (two.score, two.total_seconds_late, two.late_submission_penalty) == (10, 60, 10)


def test_a_name_that_the_roster_knows_stands_before_the_id(root, capsys):
    (root / "roster.csv").write_text("id,name\n101,Ada Able\n")
    (root / "canvas.zip").write_bytes(zipped({"able_101_9001_essay.pdf": b"%PDF", "x_102_9002_essay.pdf": b"%PDF"}))
    assert main(["intake", "canvas.zip", "--roster", "roster.csv", "--into", "elsewhere"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Ada Able (101): canvas.zip/able_101_9001_essay.pdf" in said
    assert " 102: canvas.zip/x_102_9002_essay.pdf" in said
