"""``attention-lab doctor`` and the notebooks' first words: plain sentences, no stack trace, whatever is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import attention_lab
from attention_lab.environment import doctor, packages
from attention_lab.environment.packages import MissingPackage, missing_package
from attention_lab.environment.welcome import welcome
from attention_lab.flash.route import Found, choose
from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[1]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def without(package: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run ``attention-lab`` where a package cannot be found."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; from attention_lab.cli import main; sys.exit(main({arguments}))"
    )
    return python(code)


def test_doctor_names_route_and_versions_and_all_is_well():
    done = subprocess.run(
        [sys.executable, "-m", "attention_lab.cli", "doctor"], capture_output=True, text=True, check=True
    )
    for word in (torch.__version__, "flash route", "device", "stand-in" if not torch.cuda.is_available() else "flash"):
        assert word in done.stdout
    assert done.stdout.endswith("All six notebooks can be worked on here.\n")


@pytest.mark.parametrize("package", ["torch", "matplotlib"])
def test_doctor_says_how_to_install_what_is_missing(package):
    done = without(package, ["doctor"])
    assert done.returncode == 1
    assert done.stderr == ""
    assert f"1. {package} is not installed for this Python" in done.stdout
    assert f"{sys.executable} -m pip install {package}" in done.stdout
    assert "can be worked on here" not in done.stdout


def test_missing_ipywidgets_keeps_no_graded_notebook_from_running():
    done = without("ipywidgets", ["doctor"])
    assert done.returncode == 0
    assert "Without it you miss lesson 08" in done.stdout


def test_doctor_tells_a_broken_torch_from_a_missing_one(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    done = python(
        "import sys; from attention_lab.cli import main; sys.exit(main(['doctor']))", PYTHONPATH=str(tmp_path)
    )
    assert done.returncode == 1
    assert "cannot be imported (ImportError: libcudart.so.13: cannot open shared object file)" in done.stdout
    assert "--force-reinstall torch" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_doctor_finds_an_old_torch(monkeypatch):
    monkeypatch.setattr(packages, "version_of", lambda name: "2.4.1+cu121" if name == "torch" else "99.0")
    report = doctor.examine()
    assert len(report.problems) == 1
    assert "torch 2.4.1+cu121 is older than 2.10" in report.problems[0]
    assert '--upgrade "torch>=2.10"' in report.problems[0]


def test_doctor_tries_the_flash_route(monkeypatch):
    def fails(*arguments):
        raise RuntimeError("no kernel image is available\nlong story")

    monkeypatch.setattr("attention_lab.flash.flash_attn_varlen_func", fails, raising=False)
    report = doctor.examine()
    assert len(report.problems) == 1
    assert "fails on its first call (RuntimeError: no kernel image is available)" in report.problems[0]


def test_doctor_says_that_a_gpu_lies_idle(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    report = doctor.examine()
    assert any("is a build without CUDA" in note for note in report.notes)
    assert report.problems == ()


def test_check_without_torch_says_so_in_two_sentences():
    done = without("torch", ["check", "02_eager_causal.ipynb"])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("attention-lab: torch is not installed for this Python")
    assert "Install it: " in done.stderr


@pytest.mark.parametrize(("package", "name"), [("torch", "check"), ("matplotlib", "mask_heatmap")])
def test_kits_names_without_a_package_end_in_two_lines(package, name):
    code = f"""
import sys
sys.modules[{package!r}] = None
try:
    from attention_lab import {name}
except ImportError as error:
    print(*error._render_traceback_(), sep="\\n")
"""
    lines = python(code).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{package} is not installed for this Python")
    assert lines[1].endswith("Then restart the kernel and run the cell again.")


def test_name_that_the_kit_does_not_have_stays_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'atention_map'"):
        attention_lab.atention_map  # noqa: B018


def test_missing_package_is_an_import_error():
    assert issubclass(MissingPackage, ImportError)
    assert "torchgen is not installed" in str(missing_package("torch", ModuleNotFoundError(name="torchgen.gen")))


@pytest.mark.parametrize("name", VARIANTS)
def test_welcome_gives_the_device_and_the_flash_route_where_it_matters(name, capsys):
    assert welcome(name) == ("cuda" if torch.cuda.is_available() else "cpu")
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__}" in printed
    assert ("Flash route: " in printed) == VARIANTS[name].packed
    assert printed.endswith("All that this notebook needs is here.\n")


def test_welcome_says_what_to_do_about_an_old_package(monkeypatch, capsys):
    monkeypatch.setattr(packages, "version_of", lambda name: "3.5.1" if name == "matplotlib" else "99.0")
    welcome("eager_causal")
    printed = capsys.readouterr().out
    assert "matplotlib 3.5.1 is older than 3.10" in printed
    assert "--upgrade" in printed
    assert "All that this notebook needs is here." not in printed


def test_old_gpu_hears_its_name_the_reason_and_the_route_in_one_sentence():
    route = choose(Found((7, 5), None, None, "Tesla T4"))
    assert route.name == "stand-in"
    assert route.sentence.startswith("Tesla T4 is too old, flash-attn needs Ampere or newer")
    assert "stand-in" in route.sentence
    assert route.sentence.count(". ") == 0


def test_oldest_versions_are_those_that_pip_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = (re.fullmatch(r"([\w-]+)>=([\d.]+)", text) for text in project["dependencies"])
    declared = dict(match.groups() for match in asked if match)  # what has no version comes with one of these
    assert {name: ".".join(map(str, numbers)) for name, numbers in packages.OLDEST.items()} == declared
    assert project["requires-python"] == ">=" + ".".join(map(str, packages.OLDEST_PYTHON))
