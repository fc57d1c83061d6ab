"""The last cell of a notebook: what it finds wrong with the file, and where it looks for it."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest

from attention_lab import check_hand_in
from attention_lab.notebook import running
from attention_lab.notebook.learner_cells import GRADED_IDS, SOLUTION_ID
from support import answers
from support.places import ROOT, STEMS

STEM = "02_eager_causal"
RIGHT = answers.RIGHT.strip()


def notebook(solution: str = RIGHT) -> dict:
    content = json.loads((ROOT / "release" / STEM / f"{STEM}.ipynb").read_text())
    cell(content, SOLUTION_ID)["source"] = solution
    return content


def cell(content: dict, name: str) -> dict:
    return next(cell for cell in content["cells"] if cell["id"] == name)


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that has run the solution; nothing says where its notebook is."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shell = SimpleNamespace(user_ns={}, history_manager=SimpleNamespace(input_hist_raw=["import math", RIGHT]))
    monkeypatch.setattr(running, "_shell", lambda: shell)
    return shell


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def looked_at(content: dict, path: Path, capsys) -> str:
    path.write_text(json.dumps(content))
    check_hand_in(STEM)
    return capsys.readouterr().out


def test_notebook_that_is_ready_is_said_to_be_and_where_it_is(kernel, folder, capsys):
    said = looked_at(notebook(), folder / f"{STEM}.ipynb", capsys)
    assert said.count("ok    ") == 5
    assert "2 of 2 visible checks pass; the hidden ones, 7 points, are judged later" in said
    assert "fix " not in said
    assert f"Ready to hand in: {folder / STEM}.ipynb" in said


def test_notebook_whose_function_fails_a_visible_check_is_not_called_ready(kernel, folder, capsys):
    wrong = RIGHT.replace(".tril()", "")
    kernel.history_manager.input_hist_raw.append(wrong)
    said = looked_at(notebook(wrong), folder / f"{STEM}.ipynb", capsys)
    assert "does not pass the visible checks" in said
    assert "changed when later tokens changed" in said
    assert "Ready" not in said


def test_notebook_that_only_works_in_its_old_kernel_is_not_called_ready(kernel, folder, capsys):
    """A helper whose cell was deleted is still in the kernel's memory, and in no file."""
    wrong = RIGHT.replace("math.sqrt(head_dim)", "root_of(head_dim)")
    kernel.history_manager.input_hist_raw.append(wrong)
    said = looked_at(notebook(wrong), folder / f"{STEM}.ipynb", capsys)
    assert "name 'root_of' is not defined" in said
    assert "Ready" not in said


def second_definition(content):
    content["cells"].append({**cell(content, "try-it"), "source": RIGHT + "\n"})


def moved(content):
    second_definition(content)
    del cell(content, SOLUTION_ID)["metadata"]["nbgrader"]
    cell(content, SOLUTION_ID).update(id="other", source="x = 1")


def in_the_try_it_cell(content):
    cell(content, "try-it")["source"] = RIGHT
    cell(content, SOLUTION_ID)["source"] = "x = 1"


