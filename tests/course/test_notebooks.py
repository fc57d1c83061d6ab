"""The notebooks' sources: anatomy, normal form, and short cells."""

from __future__ import annotations

import re

import nbformat
import pytest

from attention_grading.authoring.normalise import normal_text, notebooks_in
from attention_lab.notebook.learner_cells import INSTRUCTOR_IDS, SOLUTION_ID
from attention_lab.variants import get_variant
from support.cells import cells_of
from support.places import MASTERS, ROOT, STEMS
from support.prose import CHARACTERS, WORDS, words_of

# What one notebook has beside the cells that all share
EXTRA = {
    "05_flash_bidirectional": ("why-flash", "why-flash-picture"),
    "06_flash_causal": ("decoding", "decoding-picture", "decoding-task", "decode", "decoding-check"),
    "07_tiled_causal": ("bytes-text", "bytes", "memory-text", "memory-plot"),
    "08_grouped_causal": ("cache-text", "cache-bytes", "groups", "groups-map-text", "groups-map"),
    "09_window_causal": ("saving-text", "saving"),
    "10_cached_decode": (
        "alignment-text",
        "alignment-picture",
        "decode-bytes-text",
        "decode-bytes",
        "generate-text",
        "generate-step",
        "generate",
    ),
    "11_packed_positions": ("row-text", "row", "leak-text", "leak"),
    "12_flex_document": ("blocks-text", "blocks"),
}


def test_all_share_the_same_cells_in_the_same_order():
    anatomies = {
        stem: [(cell.id, cell.cell_type) for cell in cells_of(path).values() if cell.id not in EXTRA.get(stem, ())]
        for stem, path in MASTERS.items()
    }
    assert all(anatomy == anatomies[STEMS[0]] for anatomy in anatomies.values())
    assert all(set(EXTRA[stem]) <= set(cells_of(MASTERS[stem])) for stem in EXTRA)


@pytest.mark.parametrize("stem", STEMS)
def test_points_are_the_variants(stem):
    graded = {
        cell_id.removeprefix("test-"): cell.metadata.nbgrader.points
        for cell_id, cell in cells_of(MASTERS[stem]).items()
        if cell.metadata.get("nbgrader", {}).get("grade")
    }
    assert graded == get_variant(stem).points


@pytest.mark.parametrize("stem", STEMS)
def test_instructors_code_cells_are_those_that_the_judge_leaves_out(stem):
    locked = {
        cell_id
        for cell_id, cell in cells_of(MASTERS[stem]).items()
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("locked")
    }
    of_others = {cell_id for other, ids in EXTRA.items() if other != stem for cell_id in ids}
    assert locked == INSTRUCTOR_IDS - of_others - {"attention-map"}
    assert SOLUTION_ID in cells_of(MASTERS[stem])


@pytest.mark.parametrize("stem", STEMS)
def test_learners_may_choose_the_map_s_batch(stem):
    cell = cells_of(MASTERS[stem])["attention-map"]
    assert "nbgrader" not in cell.metadata  # a locked cell cannot be edited in JupyterLab
    assert f'real_batch("{stem[3:]}", device=device)' in cell.source


@pytest.mark.parametrize("path", notebooks_in([ROOT / "source", ROOT / "notebooks"]), ids=lambda path: path.stem)
def test_notebook_is_normalised(path):
    text = path.read_text(encoding="utf-8")
    assert normal_text(nbformat.reads(text, as_version=4)) == text, "run `make normalise`"


@pytest.mark.parametrize("stem", STEMS)
def test_hidden_cells_are_one_line_for_learners_that_fits_a_narrow_window(stem):
    for name in ("values", "masking", "robustness", "kernel"):
        first, second, *_ = cells_of(MASTERS[stem])[f"test-{name}"].source.split("\n")
        assert second == "### BEGIN HIDDEN TESTS"
        assert first.startswith("# Hidden, ")
        assert len(first) <= 68, first


def test_code_cells_are_short():
    for stem, path in MASTERS.items():
        for cell_id, cell in cells_of(path).items():
            if cell.cell_type == "code" and cell_id != SOLUTION_ID:
                lines = [line for line in cell.source.split("\n") if line.strip()]
                assert len(lines) <= 15, f"{stem}, {cell_id}: {len(lines)} lines"


def test_code_lines_fit_a_window_without_scrolling_sideways():
    """The setup cell is folded."""
    for stem, path in MASTERS.items():
        for cell_id, cell in cells_of(path).items():
            if cell.cell_type == "code" and cell_id != "setup":
                assert max(map(len, cell.source.split("\n"))) <= CHARACTERS, f"{stem}, {cell_id}"


def test_text_cells_are_short():
    for stem, path in MASTERS.items():
        for cell_id, cell in cells_of(path).items():
            if cell.cell_type == "markdown":
                assert words_of(cell) <= 120, f"{stem}, {cell_id}: {words_of(cell)} words"


@pytest.mark.parametrize("stem", STEMS)
def test_notebook_is_short(stem):
    counted = {cell_id: words_of(cell) for cell_id, cell in cells_of(MASTERS[stem]).items()}
    assert sum(counted.values()) <= WORDS, counted


@pytest.mark.parametrize("stem", STEMS)
def test_every_notebook_says_why_in_a_few_words_with_two_sources_and_a_picture(stem):
    cells = cells_of(MASTERS[stem])
    assert words_of(cells["why"]) <= 80
    assert len(re.findall(r"\]\(https://[^)]+\)", cells["why"].source)) == 2
    assert f'where_it_runs("{stem[3:]}")' in cells["why-picture"].source
    assert list(cells).index("why-picture") == list(cells).index("why") + 1 <= 5


@pytest.mark.parametrize("stem", STEMS)
def test_every_prediction_has_its_answer_folded_below(stem):
    questions, answers = cells_of(MASTERS[stem])["wrap-up"].source.split("<details><summary>Answers</summary>")
    numbers = re.findall(r"^(\d)\. ", questions, re.M)
    assert len(numbers) >= 2
    assert re.findall(r"^(\d)\. ", answers, re.M) == numbers
    assert answers.endswith("</details>")


@pytest.mark.parametrize("stem", STEMS)
def test_every_notebook_says_beside_its_checks_what_validate_runs(stem):
    notebook = nbformat.read(ROOT / "source" / stem / f"{stem}.ipynb", as_version=4)
    text = next(cell.source for cell in notebook.cells if cell.id == "checks-text")
    assert "*Validate* saves the notebook and runs all of it afresh, which takes up to half a minute.\n" in text
    assert 'It knows these visible checks alone: its "Success!" says nothing about the hidden ones.' in text
