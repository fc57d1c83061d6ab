"""Releases are generated, pinned to the course's address, and never overwrite work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from attention_grading.authoring.release import pin_addresses
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
