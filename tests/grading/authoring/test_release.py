"""Releases are generated, pinned to the course's address, and never overwrite work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from attention_grading.authoring.address import next_steps, require_fitting, with_urls
from attention_grading.authoring.points import require_points_as_written
from attention_grading.authoring.release import main
from attention_grading.course_file import Published, read_course
from support.places import ROOT, STEMS
from support.releases import published

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.invalid")


def git(folder, *arguments):
    subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def fork(tmp_path, monkeypatch):
    """A fork in a repository of its own, published."""
    course = published(tmp_path / "course")
    git(course, "init", "-q")
    monkeypatch.chdir(course)
    return course


FITTING = [
    "https://github.com/a-fork/attention",
    "git@github.com:a-fork/attention.git",
    "ssh://git@h/A-Fork/attention/",
]


@pytest.mark.process
@pytest.mark.parametrize("remote", FITTING)
def test_release_fits_a_remote_that_is_the_courses_repository(fork, remote):
    git(fork, "remote", "add", "origin", remote)
    require_fitting(fork, read_course(fork).published)
    assert "git tag v9 and git push REMOTE HEAD v9" in next_steps(fork, read_course(fork).published)


@pytest.mark.process
@pytest.mark.parametrize(
    ("remote", "says"),
    [
        (None, "git knows no remote here"),
        ("https://github.com/somebody/attention", "remotes are https://github.com/somebody/attention"),
        ("https://github.com/not-a-fork/attention", "remotes are https://github.com/not-a-fork/attention"),
    ],
)
def test_release_refuses_an_address_that_no_remote_has(fork, capsys, remote, says):
    if remote:
        git(fork, "remote", "add", "origin", remote)
    assert main(["--force"]) == 1
    said = capsys.readouterr().err
    assert "published as a-fork/attention" in said
    assert says in said
    assert "make release ANY_ADDRESS=1" in said
    assert not (fork / "release").exists()


@pytest.mark.process
def test_release_refuses_a_tag_that_was_set_before_the_address(fork):
    git(fork, "remote", "add", "origin", FITTING[0])
    with_address = (fork / "course.toml").read_text()
    for text, tag in ((with_address.partition("[published]")[0], "v9"), (with_address.replace("v9", "v10"), "v10")):
        (fork / "course.toml").write_text(text)
        git(fork, "add", "course.toml")
        git(fork, "commit", "-qm", "release")
        git(fork, "tag", tag)
    known = read_course(fork).published
    require_fitting(fork, known)
    assert next_steps(fork, known) == ""
    with pytest.raises(ValueError, match="tag v9 is set already, on a release that does not name this address"):
        require_fitting(fork, Published(known.repository, "v9"))


@pytest.mark.nbgrader
def test_published_release_holds_notebooks_lessons_start_and_prompt(fork, capsys):
    assert main(["--force", "--any-address"]) == 0
    said = capsys.readouterr().out
    for name in ("README.md", "pyproject.toml", "grading/pyproject.toml"):
        assert f"wrote into {name} where the course is published" in said
    for name in ("pyproject.toml", "grading/pyproject.toml"):
        urls = tomllib.loads((fork / name).read_text())["project"]["urls"]
        assert urls["Repository"] == "https://github.com/a-fork/attention"
        assert urls.keys() == {"Repository", "Issues", "Changelog"}
        assert with_urls((fork / name).read_text(), None) == (ROOT / name).read_text()
    assert "git tag v9" in said
    assert {path.name for path in (fork / "release").iterdir()} == {
        *STEMS, "lessons", "START.md", "socratic_prompt.md"
    }  # fmt: skip
    assert "github/a-fork/attention/blob/v9/release/01" in (fork / "README.md").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[course]\nname = "x"\nrepository = "a/b"\ntag = "v1"\n', "unknown: repository, tag"),
        ('[course]\nname = "x"\n[published]\nrepository = "https://github.com/a/b"\ntag = "v1"\n', "is no OWNER/NAME"),
        ('[course]\nname = "x"\n[published]\nrepository = "a/b"\ntag = "v 1"\n', "'v 1' is no tag"),
        ('[course]\nname = "x"\n[published]\nrepository = "a/b"\n', "tag"),
        ('[published]\nrepository = "a/b"\ntag = "v1"\n', "course"),
        ("[course", "problem: "),
    ],
)
def test_course_file_that_is_not_right_is_refused_in_words(tmp_path, text, says):
    (tmp_path / "course.toml").write_text(text)
    with pytest.raises(ValueError, match="wants a table") as refused:
        read_course(tmp_path)
    assert says in str(refused.value).partition("problem: ")[1] + str(refused.value).partition("problem: ")[2]


@pytest.mark.nbgrader
def test_link_out_of_what_students_get_is_refused_while_the_course_is_not_published(tmp_path, monkeypatch, capsys):
    course = published(tmp_path / "course")
    (course / "course.toml").write_text('[course]\nname = "x"\n')
    master = course / "source" / STEMS[0] / f"{STEMS[0]}.ipynb"
    master.write_text(master.read_text().replace("{{link:socratic_prompt.md}}", "{{link:source/answer.py}}"))
    monkeypatch.chdir(course)
    assert main(["--force"]) == 1
    assert "leads to source/answer.py, which students do not get" in capsys.readouterr().err


@pytest.mark.process
def test_release_refuses_to_overwrite_work(tmp_path):
    repository = tmp_path / "course"
    (repository / "release" / "a").mkdir(parents=True)
    notebook = repository / "release" / "a" / "a.ipynb"
    notebook.write_text("{}\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "release"]):
        git(repository, *command)
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
    shutil.copytree(ROOT / "notebooks", course / "notebooks")
    for name in ("course.toml", "nbgrader_config.py", "README.md", "socratic_prompt.md"):
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
    assert "there is no notebook in source/" in capsys.readouterr().err
    shutil.copytree(ROOT / "source" / STEMS[0], tmp_path / "source" / STEMS[0])
    master = tmp_path / "source" / STEMS[0] / f"{STEMS[0]}.ipynb"
    master.write_text(master.read_text().replace("{{course}}", "{{cuorse}}"))
    assert main(["--force"]) == 1
    assert "unknown placeholder {{cuorse}}" in capsys.readouterr().err


def reweighted(course: Path, points: object, words: str) -> None:
    """Change what the check of masking is worth, and what its text says of it."""
    master = course / "source" / STEMS[0] / f"{STEMS[0]}.ipynb"
    notebook = json.loads(master.read_text())
    (cell,) = [cell for cell in notebook["cells"] if cell["id"] == "test-masking"]
    cell["metadata"]["nbgrader"]["points"] = points
    cell["source"] = [line.replace("2 points", words) for line in cell["source"]]
    master.write_text(json.dumps(notebook))


@pytest.mark.parametrize(
    ("points", "words", "says"),
    [
        (3, "2 points", "it is worth 3 points, and its first line says 2 points: write the same number in both"),
        (2, "1 point", "it is worth 2 points, and its first line says 1 point: write the same number in both"),
        (-1, "-1 points", "-1 is no number of points: it takes a number of 0 or more"),
        ("2", "2 points", "'2' is no number of points: it takes a number of 0 or more"),
        (float("nan"), "2 points", "nan is no number of points: it takes a number of 0 or more"),
        (None, "2 points", "None is no number of points: it takes a number of 0 or more"),
    ],
)
def test_points_that_are_none_or_that_the_text_contradicts_are_refused_with_their_check(
    tmp_path, monkeypatch, capsys, points, words, says
):
    """Points changed in Create Assignment alone once left the old number in what students read."""
    course = published(tmp_path / "course")
    reweighted(course, points, words)
    monkeypatch.chdir(course)
    assert main(["--force", "--any-address"]) == 1
    assert f"Nothing was released: {STEMS[0]}, test-masking: {says}" in " ".join(capsys.readouterr().err.split())
    assert not (course / "release").exists()


@pytest.mark.parametrize(("points", "words"), [(3, "3 points"), (1, "1 point"), (0, "0 points"), (2.5, "2.5 points")])
def test_points_that_the_text_names_too_are_fine(tmp_path, points, words):
    course = published(tmp_path / "course")
    reweighted(course, points, words)
    require_points_as_written(course / "source", STEMS)
