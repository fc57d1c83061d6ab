"""Adding a variant takes one notebook and one module: this adds one to a copy of the course, and uses it.

It is number 13, and none of the course's: 02's eager attention within 09's window, with padding.

CONTRIBUTING.md, "Add a variant", tells this test in words.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from support.places import ROOT

pytestmark = [pytest.mark.process, pytest.mark.nbgrader]

STEM, NAME = "13_eager_window_causal", "eager_window_causal"

# The module: what the variant is
MODULE = '''
"""13: eager, causal, within a sliding window."""

from attention_lab.variants.variant import Option, Variant

VARIANT = Variant(
    number=13,
    name="eager_window_causal",
    title="Eager causal attention within a window",
    kernel="eager",
    inputs="padded",
    rules=("causal", "window", "padding"),
    options=(Option("window", toy=3, drawn=(1, 2, 3, 5, 80)),),
)
'''

# The notebook: lesson 02's, with another function in it
SOLUTION = """
def eager_window_causal_attention(q, k, v, num_heads, head_dim, window, mask=None):
    ### BEGIN SOLUTION
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    ones = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device)
    allowed = ones.tril() & ones.triu(1 - window)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(-2)
    ### END SOLUTION
""".strip()
WRONG = {
    "one key too many": (SOLUTION.replace("1 - window", "-window"), "window-off-by-one"),
    "one key too few": (SOLUTION.replace("1 - window", "2 - window"), "window-off-by-one"),
    "no window": (SOLUTION.replace("& ones.triu(1 - window)", ""), "window-missing"),
    "no triangle": (SOLUTION.replace("ones.tril() &", ""), "causal-missing"),
    "no mask": (SOLUTION.replace("mask is not None", "False"), "mask-ignored"),
}


def notebook() -> nbformat.NotebookNode:
    master = nbformat.read(ROOT / "source" / "02_eager_causal" / "02_eager_causal.ipynb", as_version=4)
    for cell in master.cells:
        cell.source = cell.source.replace("02_eager_causal", STEM).replace("eager_causal", NAME)
        cell.source = cell.source.replace("padded_batch(", "padded_batch(window=3, ")
        if cell.id == "solution":
            cell.source = SOLUTION
    return master


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course with the notebook and the module in it, and nothing else."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("src", "grading", "source", "course.toml", "nbgrader_config.py"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "src" / "attention_lab" / "variants" / "course" / f"{NAME}.py").write_text(MODULE)
    (folder / "source" / STEM).mkdir()
    nbformat.write(notebook(), folder / "source" / STEM / f"{STEM}.ipynb")
    return folder


def run(course: Path, *command: str, cwd: Path | None = None) -> str:
    path = os.pathsep.join([str(course / "src"), str(course / "grading" / "src")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd or course, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def judged(course: Path, folder: Path, *sources: str) -> list[dict[str, Any]]:
    paths = []
    for number, source in enumerate(sources):
        paths.append(folder / f"answer-{number}.py")
        paths[-1].write_text(source)
    out = run(course, "-m", "attention_grading.cli", "judge", NAME, *map(str, paths), "--json")
    return [json.loads(line) for line in out.splitlines()]


def test_right_answer_gets_all_points_and_each_mistake_its_name(course, tmp_path):
    right, *wrong = judged(course, tmp_path, SOLUTION, *(source for source, _ in WRONG.values()))
    assert right["score"] == 10, right
    for (what, (_, name)), verdict in zip(WRONG.items(), wrong, strict=True):
        assert verdict["score"] < 10, what
        found = {check["diagnosis"].partition(":")[0] for check in verdict["checks"] if check["diagnosis"]}
        assert name in found, (what, verdict)


DRAWS = """
import math, sys, torch, torch.nn.functional as F
from attention_lab import CheckFailed, attention_heatmap, attention_map, check, mask_heatmap, padded_batch
from attention_lab.maps.masks import masked_cells
from attention_lab.rules import Reason

NAME = "eager_window_causal"
batch = padded_batch(window=3, padding="left")
right, wide = {}, {}
exec(sys.argv[1], globals(), right), exec(sys.argv[2], globals(), wide)
right, wide = right[f"{NAME}_attention"], wide[f"{NAME}_attention"]

cells = masked_cells(NAME, batch)
assert cells[0, 5].tolist() == [Reason.WINDOW] * 3 + [Reason.VISIBLE] * 3, cells[0]
assert cells[1, 5].tolist() == [Reason.PADDING] * 2 + [Reason.WINDOW] + [Reason.VISIBLE] * 3, cells[1]
figure = mask_heatmap(NAME, batch)
legend = [text.get_text() for text in figure.legends[0].get_texts()]
assert "window: the key is too far back" in legend, legend
assert "No weight falls" in attention_heatmap(NAME, batch, attention_map(right, batch)).caption
leaking = attention_heatmap(NAME, batch, attention_map(wide, batch)).caption
assert "which lies outside the window" in leaking, leaking

for name in ("contract", "invariants"):
    check(NAME, name, right)
try:
    check(NAME, "invariants", wide)
except CheckFailed as failed:
    assert str(failed).startswith("[window] the output at"), failed
else:
    raise AssertionError("a window that is too wide passes the visible checks")
"""


def test_maps_and_visible_checks_know_the_window(course):
    run(course, "-c", DRAWS, SOLUTION, WRONG["one key too many"][0])


def test_class_is_graded_on_it(course, tmp_path):
    root = tmp_path / "course"
    run(course, "-c", f"import pathlib; from attention_grading.authoring.course_root import prepare; "
        f"prepare(pathlib.Path({str(course)!r}), pathlib.Path({str(root)!r}))")  # fmt: skip
    run(course, "-m", "nbgrader", "generate_assignment", STEM, cwd=root)
    released = nbformat.read(root / "release" / STEM / f"{STEM}.ipynb", as_version=4)
    solution = next(cell for cell in released.cells if cell.id == "solution")
    for student, source in (("right", SOLUTION), ("wrong", WRONG["one key too many"][0])):
        solution.source = source
        folder = root / "submitted" / student / STEM
        folder.mkdir(parents=True)
        nbformat.write(released, folder / f"{STEM}.ipynb")
    run(course, "-m", "attention_grading.cli", "grade", "--workers", "1", cwd=root)
    run(course, "-m", "nbgrader", "export", "--to=grades.csv", cwd=root)
    rows = [line.split(",") for line in (root / "grades.csv").read_text().splitlines()]
    scores = {row[rows[0].index("student_id")]: float(row[rows[0].index("score")]) for row in rows[1:]}
    assert scores["right"] == 10
    assert scores["wrong"] < 10
    graded = nbformat.read(root / "autograded" / "wrong" / STEM / f"{STEM}.ipynb", as_version=4)
    pictures = [
        cell.id for cell in graded.cells for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})
    ]
    assert {"mask-picture", "attention-map"} <= set(pictures)
