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
