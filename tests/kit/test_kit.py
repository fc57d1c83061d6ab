"""The kit as a whole: its variants' names, what it imports, and what its names do where a package is missing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import attention_lab
from attention_lab.variants import VARIANTS
from support.interpreters import python
from support.places import ROOT, STEMS


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_kit_never_imports_the_grading_package():
    for path in (ROOT / "src").rglob("*.py"):
        assert not any(name.startswith("attention_grading") for name in imports_of(path)), path


@pytest.mark.process
def test_worker_survives_without_drawing_matplotlib():
    code = "import sys, attention_lab; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.process
@pytest.mark.parametrize(("package", "name"), [("torch", "check"), ("matplotlib", "mask_heatmap")])
def test_kits_names_without_a_package_end_in_two_lines(package, name):
    code = f"""
import sys
sys.modules[{package!r}] = None
try:
    from attention_lab import {name}
except ImportError as error:
    print(*error._render_traceback_(), sep="\\n")
"""
    lines = python(code).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{package} is not installed for this Python")
    assert lines[1].endswith("Then restart the kernel and run the cell again.")


def test_name_that_the_kit_does_not_have_stays_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'atention_map'"):
        attention_lab.atention_map  # noqa: B018


THE_SIX = [
    "01_eager_bidirectional",
    "02_eager_causal",
    "03_sdpa_bidirectional",
    "04_sdpa_causal",
    "05_flash_bidirectional",
    "06_flash_causal",
]


def test_the_six_variants_have_the_contracts_names_and_come_first():
    assert STEMS[: len(THE_SIX)] == THE_SIX
    assert all(variant.function_name == f"{variant.stem[3:]}_attention" for variant in VARIANTS.values())
