"""What goes to a worker with a submission: the code, and not the outputs that nobody reads there."""

from __future__ import annotations

import json

import pytest

from attention_grading.classroom.handed_in import HandedIn, read_tasks
from attention_grading.nbgrader_plugin.course import load_course
from attention_grading.notebooks.transplant import notebook_of
from support.classes import SMALL_POINTS, STEM, points, run

pytestmark = pytest.mark.nbgrader


def test_large_outputs_stay_here_and_cost_nobody_anything(small):
    path = small / "submitted" / "ann" / STEM / f"{STEM}.ipynb"
    notebook = json.loads(path.read_text())
    plain = notebook_of(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            picture = {"output_type": "display_data", "data": {"image/png": "A" * 300_000}, "metadata": {}}
            cell["outputs"] = [picture]
        else:
            cell["attachments"] = {"photo.png": {"image/png": "A" * 300_000}}
    path.write_text(json.dumps(notebook))
    assert path.stat().st_size > 5_000_000
    course = load_course(small)
    (task,) = read_tasks(course, HandedIn("ann", STEM, path.parent), [path])
    assert len(task.text) < 100_000
    assert notebook_of(task.text) == plain
    assert run("--verdict-only") == 0
    assert points(small) == SMALL_POINTS


def test_a_large_file_that_is_no_notebook_keeps_its_reason(small):
    path = small / "submitted" / "ann" / STEM / f"{STEM}.ipynb"
    path.write_text("<html>" + "x" * 1_000_000)
    (task,) = read_tasks(load_course(small), HandedIn("ann", STEM, path.parent), [path])
    assert task.text is None
    assert "a web page" in task.reason
