"""nbgrader's whole round on the demo's class: scores, reasons, feedback, and what must not leak."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from attention_grading.authoring.demo_class import MISTAKES, STUDENTS
from attention_lab.variants import VARIANTS
from support.places import ROOT, STEMS

pytestmark = pytest.mark.nbgrader


def scores(course: Path) -> dict[tuple[str, str], float]:
    with (course / "grades.csv").open(newline="") as file:
        return {(row["student_id"], row["assignment"]): float(row["score"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("stem", STEMS)
def test_right_student_gets_full_marks_and_blank_and_broken_ones_none(course, stem):
    got = scores(course)
    assert got["all-right", stem] == 10
    assert got["blank", stem] == 0
    assert got["syntax-error", stem] == 0
    assert got["broken-file", stem] == 0
    assert 0 < got["one-mistake", stem] < 10


# A further variant's mistake has some name
NAMES = {
    "01_eager_bidirectional": "missing-scale",
    "02_eager_causal": "causal-dropped-with-mask",
    "03_sdpa_bidirectional": "mask-inverted",
    "04_sdpa_causal": "mask-ignored",
    "05_flash_bidirectional": "sequences-not-separated",
    "06_flash_causal": "causal-missing",
    "07_tiled_causal": "accumulator-not-rescaled",
    "08_grouped_causal": "key-heads-in-turn",
    "09_window_causal": "window-off-by-one",
    "10_cached_decode": "causal-top-left",
    "11_packed_positions": "borders-at-zeros-only",
    "12_flex_document": "window-off-by-one",
}


@pytest.mark.parametrize(("stem", "name"), [(stem, NAMES.get(stem, "")) for stem in STEMS])
def test_each_mistake_is_named_in_the_feedback(course, stem, name):
    page = (course / "feedback" / "one-mistake" / stem / f"{stem}.html").read_text()
    assert f"diagnosis: {name}" in page


def test_demo_prints_the_table_and_the_reasons(course):
    out = (course / "demo.out").read_text()
    for student in STUDENTS:
        assert student in out
    assert "gradebook" in out
    assert "missing-scale" in out
    assert "not valid JSON" in re.sub(r"[\s│]+", " ", out)


def test_broken_file_is_reported_by_name(course):
    log = (course / "nbgrader.log").read_text()
    for stem in STEMS:
        assert f"broken-file, {stem}: cannot be judged: the notebook is broken" in log


def test_feedback_and_release_show_no_hidden_code(course):
    pages = [*(course / "feedback").rglob("*.html"), *(course / "release").rglob("*.ipynb")]
    handed_in = [*(course / "submitted").glob("*/*")]
    assert len(pages) == len(handed_in) + len(STEMS)
    for page in pages:
        text = page.read_text()
        assert "{{course}}" not in text, page  # nor any other placeholder
        for hidden in ("HIDDEN TESTS", "attention_grading", "grading/src/attention_grading/judging"):
            where = text.replace("grading/src/attention_grading/reference.py", "")  # the public link to the reference
            where = where.replace('<span class="s2">"attention_grading.reference"', "")  # what a hostile learner wrote
            assert hidden not in where, (page, hidden)


def test_feedback_of_stock_configuration_would_leak(course, tmp_path):
    """The counterpart of the test above: hidden code is there to be seen, were it not cleared."""
    graded = course / "autograded" / "one-mistake" / STEMS[0] / f"{STEMS[0]}.ipynb"
    assert "HIDDEN TESTS" in graded.read_text()


def test_canary_in_a_hidden_cell_reaches_neither_release_nor_feedback(tmp_path):
    from attention_grading.authoring.course_root import nbgrader, prepare

    folder, stem, canary = tmp_path / "course", STEMS[0], "CANARY-7f3a"
    prepare(ROOT, folder)
    for other in STEMS[1:]:
        for path in sorted((folder / "source" / other).iterdir()):
            path.unlink()
        (folder / "source" / other).rmdir()
    master = folder / "source" / stem / f"{stem}.ipynb"
    notebook = nbformat.read(master, as_version=4)
    for cell in notebook.cells:
        if cell.id == "test-values":
            cell.source = cell.source.replace("### END HIDDEN", f'canary = "{canary}"\n### END HIDDEN')
    nbformat.write(notebook, master)
    assert canary in master.read_text()
    nbgrader(folder, "generate_assignment", stem)
    released = (folder / "release" / stem / f"{stem}.ipynb").read_text()
    target = folder / "submitted" / "someone" / stem
    target.mkdir(parents=True)
    wrong = nbformat.reads(released, as_version=4)
    next(cell for cell in wrong.cells if cell.id == "solution").source = MISTAKES[VARIANTS["eager_bidirectional"].name]
    nbformat.write(wrong, target / f"{stem}.ipynb")
    nbgrader(folder, "autograde", stem)
    nbgrader(folder, "generate_feedback", stem)
    page = (folder / "feedback" / "someone" / stem / f"{stem}.html").read_text()
    assert "missing-scale" in page
    assert canary not in released
    assert canary not in page


def test_stock_nbgrader_without_our_configuration_gives_the_same_scores(course, tmp_path):
    """The hidden cells work in the kernel, as any nbgrader runs them."""
    stem = STEMS[1]
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\nc.Exchange.root = '.'\n")
    for kind in ("source", "submitted/all-right", "submitted/one-mistake"):
        target = tmp_path / kind / stem
        target.mkdir(parents=True)
        origin = course / kind / stem / f"{stem}.ipynb"
        (target / origin.name).write_bytes(origin.read_bytes())
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for command in ("generate_assignment", "autograde"):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", command, stem],
            cwd=tmp_path,
            env={"PATH": path, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "export", "--to=grades.csv"],
        cwd=tmp_path,
        env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours = scores(course)
    assert scores(tmp_path) == {key: ours[key] for key in (("all-right", stem), ("one-mistake", stem))}
