"""``attention-grading judge``: what it prints, and exit codes."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from attention_grading.judging.command import print_verdict
from attention_grading.judging.verdict import not_judged
from attention_lab.variants import POINTS, VARIANTS
from support.answers import RIGHT

pytestmark = pytest.mark.process


def test_command_prints_one_json_object_a_file_in_order(write):
    files = [str(write("right.py", RIGHT)), str(write("broken.py", "def f(:")), str(write("no.ipynb", "{"))]
    command = [sys.executable, "-m", "attention_grading.cli", "judge", "eager_causal", "--json", *files]
    done = subprocess.run([*command, "missing.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [verdict["score"] for verdict in verdicts] == [10, 0, 0, 0]
    for verdict in verdicts:
        assert set(verdict) == {"variant", "score", "max_score", "checks"}
        assert [check["name"] for check in verdict["checks"]] == list(POINTS)
        for check in verdict["checks"]:
            assert set(check) == {"name", "points", "earned", "passed", "message", "diagnosis"}


def test_command_refuses_an_unknown_variant_with_exit_code_2(write):
    command = [sys.executable, "-m", "attention_grading.cli", "judge", "eager", str(write("a.py", ""))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "eager_bidirectional" in done.stderr


def test_escape_sequences_in_a_files_name_do_not_reach_the_judges_terminal():
    file = io.StringIO()
    console = Console(file=file, highlight=False, soft_wrap=True)
    bad = not_judged(VARIANTS["eager_causal"], "no \x1b[2J cell", ["a \x1b]0;title\x07 note"])
    print_verdict(console, "a\x1b[2J\udcff\u202e.ipynb", bad)
    assert "a.ipynb" in file.getvalue()
    assert "\x1b" not in file.getvalue()
    assert "\x07" not in file.getvalue()


def test_ctrl_c_ends_it_in_one_line(write):
    files = [str(write("right.py", RIGHT)), str(write("endless.py", "while True:\n    pass"))]
    command = [sys.executable, "-m", "attention_grading.cli", "judge", "eager_causal", "--json", *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as judging:
        assert json.loads(judging.stdout.readline())["score"] == 10
        judging.send_signal(signal.SIGINT)
        _, said = judging.communicate(timeout=20)
    assert said == "attention-grading: stopped by Ctrl-C\n"
    assert judging.returncode == 130