def in_a_check_cell(content):
    cell(content, "test-masking")["source"] = RIGHT
    cell(content, SOLUTION_ID)["source"] = "x = 1"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: content_without(c, "test-masking"), "cells are missing: test-masking"),
        (lambda c: content_without(c, SOLUTION_ID), "cells are missing: solution"),
        (lambda c: c["cells"].append(cell(c, "test-values")), "more than once: test-values. Delete the copies"),
        (lambda c: cell(c, "test-kernel").update(cell_type="markdown"), "no longer code cells: test-kernel"),
        (lambda c: cell(c, SOLUTION_ID).update(source="x = 1"), "no cell defines eager_causal_attention"),
        (
            lambda c: cell(c, SOLUTION_ID).update(source=f"{RIGHT}\n    raise E('Write your solution here')"),
            "still has the untouched stub: save",
        ),
        (lambda c: cell(c, SOLUTION_ID).update(source=f"{RIGHT}\n   )"), "has a syntax error: line 9"),
        (second_definition, "2 cells define eager_causal_attention"),
        (in_the_try_it_cell, "is not in the solution cell. Move it there"),
        (in_a_check_cell, "is in the cell test-masking, which grading replaces. Move it to the solution cell"),
        (moved, "cells are missing: solution"),
        (lambda c: cell(c, SOLUTION_ID).update(source=RIGHT + " + 1"), "is not the one that you ran last"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(kernel, folder, capsys, spoil, words):
    content = notebook()
    spoil(content)
    said = looked_at(content, folder / f"{STEM}.ipynb", capsys)
    assert any(words in line for line in said.splitlines() if line.startswith("fix   ")), said
    assert "Ready to hand in" not in said
    assert said.endswith("Fix what is marked, save, and run this cell again.\n")


def content_without(content: dict, name: str) -> None:
    content["cells"].remove(cell(content, name))


def test_magic_in_the_solution_cell_is_no_syntax_error(kernel, folder, capsys):
    kernel.history_manager.input_hist_raw.append(f"%load_ext autoreload\n{RIGHT}")
    said = looked_at(notebook(f"%load_ext autoreload\n{RIGHT}"), folder / f"{STEM}.ipynb", capsys)
    assert "Ready to hand in" in said


def test_stub_that_nobody_touched_is_not_to_be_saved_but_written(kernel, folder, capsys):
    kernel.history_manager.input_hist_raw.clear()
    content = notebook(f"{RIGHT}\n    raise E('Write your solution here')")
    said = looked_at(content, folder / f"{STEM}.ipynb", capsys)
    assert "is still the untouched stub. Write it in the solution cell" in said


def test_function_that_never_ran_is_said(kernel, folder, capsys):
    kernel.history_manager.input_hist_raw.clear()
    said = looked_at(notebook(), folder / f"{STEM}.ipynb", capsys)
    assert "has not run since the kernel started" in said


@pytest.mark.parametrize("name", [f"Copy of {STEM}.ipynb", f"{STEM} (1).ipynb"])
def test_renamed_file_is_found_and_its_name_is_to_be_mended(kernel, folder, capsys, name):
    (folder / "other.ipynb").write_text("{}")
    said = looked_at(notebook(), folder / name, capsys)
    assert f"fix   the file is called {name}: rename it to {STEM}.ipynb" in said


def test_jupyterlabs_own_word_for_the_file_goes_before_the_folder(kernel, folder, capsys, monkeypatch):
    (folder / f"{STEM}.ipynb").write_text(json.dumps(notebook("x = 1")))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("JPY_SESSION_NAME", str(elsewhere / f"{STEM}.ipynb"))
    said = looked_at(notebook(), elsewhere / f"{STEM}.ipynb", capsys)
    assert f"Ready to hand in: {elsewhere / STEM}.ipynb" in said
    assert "File, Download" in said


def test_file_renamed_since_the_kernel_started_is_found(kernel, folder, capsys, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "Untitled.ipynb"))
    assert "Ready to hand in" in looked_at(notebook(), folder / f"{STEM}.ipynb", capsys)


def test_vs_codes_word_for_the_file_is_taken(kernel, folder, capsys):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    kernel.user_ns["__vsc_ipynb_file__"] = str(elsewhere / f"{STEM}.ipynb")
    assert "Ready to hand in" in looked_at(notebook(), elsewhere / f"{STEM}.ipynb", capsys)


def colab(monkeypatch, answer) -> None:
    package, message = types.ModuleType("google.colab"), types.ModuleType("google.colab._message")
    package._message, message.blocking_request = message, answer
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab._message", message)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{STEM}.ipynb", "Ready to hand in. Download it: File, Download, Download .ipynb."),
        (f"Copy of {STEM}.ipynb", "click the name at the top of the page"),
    ],
)
def test_colab_is_asked_for_its_notebook(kernel, folder, capsys, monkeypatch, name, words):
    content = notebook()
    content["metadata"]["colab"] = {"name": name, "provenance": []}
    colab(monkeypatch, lambda kind, **options: {"ipynb": content} if kind == "get_ipynb" else None)
    check_hand_in(STEM)
    assert words in capsys.readouterr().out


def refuses(*arguments, **options):
    raise TimeoutError


@pytest.mark.parametrize("answer", [refuses, lambda *a, **o: None, lambda *a, **o: {"ipynb": {"cells": None}}])
def test_colab_that_gives_no_notebook_leads_to_advice(kernel, folder, capsys, monkeypatch, answer):
    colab(monkeypatch, answer)
    check_hand_in(STEM)
    said = capsys.readouterr().out
    assert "Colab did not show this notebook's file. Nothing was checked" in said
    assert f"{STEM}.ipynb" in said


def test_notebook_that_is_nowhere_leads_to_advice(kernel, folder, capsys):
    check_hand_in(STEM)
    assert "Nothing was checked" in capsys.readouterr().out


def test_broken_file_is_said_to_be_broken(kernel, folder, capsys):
    (folder / f"{STEM}.ipynb").write_text('{"cells": [')
    check_hand_in(STEM)
    said = capsys.readouterr().out
    assert said.startswith("fix   the notebook is broken")
    assert "Traceback" not in said


@pytest.mark.parametrize("stem", STEMS)
def test_every_release_has_the_cells_that_are_looked_for(stem):
    content = json.loads((ROOT / "release" / stem / f"{stem}.ipynb").read_text())
    ids = [cell["id"] for cell in content["cells"]]
    assert {SOLUTION_ID, *GRADED_IDS} <= set(ids)
    assert ids[-1] == "hand-in"
    assert cell(content, "hand-in")["source"][-1] == f'check_hand_in("{stem}")'
