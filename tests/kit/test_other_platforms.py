"""What learners run, on a Python that lacks what Windows lacks: POSIX's modules and functions, and UTF-8 in pipes.

Windows and macOS themselves are not here. The guard of ``support/windows`` stands in each process that a test starts.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from attention_lab.cli import NO_JUDGE
from support.cells import executed, failed
from support.places import RELEASES, ROOT, STEMS
from support.releases import RIGHT
from support.windows.names import POSIX_MODULES, POSIX_NAMES

GUARD = ROOT / "tests" / "support" / "windows"
KIT = sorted((ROOT / "src").rglob("*.py"))
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that start now have the guard, no judge, and a pipe that speaks cp1252."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(GUARD), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")


def attention_lab(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attention_lab.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="cp1252", check=False)


def notebook_with(source: str, stem: str, folder: Path) -> Path:
    notebook = nbformat.read(RELEASES[stem], as_version=4)
    for cell in notebook.cells:
        cell.source = {"solution": source, "try-it": "print('√ →')"}.get(cell.id, cell.source)
    nbformat.write(notebook, folder / f"{stem}.ipynb")
    return folder / f"{stem}.ipynb"


def used_in(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported, and attributes of ``os`` and ``signal``, as ``os.fork``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


@pytest.mark.parametrize("path", KIT, ids=lambda path: path.stem)
def test_kit_names_nothing_that_only_posix_has(path):
    assert {*used_in(ast.parse(path.read_text(encoding="utf-8")))} & (POSIX_MODULES | POSIX_NAMES) == set()


@pytest.mark.parametrize("path", KIT, ids=lambda path: path.stem)
def test_kit_says_in_which_encoding_it_reads_and_writes(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("read_text", "write_text"):
            assert "encoding" in [keyword.arg for keyword in node.keywords], f"line {node.lineno}"


@pytest.mark.process
def test_guard_stops_what_windows_does_not_have(windows):
    for line in ("import fcntl", "import os; os.fork()"):
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
        assert "Windows has no " in done.stderr


@pytest.mark.process
def test_doctor_reports(windows):
    done = attention_lab("doctor")
    assert done.stderr == ""
    assert "All notebooks can be worked on here." in done.stdout


@pytest.mark.process
def test_check_runs_the_visible_checks_and_says_what_a_pipe_cannot_carry(windows, tmp_path):
    right = attention_lab("check", notebook_with(RIGHT["eager_causal"], "02_eager_causal", tmp_path))
    assert (right.returncode, right.stderr) == (NO_JUDGE, "")
    assert "passed  invariants" in right.stdout
    unscaled = RIGHT["eager_causal"].replace("math.sqrt(head_dim)", "1.0").replace("head_dim**0.5", "1.0")
    wrong = attention_lab("check", notebook_with(unscaled, "02_eager_causal", tmp_path))
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "head_dim" in wrong.stdout


@pytest.mark.process
@pytest.mark.parametrize("stem", STEMS)
def test_notebooks_run(windows, tmp_path, stem):
    cells = executed(notebook_with(RIGHT[stem[3:]], stem, tmp_path), allow_errors=False)
    assert not failed(cells)
    assert "Ready to hand in" in "".join(output.get("text", "") for output in cells["hand-in"].outputs)


@pytest.mark.process
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lessons_run(windows, path):
    executed(path, allow_errors=False)
