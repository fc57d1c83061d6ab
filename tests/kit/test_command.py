"""``attention-lab``: what its commands take, say and return."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attention_lab import cli
from attention_lab.cli import main
from attention_lab.notebook import visible_checks
from attention_lab.variants import VARIANTS
from support.interpreters import without
from support.places import ROOT


@pytest.mark.parametrize("name", ["\x1b[2J.ipynb", "\x1b]0;x\x07.ipynb", "a\udcffb.ipynb"])
def test_escape_sequences_in_a_files_name_do_not_reach_the_learners_terminal(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    monkeypatch.chdir(tmp_path)
    assert main(["check", name]) == 2
    Path(name).write_text("{}")
    assert main(["check", name]) == 2  # it names no variant
    other = name.replace(".ipynb", ".txt")
    os.rename(name, other)
    visible_checks.main("eager_causal", other)
    monkeypatch.setattr(cli.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    main(["check", "--variant", "eager_causal", other])
    said = capsys.readouterr()
    assert said.err.count("?") >= 2
    assert said.out.count("?") >= 2
    assert not {"\x1b", "\x07", "\udcff"} & set(said.out + said.err)


def test_check_says_first_that_it_runs_code_unconfined(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    path = tmp_path / "eager_causal.py"
    path.write_text("print('ran')")
    monkeypatch.setattr(cli.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    main(["check", str(path)])
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "Judging eager_causal.py."
    assert "unconfined, as your own account" in second


@pytest.mark.parametrize(("visible", "code"), [(0, cli.NO_JUDGE), (1, 1)])
def test_check_without_a_judge_never_says_that_all_is_right(visible, code, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    path = tmp_path / "eager_causal.py"
    path.write_text("")
    monkeypatch.setattr(cli.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], visible))
    assert main(["check", str(path)]) == code
    assert "Visible checks only" in capsys.readouterr().out


def test_commands_that_judge_nothing_do_not_wait_for_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, attention_lab.cli; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


@pytest.mark.process
def test_check_command_judges_notebooks_and_says_so_by_exit_code(tmp_path):
    stem = VARIANTS["eager_causal"].stem
    right_notebook = ROOT / "source" / stem / f"{stem}.ipynb"
    stub = ROOT / "release" / stem / f"{stem}.ipynb"
    command = [sys.executable, "-m", "attention_lab.cli", "check"]
    good = subprocess.run([*command, str(right_notebook)], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "10 of 10" in good.stdout
    bad = subprocess.run([*command, str(stub), str(right_notebook)], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "not implemented yet" in bad.stdout
    unnamed = tmp_path / "x.ipynb"
    unnamed.write_bytes(stub.read_bytes())
    unknown = subprocess.run([*command, str(unnamed)], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
    assert "--variant" in unknown.stderr


@pytest.mark.parametrize(("name", "says"), [("eager_causal.ipynb", "there is no such file"), (".", "is a folder")])
def test_check_command_refuses_what_is_no_file(tmp_path, capsys, name, says):
    assert main(["check", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


@pytest.mark.process
def test_check_without_a_judge_runs_the_visible_checks_alone(tmp_path):
    stem = VARIANTS["eager_causal"].stem
    path = ROOT / "source" / stem / f"{stem}.ipynb"
    command = [sys.executable, "-m", "attention_lab.notebook.visible_checks", "eager_causal", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "passed  invariants" in done.stdout


@pytest.mark.process
def test_check_without_torch_says_so_in_two_sentences():
    done = without("torch", ["check", "02_eager_causal.ipynb"])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("attention-lab: torch is not installed for this Python")
    assert "Install it: " in done.stderr


def test_tutor_prints_the_prompt_in_letters_that_every_terminal_and_clipboard_takes(capsys):
    assert main(["tutor"]) == 0
    prompt = capsys.readouterr().out
    assert prompt.isascii()
    assert prompt.startswith("# Socratic tutor\n")
    first = "Which notebook are you in, and which check fails?"
    assert prompt.index("Your first reply") < prompt.index(first) < prompt.index("## Rules")
    assert "1. At most two sentences and one question per reply." in prompt


def test_tutor_steers_through_every_notebook():
    prompt = (ROOT / "src" / "attention_lab" / "data" / "socratic_prompt.md").read_text()
    for variant in VARIANTS.values():
        if variant.number <= 6:
            assert f"**{variant.stem[:2]} " in prompt


@pytest.mark.process
def test_endless_loop_is_named_by_its_line(tmp_path, capsys, monkeypatch):
    path = tmp_path / "eager_causal.py"
    head = "def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):"
    path.write_text(f"{head}\n    i = 0\n    while i < 10:\n        i -= 1\n    return v\n")
    monkeypatch.setattr(visible_checks, "CHECKS_SECONDS", 1.0)
    assert visible_checks.main("eager_causal", str(path)) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"  FAILED  your function did not finish within 1 s \(line [34]: .*\)", first), first
    assert second.strip() == "look for a loop that never ends"


@pytest.mark.process
def test_endless_cell_beside_the_function_costs_nothing(tmp_path, capsys, monkeypatch):
    content = json.loads((ROOT / "source" / "02_eager_causal" / "02_eager_causal.ipynb").read_text())
    endless = {"cell_type": "code", "id": "own", "metadata": {}, "source": "while True:\n    pass", "outputs": []}
    content["cells"].insert(0, endless)
    path = tmp_path / "02_eager_causal.ipynb"
    path.write_text(json.dumps(content))
    monkeypatch.setattr(visible_checks, "CELLS_SECONDS", 1.0)
    assert visible_checks.main("eager_causal", str(path)) == 0
    assert "note: cell 1 raised KeyboardInterrupt (cell 1, line " in capsys.readouterr().out
