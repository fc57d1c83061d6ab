"""JupyterLab as ``make lab`` and ``make lab-instructor`` start it, seen from outside the browser."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from attention_grading.authoring.course_root import prepare
from attention_grading.authoring.lab import INSTRUCTORS_PLUGINS, NEWS, VALIDATE_CAVEAT
from support.lab.server import LabServer, lab_server
from support.places import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    prepare(ROOT, tmp_path / "course")
    return tmp_path / "course"


def fetch(server: LabServer, path: str) -> tuple[str, str]:
    """Follow an address; returns where it ends and what is there."""
    request = Request(f"{server.address}{path}", headers={"Authorization": f"token {server.token}"})
    with urlopen(request) as answer:
        return answer.url.removeprefix(server.address), answer.read().decode()


def left_out(page: str) -> set[str]:
    content = re.search(r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', page, re.DOTALL)
    return set(json.loads(content.group(1))["disabledExtensions"])


@pytest.mark.process
@pytest.mark.parametrize(
    ("mode", "start", "hidden"),
    [("student", "lab/tree/release", {NEWS, *INSTRUCTORS_PLUGINS}), ("instructor", "lab", {NEWS})],
)
def test_lab_starts_without_git_and_beside_another_server_where_its_user_works(
    root, tmp_path, monkeypatch, mode, start, hidden
):
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing is there, git neither
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with lab_server(root, mode, tmp_path / "home", port=taken) as server:
            assert f":{taken}/" not in server.address
            where, page = fetch(server, "")
            assert where == start
            assert left_out(page) == hidden
            assert "custom/custom.css" in page
            assert json.dumps(VALIDATE_CAVEAT) in fetch(server, "custom/custom.css")[1]
            if mode == "instructor":
                assert fetch(server, "formgrader")[0] == "formgrader/manage_assignments"
                assert (root / "exchange").is_dir()  # nbgrader_config.py was read


@pytest.mark.process
def test_broken_course_configuration_leaves_no_formgrader_that_would_grade_by_other_rules(root, tmp_path):
    with (root / "nbgrader_config.py").open("a") as config:
        config.write("raise ImportError('broken')\n")
    with lab_server(root, "instructor", tmp_path / "home") as server:
        assert fetch(server, "")[0] == "lab"
        with pytest.raises(HTTPError, match="404"):
            fetch(server, "formgrader")


def test_own_jupyter_configuration_stays_in_force_behind_the_courses(monkeypatch, tmp_path):
    from attention_grading.authoring import lab

    seen = {}

    def note(program: str, command: list[str], environment: dict[str, str]) -> None:
        seen.update(environment, command=command)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/own")
    monkeypatch.setattr(
        lab.os, "execve", lambda program, command, environment: seen.update(environment, command=command)
    )
    lab.main(["student", "--no-browser"])
    assert seen["JUPYTER_CONFIG_PATH"] == f"{tmp_path}/build/lab-student:/own"
    assert seen["command"][1:] == ["-m", "jupyter", "lab", "--no-browser"]
