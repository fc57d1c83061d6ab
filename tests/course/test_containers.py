"""The images' own steps, each in an environment as bare as theirs: the files that they copy, and what they run on them.

Not built here: the base image, its Debian packages and the container's own confinement are not what this tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from support.bare_environment import bare_environment
from support.places import ROOT

STAGES = {"learner": "attention-lab doctor", "grader": "attention-grading judge --help"}
USER = "useradd --uid 1000 --create-home learner"  # of the image, not of the packages


def steps(target: str) -> Iterator[tuple[str, str]]:
    """Instruction and arguments of a stage, those of the stage that it is built from first."""
    stages: dict[str, list[tuple[str, str]]] = {}
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                base, _, name = rest.partition(" AS ")
                stages[name] = list(stages.get(base, []))
            else:
                stages[name].append((word, rest))
    yield from stages[target]


def ignored(name: str) -> bool:
    """Whether ``.dockerignore`` keeps a file or folder of the course root out of the build."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch(name, line.removeprefix("!")):
            out = not line.startswith("!")
    return out


@pytest.mark.process
@pytest.mark.parametrize("target", STAGES)
def test_steps_of_an_image_install_what_its_command_needs(target, tmp_path):
    env, here = bare_environment(tmp_path), tmp_path
    for word, rest in steps(target):
        if word == "WORKDIR":
            here = tmp_path / rest.removeprefix("/")
            here.mkdir(parents=True)
        elif word == "COPY":
            *names, to = (part for part in rest.split() if not part.startswith("--"))
            for name in names:
                assert not ignored(name)
                leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, here / to, ignore=leftovers)
                else:
                    shutil.copy(ROOT / name, here / to)
        elif word == "RUN" and rest != USER:
            assert rest.startswith("pip install ")
            done = subprocess.run(["sh", "-c", rest], cwd=here, env=env, capture_output=True, text=True, check=False)
            if "No matching distribution found for setuptools" in done.stderr:
                pytest.skip("needs PyPI, for the setuptools that builds the packages")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Downloading" not in done.stdout.replace("Downloading setuptools", "")
        else:
            assert word in ("RUN", "ENV", "USER", "EXPOSE", "CMD")
    done = subprocess.run(STAGES[target].split(), cwd=here, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (command,) = (json.loads(rest) for word, rest in steps(target) if word == "CMD")
    program = shutil.which(command[0], path=env["PATH"])
    assert Path(program).is_relative_to(tmp_path)
    assert len([*(tmp_path / "venv").rglob("attention_*.dist-info/licenses/LICENSE")]) == [*STAGES].index(target) + 1
    assert (here / "release" / "START.md").exists() == (target == "learner")  # where `attention-lab start` looks


@pytest.mark.parametrize("name", ["source", ".git", ".grading_seed", "submitted", "gradebook.db", "tests", ".venv"])
def test_no_image_takes_solutions_submissions_or_the_seed(name):
    assert ignored(name)
    assert not any(word == "COPY" and name in rest.split() for target in STAGES for word, rest in steps(target))


def test_learners_image_holds_no_reference():
    assert not any("grading" in rest for _, rest in steps("learner"))


def test_dev_container_builds_the_learners_image_and_opens_start():
    place = ROOT / ".devcontainer" / "devcontainer.json"
    fields = json.loads(place.read_text())
    build = fields["build"]
    assert (place.parent / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (place.parent / build["context"]).resolve() == ROOT
    user = next(rest for word, rest in steps(build["target"]) if rest == USER)
    assert user.endswith(f" {fields['remoteUser']}")
    for name in fields["customizations"]["codespaces"]["openFiles"]:
        assert (ROOT / name).exists()
