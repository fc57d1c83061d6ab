"""Releases are generated, pinned to the course's address, and never overwrite work."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from attention_grading.authoring.release import main, pin_addresses
from support.places import ROOT, STEMS


def test_forks_address_goes_into_the_readme(tmp_path):
    (tmp_path / "course.toml").write_text('[course]\nname = "x"\nrepository = "fork/attention"\ntag = "v9"\n')
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    assert pin_addresses(tmp_path) == [tmp_path / "README.md"]
    text = (tmp_path / "README.md").read_text()
    assert text.count("https://colab.research.google.com/github/fork/attention/blob/v9/release/0") == len(STEMS)
    assert text.count("https://colab") == len(STEMS)
    assert pin_addresses(tmp_path) == []


@pytest.mark.process
def test_release_refuses_to_overwrite_work(tmp_path):
    repository = tmp_path / "course"
    (repository / "release" / "a").mkdir(parents=True)
    notebook = repository / "release" / "a" / "a.ipynb"
    notebook.write_text("{}\n")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "release"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    notebook.write_text('{"work": "of hours"}\n')
    done = subprocess.run(
        [sys.executable, "-m", "attention_grading.authoring.release"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "release/a/a.ipynb" in done.stderr
    assert "FORCE=1" in done.stderr
    assert "of hours" in notebook.read_text()


@pytest.mark.nbgrader
def test_dropped_notebook_is_left_out_and_its_old_release_is_named(tmp_path, monkeypatch, capsys):
    """Deleting one from ``source/`` once ended in a traceback."""
    course = tmp_path / "course"
    for name in ("source", "release"):
        for stem in STEMS[:2]:
            shutil.copytree(ROOT / name / stem, course / name / stem)
    for name in ("course.toml", "nbgrader_config.py", "README.md"):
        shutil.copy(ROOT / name, course / name)
    shutil.rmtree(course / "source" / STEMS[1])
    monkeypatch.chdir(course)
    assert main(["--force"]) == 0
    said = capsys.readouterr().out
    assert f"wrote release/{STEMS[0]}/{STEMS[0]}.ipynb" in said
    assert f"release/{STEMS[1]} has no notebook in source/ any more: delete it" in said


@pytest.mark.nbgrader
def test_what_keeps_a_release_from_being_made_is_said_in_words(tmp_path, monkeypatch, capsys):
    for name in ("course.toml", "nbgrader_config.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["--force"]) == 1
    assert "there is not a notebook in source/" in capsys.readouterr().err
    shutil.copytree(ROOT / "source" / STEMS[0], tmp_path / "source" / STEMS[0])
    master = tmp_path / "source" / STEMS[0] / f"{STEMS[0]}.ipynb"
    master.write_text(master.read_text().replace("{{badge}}", "{{bagde}}"))
    assert main(["--force"]) == 1
    assert "unknown placeholder {{bagde}}" in capsys.readouterr().err
