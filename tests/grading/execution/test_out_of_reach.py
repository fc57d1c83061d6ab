"""What runs learners' code holds neither the judge nor the reference, and cannot reach them."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import attention_grading
from attention_grading.execution.workers import JUDGE_WORKER, NOTEBOOK_WORKER
from attention_grading.judging.session import Session
from attention_grading.sandbox.warm_server import _AHEAD, WarmProcess, share
from support.answers import RIGHT
from support.places import ROOT

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]


REACH = """
import glob, importlib, os, pkgutil, sys
found = []
def attempt(action):
    try: found.append(str(action())[:60])
    except BaseException: pass
for path in {paths!r}:
    attempt(lambda: open(path).read())
for entry in [*sys.path, {paths!r}[0].rpartition("/")[0]]:
    attempt(lambda: os.listdir(os.path.join(entry, "attention_grading")))
    attempt(lambda: [open(each).read() for each in glob.glob(entry + "/attention_grading/**", recursive=True)][0])
    attempt(lambda: [open(each, "rb").read() for each in glob.glob(entry + "/*attention_grading*")][0])
rooms = ("judging", "judging.cases", "judging.verdict", "judging.diagnosis.models", "judging.kernel_factors")
for name in ("reference", *rooms):
    attempt(lambda: importlib.import_module("attention_grading." + name))
    attempt(lambda: sys.modules["attention_grading." + name])
attempt(lambda: pkgutil.get_data("attention_grading", "reference.py"))
raise SystemError(f"found {{found}}")
"""


def reach_from_the_worker(python: Path, paths: list[str], cwd: Path) -> list[str]:
    """Notes of a judgement by that environment's own ``attention-grading``, on code that looks for the reference."""
    text = """
import json, sys
from pathlib import Path
from attention_grading.sandbox.limits import Limits
from attention_grading.judging.session import Session
with Session(limits=Limits(seconds=30)) as session:
    verdict = session.judge_file("eager_causal", Path(sys.argv[1]))
    print(json.dumps([verdict.score, *verdict.notes]))
"""
    notebook = cwd / "reach.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(REACH.format(paths=paths)), new_code_cell(RIGHT)]), notebook)
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(cwd)}
    environment |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    done = subprocess.run(
        [str(python), "-c", text, str(notebook)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_worker_cannot_reach_the_reference_of_this_installation(tmp_path):
    package = Path(attention_grading.__file__).parent
    paths = [str(path) for path in sorted(package.rglob("*.py*"))]
    score, *notes = reach_from_the_worker(Path(sys.executable), paths, tmp_path)
    assert score == 10
    assert [note for note in notes if "found []" in note], notes


def test_worker_cannot_reach_the_reference_of_a_wheel(tmp_path):
    """Both packages as wheels, in an environment that takes everything else from this one's site-packages."""
    wheels, prefix = tmp_path / "wheels", tmp_path / "venv"
    for name in (ROOT, ROOT / "grading"):
        copy = tmp_path / f"build-{name.name}"
        copy.mkdir()
        shutil.copytree(name / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for file in ("pyproject.toml", "README.md"):
            if (name / file).exists():
                shutil.copy(name / file, copy / file)
        build = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(wheels),
        ]
        subprocess.run([*build, str(copy)], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    site = next(prefix.glob("lib/python*/site-packages"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, *map(str, sorted(wheels.glob("*.whl")))], check=True, capture_output=True)
    here = Path(sysconfig.get_path("purelib"))
    for entry in here.iterdir():  # what they need, by links; not this environment's own editable installs
        if "attention" not in entry.name and entry.suffix != ".pth" and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    paths = [str(path) for path in sorted((site / "attention_grading").rglob("*.py*"))]
    assert str(site / "attention_grading" / "reference.py") in paths
    score, *notes = reach_from_the_worker(prefix / "bin" / "python", paths, tmp_path)
    assert score == 10
    assert [note for note in notes if "found []" in note], notes


def test_warm_processes_hold_neither_reference_nor_cases():
    for module in ("attention_grading.execution.judge_worker", "attention_grading.execution.notebook_worker"):
        text = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('attention_grading.')))"
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
        assert {name.split(".")[1] for name in done.stdout.split()} <= {"execution", "sandbox", "text"}


def test_worker_knows_neither_reference_nor_judge():
    code = (
        "import sys, attention_grading.execution.judge_worker\n"
        "print(sorted(name for name in sys.modules if name.startswith('attention_grading')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert "attention_grading.execution.judge_worker" in loaded
    assert {name.split(".")[1] for name in loaded if "." in name} <= {"execution", "sandbox", "text"}


def test_judged_code_shares_no_memory_with_pictures_and_judges(write):
    """Both kinds of children come from one process; the judge's are forked before it knows of notebooks."""
    warm = WarmProcess.launch(True, JUDGE_WORKER, NOTEBOOK_WORKER)
    held = f"import sys\nraise SystemError([name for name in {HELD} if name in sys.modules])"
    notebook = write("held.ipynb", nbformat.writes(new_notebook(cells=[new_code_cell(held), new_code_cell(RIGHT)])))
    share(warm.controls)
    try:
        with Session() as session:
            verdict = session.judge_file("eager_causal", notebook)
            shown = session.show([held])
    finally:
        for key in warm.controls:
            _AHEAD.pop(key)
        warm.close()
    assert verdict.score == 10
    assert [note for note in verdict.notes if "SystemError: []" in note], verdict.notes
    assert shown.outputs[0][0].evalue == "['IPython', 'attention_grading.execution.notebook_worker']"


HELD = (
    "IPython",
    "nbformat",
    "attention_grading.execution.notebook_worker",
    "attention_grading.judging",
    "attention_grading.reference",
)
