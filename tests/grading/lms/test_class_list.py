"""The roster's names in the gradebook."""

from __future__ import annotations

import pytest
from nbgrader.api import Gradebook

from attention_grading.cli import main
from support.platforms.downloads import STEM, notebook, zipped

pytestmark = pytest.mark.nbgrader


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "canvas.zip").write_bytes(zipped({f"a_101_9001_{STEM}.ipynb": notebook()}))
    (tmp_path / "roster.csv").write_text("id,name\n101,Ada Able\n")
    (tmp_path / "nbgrader_config.py").write_text("")
    return tmp_path


def test_a_new_gradebook_is_made_where_no_environment_is_activated(root, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["intake", "canvas.zip", "--roster", "roster.csv"]) == 0
    assert (root / "gradebook.db").exists()


def test_canvas_test_student_is_nobody(root):
    (root / "roster.csv").write_text('Student,ID\n"Able, Ada",101\n"Student, Test",199\n')
    assert main(["intake", "canvas.zip", "--roster", "roster.csv"]) == 0
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        assert [(student.id, student.last_name) for student in gradebook.students] == [("101", "Able")]


def test_a_gradebook_that_takes_no_names_is_told_and_the_notebooks_are_taken(root, capsys):
    (root / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.db_url = 'sqlite:////nowhere/at/all.db'\n"
    )
    assert main(["intake", "canvas.zip", "--roster", "roster.csv"]) == 1
    assert "names are not in the gradebook" in capsys.readouterr().err
    assert (root / "submitted" / "101" / STEM / f"{STEM}.ipynb").exists()


def test_without_the_configuration_nobody_knows_who_was_late_and_nothing_is_taken(root, capsys):
    (root / "nbgrader_config.py").write_text("1 / 0\n")
    assert main(["intake", "canvas.zip", "--roster", "roster.csv"]) == 2
    assert "nothing was taken. nbgrader_config.py cannot be read: ZeroDivisionError" in capsys.readouterr().err
    assert not (root / "submitted" / "101").exists()


def test_a_record_that_cannot_be_read_is_told(root, capsys):
    (root / "left_aside.csv").write_bytes(b"PK\x03\x04")
    assert main(["intake", "canvas.zip"]) == 1
    assert "what was left aside cannot be recorded" in capsys.readouterr().err
