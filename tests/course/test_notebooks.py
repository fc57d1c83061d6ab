"""The notebooks' sources: anatomy, normal form, and short cells."""

from __future__ import annotations

import nbformat
import pytest

from attention_grading.authoring.normalise import normal_text, notebooks_in
from attention_lab.notebook.learner_cells import INSTRUCTOR_IDS, OWN_IDS, SOLUTION_ID
from attention_lab.variants import POINTS, VARIANTS
from support.cells import cells_of
from support.places import MASTERS, ROOT, STEMS


def test_all_have_the_same_cells_in_the_same_order_and_part_two_a_few_of_its_own():
    anatomies = {
        stem: [(cell.id, cell.cell_type) for cell in cells_of(path).values()] for stem, path in MASTERS.items()
    }
    first = anatomies[STEMS[0]]
    for variant in VARIANTS.values():
        shared = [cell for cell in anatomies[variant.stem] if variant.part == 1 or cell in first]
        assert shared == first, variant.stem


@pytest.mark.parametrize("stem", STEMS)
def test_points_are_the_contracts(stem):
    graded = {
        cell_id.removeprefix("test-"): cell.metadata.nbgrader.points
        for cell_id, cell in cells_of(MASTERS[stem]).items()
        if cell.metadata.get("nbgrader", {}).get("grade")
    }
    assert graded == POINTS


@pytest.mark.parametrize("stem", STEMS)
def test_instructors_code_cells_are_those_that_the_judge_leaves_out(stem):
    locked = {
        cell_id
        for cell_id, cell in cells_of(MASTERS[stem]).items()
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("locked")
    }
    assert locked - {*OWN_IDS} == INSTRUCTOR_IDS - {*OWN_IDS}
    assert SOLUTION_ID in cells_of(MASTERS[stem])


@pytest.mark.parametrize("path", notebooks_in([ROOT / "source", ROOT / "notebooks"]), ids=lambda path: path.stem)
def test_notebook_is_normalised(path):
    text = path.read_text(encoding="utf-8")
    assert normal_text(nbformat.reads(text, as_version=4)) == text, "run `make normalise`"


def test_code_cells_are_short():
    for stem, path in MASTERS.items():
        for cell_id, cell in cells_of(path).items():
            if cell.cell_type == "code" and cell_id != SOLUTION_ID:
                lines = [line for line in cell.source.split("\n") if line.strip()]
                assert len(lines) <= 15, f"{stem}, {cell_id}: {len(lines)} lines"


def test_text_cells_are_short():
    for stem, path in MASTERS.items():
        for cell_id, cell in cells_of(path).items():
            if cell.cell_type == "markdown":
                assert len(cell.source.split()) <= 120, f"{stem}, {cell_id}: {len(cell.source.split())} words"


@pytest.mark.parametrize("stem", STEMS)
def test_every_notebook_says_beside_its_checks_what_validate_runs(stem):
    notebook = nbformat.read(ROOT / "source" / stem / f"{stem}.ipynb", as_version=4)
    text = next(cell.source for cell in notebook.cells if cell.id == "checks-text")
    assert '*Validate* runs these visible checks alone.\nIts "Success!" says nothing about the hidden ones.' in text
