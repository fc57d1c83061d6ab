"""``attention-lab start``: where it opens JupyterLab, and what it says where it cannot."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from attention_lab.cli import main


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """What JupyterLab would have found, had it been started."""
    seen = SimpleNamespace()

    def launch_instance(argv: list[str]) -> None:
        seen.options, seen.config_path, seen.path = argv, os.environ["JUPYTER_CONFIG_PATH"], os.environ["PATH"]
        folder = Path(seen.config_path.split(os.pathsep)[0])
        seen.server = json.loads((folder / "jupyter_server_config.json").read_text())
        seen.settings = json.loads((folder / "labconfig" / "default_setting_overrides.json").read_text())

    app = SimpleNamespace(LabApp=SimpleNamespace(launch_instance=launch_instance))
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", app)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/own")
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.chdir(tmp_path)
    return seen


@pytest.mark.parametrize("place", ["release", "."])
def test_start_opens_the_rendered_page_from_the_courses_folder_and_from_the_students(lab, tmp_path, place):
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "START.md").touch()
    assert main(["start", "--no-browser", "--port", "9000"]) == 0
    assert lab.options == ["--no-browser", "--port", "9000"]
    assert Path(lab.server["ServerApp"]["root_dir"]) == (tmp_path / place).resolve()
    assert lab.server["LabApp"]["default_url"] == "/lab/tree/START.md"
    viewers = lab.settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers == {"markdown": "Markdown Preview"}
    assert lab.config_path.split(os.pathsep)[1:] == ["/own"]  # behind the course's, it stays in force
    assert lab.path.split(os.pathsep) == [sysconfig.get_path("scripts"), "/bin"]


def test_start_takes_a_folder_by_its_option(lab, tmp_path):
    (tmp_path / "a course" / "release").mkdir(parents=True)
    (tmp_path / "a course" / "release" / "START.md").touch()
    assert main(["start", "--folder", "a course"]) == 0
    assert Path(lab.server["ServerApp"]["root_dir"]) == (tmp_path / "a course" / "release").resolve()


def test_start_without_a_start_page_says_where_it_looked(lab, tmp_path, capsys):
    assert main(["start"]) == 2
    said = capsys.readouterr().err
    assert f"there is no START.md in {tmp_path.resolve()}, nor in a folder release/ there" in said
    assert "attention-lab start --folder FOLDER" in said


def test_start_without_jupyterlab_says_how_to_install_it(lab, tmp_path, capsys, monkeypatch):
    (tmp_path / "START.md").touch()
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    assert main(["start"]) == 2
    assert "-m pip install jupyterlab" in capsys.readouterr().err


def test_other_commands_take_no_options_of_jupyterlab(lab, capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "--no-browser"])
    assert "unrecognized arguments: --no-browser" in capsys.readouterr().err
