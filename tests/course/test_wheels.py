"""``make wheels``: the same bytes each time, fit for an index, and all that a new machine needs of the course."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import attention_grading
from attention_grading.authoring.address import with_urls
from attention_grading.course_file import read_course
from attention_lab import __version__
from support.bare_environment import bare_environment
from support.places import ROOT, STEMS
from support.releases import RIGHT, write_releases

pytestmark = pytest.mark.process
KIT, GRADER = (f"{name}-{__version__}-py3-none-any.whl" for name in ("attention_lab", "attention_grading"))


def run(command: str, folder: Path, env: Mapping[str, str] = os.environ, code: int = 0) -> str:
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def make_wheels(folder: Path, umask: str) -> Path:
    """Run it on a copy of the packages, with the environment and the last commit of this checkout."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "grading", folder / "grading", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("Makefile", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    repository = run("git rev-parse --absolute-git-dir", ROOT).strip()
    env = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"} | {"GIT_DIR": repository}
    venv = Path(sys.prefix)
    run(f"umask {umask} && find . -exec touch {{}} + && make -o {venv}/stamp wheels VENV={venv}", folder, env)
    return folder / "build" / "dist"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheels(tmp_path_factory.mktemp("wheels"), "022")


def test_wheels_are_the_same_byte_for_byte_wherever_and_whenever_they_are_built(wheels, tmp_path):
    again = make_wheels(tmp_path, "077")
    assert {path.name for path in wheels.iterdir()} == {KIT, GRADER}
    for path in wheels.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_wheels_are_what_an_index_accepts(wheels):
    run(f"{sys.executable} -m twine check --strict *.whl", wheels)
    for name in (KIT, GRADER):
        with zipfile.ZipFile(wheels / name) as wheel:
            (licence,) = [member for member in wheel.namelist() if member.endswith("licenses/LICENSE")]
            assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", ["pyproject.toml", "grading/pyproject.toml"])
def test_metadata_names_authors_and_address_as_licence_and_course_file_do(name):
    text = (ROOT / name).read_text()
    (author,) = tomllib.loads(text)["project"]["authors"]
    assert (
        f"Copyright (c) 2026 the authors{author['name'].removeprefix('The authors')}" in (ROOT / "LICENSE").read_text()
    )
    assert with_urls(text, read_course(ROOT).published) == text, "run `make release`"


def test_both_packages_and_the_citation_have_one_version():
    assert attention_grading.__version__ == __version__
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_new_machine_gets_to_a_verdict_from_the_wheels_alone(wheels, tmp_path):
    """The line of docs/grading_a_class.md, then a right answer and an empty one."""
    env = bare_environment(tmp_path) | {"PIP_NO_INDEX": "1"}
    line = f'pip install {KIT} "./{GRADER}[class,cluster]"'
    assert line in (ROOT / "docs" / "grading_a_class.md").read_text()
    run(line, wheels, env)
    where = run(
        "python -c 'import attention_lab, attention_grading as g; print(attention_lab.__file__, g.__file__)'",
        tmp_path,
        env,
    )
    assert where.count(f"{tmp_path}/venv/") == 2
    (tmp_path / "release").mkdir()
    right, blank = STEMS[:2]
    write_releases(tmp_path / "release", eager_bidirectional=RIGHT["eager_bidirectional"])
    said = run(f"attention-lab check release/{right}/{right}.ipynb", tmp_path, env)
    assert "10 of 10" in said
    run(f"attention-lab check release/{blank}/{blank}.ipynb", tmp_path, env, code=1)
