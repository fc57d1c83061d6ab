"""Grading one notebook: which of its cells are run."""

from __future__ import annotations

from types import SimpleNamespace

import nbformat
import pytest

from attention_grading.notebooks.grade import show_outputs
from attention_grading.notebooks.transplant import rebuild
from attention_lab.notebook.learner_cells import (
    DIAGRAM_IDS,
    GRADED_IDS,
    HAND_IN_ID,
    JUDGE_ALL_ID,
    SOLUTION_ID,
    Submission,
)
from attention_lab.variants import get_variant
from support.cells import cells_of
from support.places import MASTERS, STEMS


@pytest.mark.parametrize("stem", STEMS)
def test_grader_runs_no_graded_cells_no_look_at_the_learners_file_and_no_diagrams_that_all_learners_share(stem):
    notebook = nbformat.read(MASTERS[stem], as_version=4)
    ran = []

    def show(sources, before):
        ran.extend(sources)
        return SimpleNamespace(outputs=[[] for _ in sources], ended=None)

    assert show_outputs(notebook, SimpleNamespace(show=show)) == []
    cells = cells_of(MASTERS[stem])
    left_out = {cell_id for cell_id, cell in cells.items() if cell.cell_type == "code" and cell.source not in ran}
    assert left_out == {HAND_IN_ID, JUDGE_ALL_ID, *GRADED_IDS, *DIAGRAM_IDS} & set(cells)


@pytest.mark.parametrize("stem", STEMS)
def test_cells_before_the_learners_first_are_the_instructors(stem):
    """What they show is drawn once for a class, so nothing of a learner's may be among them."""
    master = nbformat.read(MASTERS[stem], as_version=4)
    cells = ({"id": "own", "source": "mine = 1"}, {"id": SOLUTION_ID, "source": "mine = 2"})
    seen = []

    def show(sources, before):
        seen.extend(sources[:before])
        return SimpleNamespace(outputs=[[] for _ in sources], ended=None)

    for learners in (cells, cells[1:], ()):
        seen.clear()
        show_outputs(rebuild(master, Submission(learners), None), SimpleNamespace(show=show))
        assert len(seen) > 2
        assert "mask_heatmap" in "".join(seen)
        assert set(seen) <= {cell.source for cell in master.cells}
        assert not [source for source in seen if "mine" in source or "def " + get_variant(stem).function_name in source]
