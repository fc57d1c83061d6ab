"""What a notebook may hold: it is refused before it fills the memory, and honest large ones are read."""

from __future__ import annotations

import base64
import json
import os

import pytest

from attention_grading.lms.recognise import recognise
from attention_grading.notebooks.transplant import notebook_of
from attention_lab.notebook import learner_cells
from attention_lab.notebook.learner_cells import (
    MAX_BYTES,
    MAX_CODE_CELLS,
    NotJudgeable,
    parse_notebook,
    read_submission,
)
from attention_lab.variants import VARIANTS
from support.large_notebooks import notebook
from support.within import within

STEM = "02_eager_causal"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "piece", "end"),
    [
        ('{"cells":[', "[],", "[]]}"),
        ('{"cells":[', "{},", "{}]}"),
        ("", "[", ""),
        ("", '{"a":', ""),
        ('{"cells":[', "1,", "1]}"),
        ('{"cells":[],"x":{', '"a":0,', '"a":0}}'),
    ],
)
def test_what_would_fill_the_memory_is_refused_before_it_is_read(start, piece, end, monkeypatch, tmp_path):
    monkeypatch.setattr(learner_cells.json, "loads", lambda _: pytest.fail("it was read"))
    text = start + piece * (MAX_BYTES // 2 // len(piece)) + end
    with within(30), pytest.raises(NotJudgeable, match=r"more than \d+ are not read"):
        parse_notebook(text)
    path = tmp_path / f"{STEM}.ipynb"
    path.write_text(text)
    with pytest.raises(NotJudgeable):
        read_submission(path, VARIANTS["eager_causal"])
    with pytest.raises(NotJudgeable):
        notebook_of(text)
    assert "are not read" in recognise(text.encode(), [path.name]).broken


@pytest.mark.slow
def test_honest_large_notebooks_are_read():
    points = [[number * 0.1, number * 0.2, number * 0.3] for number in range(100_000)]
    plot = {"data": [{"x": [p[0] for p in points], "y": [p[1] for p in points], "text": [str(p) for p in points]}] * 3}
    rows = {"data": [{"z": points, "customdata": points}]}
    for data in (
        {"image/png": base64.b64encode(os.urandom(30_000_000)).decode()},
        {"application/vnd.plotly.v1+json": plot},
        {"application/vnd.plotly.v1+json": rows},
        {"text/html": json.dumps(plot) * 2},
        {"text/html": "function(){a[0]={};}" * 1_000_000},
        {"text/plain": '\\"[' * 2_000_000},
    ):
        assert len(parse_notebook(notebook([{"output_type": "display_data", "data": data}]))["cells"]) == 1


def test_broken_text_with_an_open_quote_is_refused_at_once():
    with within(20), pytest.raises(NotJudgeable):
        parse_notebook("[" * 2_000_000 + '"\\"' * 2_000_000)


def test_only_code_cells_count():
    assert len(parse_notebook(notebook(code=MAX_CODE_CELLS, markdown=500))["cells"]) == MAX_CODE_CELLS + 500
    with pytest.raises(NotJudgeable, match=f"has {MAX_CODE_CELLS + 1} code cells; more than {MAX_CODE_CELLS} are not"):
        parse_notebook(notebook(code=MAX_CODE_CELLS + 1))


@pytest.mark.slow
def test_very_many_other_cells_take_a_moment():
    with within(30):
        notebook_of(notebook(markdown=90_000))
