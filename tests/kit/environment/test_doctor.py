"""``attention-lab doctor``: plain sentences, no stack trace, whatever is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from attention_lab.environment import doctor, packages
from support.interpreters import python, without


@pytest.mark.process
def test_doctor_names_route_and_versions_and_all_is_well():
    done = subprocess.run(
        [sys.executable, "-m", "attention_lab.cli", "doctor"], capture_output=True, text=True, check=True
    )
    for word in (torch.__version__, "flash route", "device", "stand-in" if not torch.cuda.is_available() else "flash"):
        assert word in done.stdout
    assert done.stdout.endswith(" notebooks can be worked on here.\n")


@pytest.mark.process
@pytest.mark.parametrize("package", ["torch", "matplotlib"])
def test_doctor_says_how_to_install_what_is_missing(package):
    done = without(package, ["doctor"])
    assert done.returncode == 1
    assert done.stderr == ""
    assert f"1. {package} is not installed for this Python" in done.stdout
    assert f"{sys.executable} -m pip install {package}" in done.stdout
    assert "can be worked on here" not in done.stdout


@pytest.mark.process
def test_missing_ipywidgets_keeps_no_graded_notebook_from_running():
    done = without("ipywidgets", ["doctor"])
    assert done.returncode == 0
    assert "Without it you miss lesson L2" in done.stdout


@pytest.mark.process
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


@pytest.mark.process
def test_doctor_names_route_and_versions():
    done = subprocess.run(
        [sys.executable, "-m", "attention_lab.cli", "doctor"], capture_output=True, text=True, check=True
    )
    for word in ("torch", "flash route", "device", "stand-in" if not torch.cuda.is_available() else "flash"):
        assert word in done.stdout
