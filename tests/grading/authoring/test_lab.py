"""JupyterLab as ``make lab`` and ``make lab-instructor`` start it, seen from outside the browser."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sysconfig
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tornado.websocket import websocket_connect

from attention_grading.authoring.course_root import prepare
from attention_lab.environment.start import INSTRUCTORS_PLUGINS, NEWS, VALIDATE_CAVEAT
from support.lab.server import LabServer, lab_server
from support.places import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    prepare(ROOT, tmp_path / "course")
    (tmp_path / "course" / "release").mkdir()
    (tmp_path / "course" / "release" / "START.md").write_text("# Start\n")
    return tmp_path / "course"


def fetch(server: LabServer, path: str, method: str = "GET") -> tuple[str, str]:
    """Follow an address; returns where it ends and what is there."""
    headers = {"Authorization": f"token {server.token}"}
    request = Request(f"{server.address}{path}", headers=headers, method=method)
    with urlopen(request) as answer:
        return answer.url.removeprefix(server.address), answer.read().decode()


def left_out(page: str) -> set[str]:
    content = re.search(r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', page, re.DOTALL)
    return set(json.loads(content.group(1))["disabledExtensions"])


@pytest.mark.process
@pytest.mark.parametrize(
    ("mode", "start", "hidden"),
    [("student", "lab/tree/START.md", {NEWS, *INSTRUCTORS_PLUGINS}), ("instructor", "lab", {NEWS})],
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
            else:
                names = [entry["name"] for entry in json.loads(fetch(server, "api/contents")[1])["content"]]
                assert names == ["START.md"]  # nothing beside what students get


@pytest.mark.process
def test_terminals_find_what_is_installed_here_and_open_where_students_work(root, tmp_path):
    with lab_server(root, "student", tmp_path / "home") as server:
        name = json.loads(fetch(server, "api/terminals", method="POST")[1])["name"]
        address = f"{server.address}terminals/websocket/{name}?token={server.token}".replace("http", "ws", 1)
        said = asyncio.run(tell(address, "command -v attention-lab; pwd; echo th''is is the end\r"))
    assert str(Path(sysconfig.get_path("scripts")) / "attention-lab") in said
    assert f"\n{root / 'release'}\r" in said


async def tell(address: str, text: str) -> str:
    """Type a line into a terminal of JupyterLab, and read until its end."""
    terminal, said = await websocket_connect(address), ""
    await terminal.write_message(json.dumps(["stdin", text]))
    while "this is the end" not in said:
        kind, *words = json.loads(await asyncio.wait_for(terminal.read_message(), 30))
        said += "".join(words) if kind == "stdout" else ""
    return said


@pytest.mark.process
def test_broken_course_configuration_leaves_no_formgrader_that_would_grade_by_other_rules(root, tmp_path):
    with (root / "nbgrader_config.py").open("a") as config:
        config.write("raise ImportError('broken')\n")
    with lab_server(root, "instructor", tmp_path / "home") as server:
        assert fetch(server, "")[0] == "lab"
        with pytest.raises(HTTPError, match="404"):
            fetch(server, "formgrader")
