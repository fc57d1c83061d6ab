"""Fixtures of the browser tests: Debian's Chromium, a course root, and pages of the JupyterLab in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from attention_grading.authoring.course_root import prepare
from support.lab.page import SECONDS, LabPage, visiting
from support.lab.server import LabServer
from support.places import ROOT

SHOTS = ROOT / "build" / "screenshots"  # for people to look at
FLAGS = (
    "--no-sandbox",  # the pages are this course's own, and root has no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; it ends with the module, since Playwright keeps an event loop that other tests could trip over."""
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def course_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course root as it is cloned: sources, and all that students get."""
    folder = tmp_path_factory.mktemp("browser") / "course"
    prepare(ROOT, folder)
    shutil.copytree(ROOT / "release", folder / "release")
    return folder


@pytest.fixture(scope="module")
def shots(request: pytest.FixtureRequest) -> Path:
    """Folder of the module's screenshots."""
    folder = SHOTS / request.path.stem.removeprefix("test_")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visit(browser: Browser, shots: Path) -> Iterator[Callable[[LabServer], LabPage]]:
    """Open JupyterLab in a fresh page."""
    with ExitStack() as pages:
        yield lambda server: pages.enter_context(visiting(browser, server, shots))
