"""Judging takes the grading package alone; what a class takes besides is an extra, and its absence is one sentence."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from attention_grading.cli import COMMANDS

ROOT = Path(__file__).parents[2]
JUDGE = ("attention_grading.judging.command", "attention_grading.judging.session")
WORKER = "attention_grading.execution.judge_worker"
MODULES = {"ipython": "IPython", "python-dateutil": "dateutil"}  # where a package's name is not its module's


def class_packages() -> set[str]:
    """The modules of the extra ``class``."""
    project = tomllib.loads((ROOT / "grading" / "pyproject.toml").read_text())["project"]
    names = {text.partition(">")[0] for text in project["optional-dependencies"]["class"]}
    return {MODULES.get(name, name) for name in names}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("modules", [(*JUDGE, WORKER, "attention_grading"), (WORKER,)])
def test_judging_loads_nothing_of_the_class_extra(modules):
    done = python(
        f"import sys, {', '.join(modules)}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    )
    loaded = set(done.stdout.split())
    assert "attention_grading" in loaded, done.stderr
    assert not loaded & class_packages()
    assert not [name for name in loaded if name.startswith("jupyter")]


def test_judge_works_where_nothing_of_the_class_extra_is_installed(write):
    answer = "def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):\n    return v\n"
    path = write("answer.py", answer)
    absent = f"import sys; sys.modules.update(dict.fromkeys({sorted(class_packages())}))\n"
    done = python(
        f"{absent}from attention_grading.cli import main; sys.exit(main(['judge', 'eager_causal', {str(path)!r}]))"
    )
    assert done.returncode == 0, done.stderr
    assert "of 10 points (eager_causal)" in done.stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "judge"])
def test_command_without_the_class_extra_says_in_one_sentence_what_brings_it(command):
    absent = f"import sys; sys.modules.update(dict.fromkeys({sorted(class_packages())}))\n"
    done = python(f"{absent}from attention_grading.cli import main; sys.exit(main([{command!r}]))")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    package = line.removeprefix("attention-grading: ").partition(" ")[0]
    assert package in class_packages()
    assert line.endswith(f'{command} needs it. In the course\'s checkout: pip install -e . -e "grading[class]"')


def test_fault_of_our_own_is_not_taken_for_a_missing_package():
    absent = "import sys; sys.modules['attention_grading.text'] = None\n"
    done = python(f"{absent}from attention_grading.cli import main; sys.exit(main(['judge']))")
    assert "Traceback" in done.stderr
    assert "pip install" not in done.stderr
