"""A student in JupyterLab as ``make lab`` opens it: from START to the hand-in, Validate, both themes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from attention_grading.authoring.demo_class import MISTAKES
from attention_lab.environment.start import VALIDATE_CAVEAT
from attention_lab.notebook.learner_cells import SOLUTION_ID
from support.lab.page import LabPage
from support.lab.server import LabServer, lab_server

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium")]

FIRST, CAUSAL, FLASH = "01_eager_bidirectional", "02_eager_causal", "05_flash_bidirectional"
TILED = "07_tiled_causal"  # of part two
CHECKS = ("test-contract", "test-invariants")
Visit = Callable[[LabServer], LabPage]


@pytest.fixture(scope="module")
def server(course_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    with lab_server(course_root, "student", tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
def open_release(server: LabServer, visit: Visit, request: pytest.FixtureRequest) -> Callable[[str], LabPage]:
    """Open a release that nobody has worked in yet."""

    def open_release(stem: str) -> LabPage:
        folder = server.root / "release" / request.node.name
        shutil.copytree(server.root / "release" / stem, folder)
        lab = visit(server)
        lab.open(f"{folder.name}/{stem}.ipynb")
        return lab

    return open_release


def right_solution(root: Path, stem: str) -> str:
    notebook = nbformat.read(root / "source" / stem / f"{stem}.ipynb", as_version=4)
    return next(cell.source for cell in notebook.cells if cell.id == SOLUTION_ID)


def validate(lab: LabPage) -> LabPage:
    """Press Validate, as it says at the end of each notebook; its dialog stands open then."""
    lab.execute("docmanager:save")
    lab.page.locator("jp-button.validate-button").click()
    lab.page.locator(".jp-Dialog-body").wait_for()
    return lab


def test_student_sees_validate_and_nothing_that_instructors_need(server, visit):
    lab = visit(server)
    names = lab.page.locator(".jp-DirListing-itemName")
    expect(names.filter(has_text=CAUSAL)).to_be_visible()
    assert not {"source", "grading", "tests"} & {*names.all_inner_texts()}
    commands = [name for name in lab.commands() if name.startswith("nbgrader")]
    assert commands == []
    expect(lab.page.locator(".lm-MenuBar-item", has_text="Nbgrader")).to_have_count(0)
    expect(lab.page.get_by_text("Create Assignment")).to_have_count(0)
    lab.open(f"{CAUSAL}/{CAUSAL}.ipynb")
    expect(lab.page.locator("jp-button.validate-button")).to_be_visible()
    lab.shoot("first_sight")


def test_first_ten_minutes_lead_from_start_to_a_notebook_that_is_ready_to_hand_in(server, visit):
    lab = visit(server)
    start = lab.page.locator(".jp-MarkdownViewer")
    expect(start.get_by_role("heading", name="start here")).to_be_visible()  # rendered, and in front
    lab.shoot_widths("start")
    lab.follow(start.get_by_role("link", name="lesson L0"), "L0_attention_step_by_step")
    lab.shoot_widths("lesson_L0")
    lab.page.locator(".lm-TabBar-tab", has_text="START.md").click()
    lab.follow(start.get_by_role("link", name="notebook 01"), FIRST)
    lab.shoot_widths("first_notebook")
    lab.run_all()
    assert "not implemented yet" in lab.error_lines("test-contract")[0]
    assert "the untouched stub" in lab.outputs("hand-in").inner_text()
    lab.write(SOLUTION_ID, MISTAKES["eager_bidirectional"].strip())
    lab.run_all()
    assert len(lab.error_lines("test-invariants")) == 3
    assert "points" in lab.outputs("judge-all").inner_text()
    lab.outputs("test-invariants").last.scroll_into_view_if_needed()
    lab.shoot_widths("first_wrong")
    lab.write(SOLUTION_ID, right_solution(server.root, FIRST))
    lab.execute("docmanager:save")
    lab.run_all()
    assert "10 of 10 points" in lab.outputs("judge-all").inner_text()
    assert "Ready to hand in" in lab.outputs("hand-in").inner_text()
    lab.cell("hand-in").scroll_into_view_if_needed()
    lab.shoot_widths("first_ready")


@pytest.mark.parametrize("stem", [CAUSAL, FLASH, TILED])
def test_stub_runs_to_the_end_with_pictures_and_three_lines_a_check(open_release, stem):
    lab = open_release(stem)
    lab.run_all()
    assert lab.pictures("mask-picture") >= 1
    for name in CHECKS:
        first, second, third = lab.error_lines(name)
        assert "not implemented yet" in first
        assert second.startswith("expected ")
        assert third.startswith("look at ")
    assert "attention_map.py" not in lab.outputs("attention-map").inner_text()  # the traceback is the learner's alone
    assert lab.was_run("test-kernel")  # the last graded cell
    assert lab.too_wide() == []
    lab.shoot_notebook(f"stub_{stem[:2]}")


@pytest.mark.parametrize("stem", [CAUSAL, TILED])
def test_right_solution_passes_draws_its_map_and_validates(open_release, server, stem):
    lab = open_release(stem)
    lab.write(SOLUTION_ID, right_solution(server.root, stem))
    lab.run_all()
    for name in CHECKS:
        for line in lab.outputs(name).inner_text().strip().split("\n"):
            assert line.startswith("passed: "), line
    assert lab.pictures("attention-map") == 1
    assert "No weight falls on a masked key." in lab.alt_text("attention-map")
    assert lab.too_wide() == []
    lab.shoot_notebook(f"right_{stem[:2]}")
    validate(lab)
    dialog = lab.page.locator(".nbgrader-SuccessDialog .jp-Dialog-body")
    assert "Success!" in dialog.inner_text()
    assert dialog.evaluate("body => getComputedStyle(body, '::after').content") == f'"{VALIDATE_CAVEAT}"'
    lab.shoot(f"right_validated_{stem[:2]}")


def test_wrong_solution_is_told_in_three_lines_by_check_and_validate_and_its_leak_is_drawn(open_release):
    lab = open_release(CAUSAL)
    lab.write(SOLUTION_ID, MISTAKES["eager_causal"].strip())
    lab.run_all()
    lines = lab.error_lines("test-invariants")
    assert len(lines) == 3
    assert lines[0].startswith("[causal")
    assert "leak" in lab.alt_text("attention-map")
    assert lab.too_wide() == []
    lab.shoot_notebook("wrong")
    validate(lab)
    dialog = lab.page.locator(".nbgrader-ErrorDialog .jp-Dialog-body")
    for line in lines:
        assert line in dialog.inner_text()
    assert "Traceback" not in dialog.inner_text()
    assert dialog.evaluate("body => getComputedStyle(body, '::after').content") == f'"{VALIDATE_CAVEAT}"'
    lab.shoot("wrong_validated")


def test_dark_theme_keeps_text_and_pictures_legible(open_release, server):
    lab = open_release(CAUSAL)
    lab.set_theme("JupyterLab Dark")
    lab.write(SOLUTION_ID, right_solution(server.root, CAUSAL))
    lab.run_all()
    assert lab.pictures("attention-map") == 1
    assert lab.too_wide() == []
    lab.shoot_notebook("dark")
    validate(lab)
    lab.shoot("dark_validated")
    lab.set_theme("JupyterLab Light")
