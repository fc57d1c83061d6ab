"""Other Pythons, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in this interpreter, with these variables added to the environment."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def without(package: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run ``attention-lab`` where a package cannot be found."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; from attention_lab.cli import main; sys.exit(main({arguments}))"
    )
    return python(code)
