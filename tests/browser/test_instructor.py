"""An instructor in Formgrader, as ``make lab-instructor`` opens it: from the release to the feedback page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import FrameLocator, expect

from attention_grading.authoring.demo_class import MISTAKES
from attention_lab.notebook.learner_cells import SOLUTION_ID
from support.lab.page import LabPage
from support.lab.server import LabServer, lab_server

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium")]

STEM = "02_eager_causal"
FILE = f"{STEM}/{STEM}.ipynb"


@pytest.fixture(scope="module")
def server(course_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    (course_root / "release" / FILE).unlink()  # Formgrader makes it
    with lab_server(course_root, "instructor", tmp_path_factory.mktemp("home")) as server:
        yield server


def hand_in(root: Path, student: str, solution: str) -> None:
    notebook = nbformat.read(root / "release" / FILE, as_version=4)
    next(cell for cell in notebook.cells if cell.id == SOLUTION_ID).source = solution
    path = root / "submitted" / student / FILE
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def success(lab: LabPage, formgrader: FrameLocator, shot: str) -> None:
    """Wait for Formgrader's word that all went well, keep its picture and close it."""
    dialog = formgrader.locator(".modal.in")
    expect(dialog.locator(".modal-title")).to_have_text("Success")
    lab.shoot(shot)
    dialog.get_by_role("button", name="OK").click()
    expect(formgrader.locator(".modal-backdrop")).to_have_count(0)


def test_formgrader_generates_a_release_autogrades_and_writes_feedback(
    server: LabServer, visit: Callable[[LabServer], LabPage]
) -> None:
    lab = visit(server)
    assert {"nbgrader:open-formgrader", "nbgrader:open-create-assignment"} <= set(lab.commands())
    lab.execute("nbgrader:open-formgrader")
    formgrader = lab.page.frame_locator("iframe")
    assignment = formgrader.locator("tr", has=formgrader.get_by_role("link", name=STEM, exact=True))
    assignment.wait_for()
    lab.shoot("assignments")
    assignment.locator("td.assign a").click()
    success(lab, formgrader, "generated")
    assert "HIDDEN TESTS" not in (server.root / "release" / FILE).read_text()

    hand_in(server.root, "ada", MISTAKES["eager_causal"].strip())
    formgrader.get_by_role("link", name="Manage Assignments").click()
    assignment.locator("td.num-submissions a").click()
    submission = formgrader.locator("tr", has=formgrader.locator("td.student-id", has_text="ada"))
    expect(submission.locator("td.status")).to_have_text("needs autograding")
    submission.locator("td.autograde a").click()
    success(lab, formgrader, "autograded")
    expect(submission.locator("td.status")).to_have_text("graded")
    expect(submission.locator("td.score")).to_have_text("4 / 10")
    submission.locator("td.generate-feedback a").click()
    success(lab, formgrader, "feedback_written")
    lab.shoot("submissions")

    lab.execute("docmanager:open", path=f"feedback/ada/{STEM}/{STEM}.html", factory="HTML Viewer")
    feedback = lab.page.frame_locator(".jp-HTMLViewer iframe")
    expect(feedback.get_by_text(f"{STEM}: 4 of 10 points")).to_be_visible()
    lab.shoot("feedback_in_jupyterlab")
    page = lab.show(f"feedback/ada/{STEM}/{STEM}.html", "feedback")
    assert "diagnosis: causal-dropped-with-mask" in page
    for hidden in ("HIDDEN TESTS", "attention_grading import", "{{"):
        assert hidden not in page
