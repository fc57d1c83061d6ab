"""How grading starts: only what is needed, and once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.classes import wide

pytestmark = pytest.mark.nbgrader


def test_command_that_only_plans_and_records_never_imports_torch(small: Path):
    """It takes more than a second, which is all lost where another process judges."""
    code = (
        "import sys; from attention_grading.cli import main\n"
        "print(main(['grade', '--student', 'ann', '--verdict-only']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=wide(), check=False)
    assert done.stdout.splitlines()[-1] == "0 False", done.stdout + done.stderr
