"""How many code cells are read is an option, and the reason names it."""

from __future__ import annotations

from attention_grading.notebooks.grade import NotebookTask, _handed_in
from attention_grading.notebooks.transplant import BROKEN
from support.large_notebooks import notebook

STEM = "02_eager_causal"


def test_the_limit_is_an_option_and_the_reason_names_it():
    task = NotebookTask(STEM, "", notebook(code=30))
    assert BROKEN not in _handed_in(task, 30).metadata
    reason = _handed_in(task, 29).metadata[BROKEN]
    assert "30 code cells" in reason
    assert "more than 29" in reason
    assert "c.JudgingRules.code_cells" in reason
