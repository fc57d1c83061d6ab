"""``attention-grading``: help and wrong usage answer at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


@pytest.mark.parametrize("arguments", [["--help"], [], ["no-such-command"]])
def test_help_and_wrong_usage_import_neither_torch_nor_nbgrader(arguments):
    code = (
        "import sys; from attention_grading.cli import main\n"
        f"try:\n    main({arguments})\nfinally:\n    print({{'torch', 'nbgrader'}} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "set()"
    assert (ended.returncode, ended.stderr == "") == ((0, True) if arguments == ["--help"] else (2, False))


@pytest.mark.parametrize("module", ["classroom.command", "report.command", "lms.return_command"])
def test_no_command_parses_a_grammar_before_it_starts(module):
    """jsonschema's, of web addresses: two to three seconds in each process."""
    code = f"import sys, attention_grading.cli, attention_grading.{module}; print('lark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("option", "ahead"), [([], [False]), (["--seconds", "5"], [False]), (["--device", "cpu"], []), (["--help"], [])]
)
def test_judge_starts_what_runs_the_code_before_it_imports_its_own(option, ahead):
    code = (
        "import sys; from attention_grading import cli; from attention_grading.sandbox import warm_server\nseen = []\n"
        "warm_server.start_ahead = lambda *arguments: seen.append('torch' in sys.modules)\n"
        f"try:\n    cli.main(['judge', 'no_such_variant', 'file.py', *{option}])\nfinally:\n    print(seen)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == str(ahead), done.stderr
