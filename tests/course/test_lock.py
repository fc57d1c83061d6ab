"""The versions that the course is tested with: ``uv.lock``, ``constraints.txt`` made of it, and the oldest allowed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.lock import constraints
from support.places import ROOT

LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
PROJECTS = {
    project["name"]: project
    for project in (tomllib.loads((ROOT / f / "pyproject.toml").read_text())["project"] for f in (".", "grading"))
}


def declared(project: dict) -> set[tuple[str, str, str]]:
    """Name, bounds and extra of each requirement."""
    texts = [(text, "") for text in project["dependencies"]]
    texts += [(text, extra) for extra, its in project["optional-dependencies"].items() for text in its]
    return {
        (canonicalize_name(Requirement(text).name), str(Requirement(text).specifier), extra) for text, extra in texts
    }


@pytest.mark.parametrize("name", PROJECTS)
def test_lock_was_made_for_what_the_packages_declare(name):
    (package,) = [package for package in LOCK["package"] if package["name"] == name]
    locked = {
        (each["name"], str(Requirement(each["name"] + each.get("specifier", "")).specifier), extra)
        for each in package["metadata"]["requires-dist"]
        for extra in re.findall(r"extra == '(\w+)'", each.get("marker", "")) or [""]
    }
    assert locked == declared(PROJECTS[name]), "run `make lock`"
    assert LOCK["requires-python"] == PROJECTS[name]["requires-python"]


def test_locked_versions_are_within_the_bounds_and_pytorch_is_the_one_that_was_measured_with():
    for name, bounds, _ in set.union(*map(declared, PROJECTS.values())):
        if name not in PROJECTS:
            assert all(map(Requirement(name + bounds).specifier.contains, constraints()[name])), name
    assert constraints()["torch"] == {"2.13.0"}


def test_constraints_are_the_locks_versions():
    locked: dict[str, set[str]] = {}
    for package in LOCK["package"]:
        if package["name"] not in PROJECTS:
            locked.setdefault(package["name"], set()).add(package["version"])
    assert constraints() == locked, "run `make lock`"


def test_lock_names_no_host_but_pypis_own_and_a_checksum_of_every_file():
    text = (ROOT / "uv.lock").read_text()
    assert set(re.findall(r"\w+://([^/\"]+)", text)) == {"pypi.org", "files.pythonhosted.org"}
    assert "://" not in (ROOT / "constraints.txt").read_text()
    for package in LOCK["package"]:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files or package["name"] in PROJECTS
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("uv", "starts"), [("/x/uv", "/x/uv pip install --python V/bin/python"), ("", "V/bin/python -m pip install")]
)
def test_make_installs_the_locked_versions_with_uv_or_with_pip(uv, starts):
    command = ["make", "--dry-run", "--always-make", f"UV={uv}", "VENV=V", "V/stamp-test"]
    env = {"PATH": os.environ["PATH"]}  # without what the `make` that runs the tests was told
    said = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    lines = [line for line in said.splitlines() if " install " in line]
    assert len(lines) == 4
    assert all(line.startswith(f"{starts} --quiet --constraint constraints.txt ") for line in lines)


@pytest.mark.process
def test_oldest_versions_are_the_lower_bounds(tmp_path):
    for name in ("Makefile", "pyproject.toml", "grading/pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["make", "--silent", "build/oldest.txt"], cwd=tmp_path, check=True)
    bounds = {(name, bound) for project in PROJECTS.values() for name, bound, _ in declared(project)}
    wanted = {f"{name}=={old}" for name, bound in bounds for old in re.findall(r">=([\d.]+)", bound)}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert set((tmp_path / "build" / "oldest.txt").read_text().split()) == wanted | {build[0].replace(">=", "==")}
