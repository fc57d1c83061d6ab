"""How grading starts: only what is needed, and once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from attention_grading.execution.workers import JUDGE_WORKER, NOTEBOOK_WORKER
from support.classes import SMALL_CLASS, grade_command, graded_students, wide

pytestmark = pytest.mark.nbgrader


def test_command_that_only_plans_and_records_never_imports_torch(small: Path):
    """It takes more than a second, which is all lost where another process judges."""
    code = (
        "import sys; from attention_grading.cli import main\n"
        "print(main(['grade', '--student', 'ann', '--verdict-only']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=wide(), check=False)
    assert done.stdout.splitlines()[-1] == "0 False", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "kinds"), [(["--verdict-only"], [JUDGE_WORKER]), ([], [JUDGE_WORKER, NOTEBOOK_WORKER])]
)
def test_processes_are_as_many_as_submissions_and_those_for_pictures_only_when_they_are_due(small, options, kinds):
    """And what they import is imported once for all of them."""
    command = grade_command("--workers", "3", "--student", "ann", "bob", *options)
    process = subprocess.Popen(command, cwd=small, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=wide())
    seen: dict[psutil.Process, tuple[str, int]] = {}
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                line = " ".join(child.cmdline())  # right after its fork, it is its parent's
                seen[child] = (line or seen[child][0], seen[child][1] if child in seen else child.ppid())
            except (psutil.Error, KeyError):
                continue
        time.sleep(0.02)
    assert process.returncode == 0, process.stdout.read()
    assert graded_students(small) == {"ann", "bob"} < SMALL_CLASS.keys()
    roots = {child.pid: line for child, (line, parent) in seen.items() if parent == process.pid}
    (warm,) = [line for line in roots.values() if "warm_process" in line]
    assert [kind for kind in (JUDGE_WORKER, NOTEBOOK_WORKER) if kind in warm] == kinds
    assert warm.find(NOTEBOOK_WORKER) in (-1, warm.rfind("attention_grading"))  # last: functions get nothing of it
    (pool,) = [pid for pid, line in roots.items() if "forkserver" in line]
    assert len([child for child, (_, parent) in seen.items() if parent == pool]) == 2
