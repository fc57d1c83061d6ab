"""A learner's other cells are theirs: whatever they do costs nothing, as long as the function can be had."""

from __future__ import annotations

from functools import partial

import pytest

from attention_grading.judging.session import Session
from attention_grading.sandbox.limits import Limits
from support.notebooks import notebook as plain_notebook

pytestmark = pytest.mark.process

SOLUTION = """
def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    allowed = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = scale(q @ k.transpose(-2, -1), head_dim).masked_fill(~allowed, torch.finfo(q.dtype).min)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
"""
HELPER = "def scale(scores, head_dim):\n    return scores / math.sqrt(head_dim)"
WASTE = {
    "sleeps": "import time\ntime.sleep(600)",
    "loops": "while True:\n    pass",
    "ends Python": "import os\nos._exit(3)",
    "takes all memory": "hoard = []\nwhile True:\n    hoard.append(bytearray(10**9))",
    "starts threads": "import threading, time\nwhile 1:\n    threading.Thread(target=time.sleep, args=[60]).start()",
    "prints for ever": "while True:\n    print('x' * 10**6)",
}


@pytest.fixture(scope="module")
def impatient():
    with Session(limits=Limits(seconds=12, cell_seconds=0.5)) as session:
        yield session


notebook = partial(plain_notebook, solution=SOLUTION)


@pytest.mark.parametrize("source", WASTE.values(), ids=WASTE)
def test_cell_before_the_solution_is_cut_off_named_and_costs_nothing(source, impatient, write):
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", notebook(HELPER, source, SOLUTION)))
    assert verdict.score == 10, verdict.checks[0].message
    assert any("left out" in note for note in verdict.notes)
    assert any("cell 2 (" in note for note in verdict.notes)


@pytest.mark.parametrize("source", WASTE.values(), ids=WASTE)
def test_cell_after_the_solution_is_not_run(source, impatient, write):
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", notebook(HELPER, SOLUTION, source)))
    assert (verdict.score, verdict.notes) == (10, ())


def test_helper_that_is_defined_after_the_solution_is_found(impatient, write):
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", notebook("x = 1", SOLUTION, "y = 2", HELPER)))
    assert (verdict.score, verdict.notes) == (10, ())


def test_many_such_cells_do_not_take_longer_than_one_submission_may(write):
    wasteful = [WASTE["sleeps"]] * 40
    with Session(limits=Limits(seconds=2, cell_seconds=0.5)) as session:
        body = SOLUTION.replace("scale(q @ k.transpose(-2, -1), head_dim)", "(q @ k.mT / math.sqrt(head_dim))")
        verdict = session.judge_file("eager_causal", write("a.ipynb", notebook(*wasteful, body)))
    assert verdict.score == 10
    assert any("take too much time" in note for note in verdict.notes)


def test_cell_that_defines_the_function_has_the_whole_time(impatient, write):
    slow = SOLUTION.replace("scale(q @ k.transpose(-2, -1), head_dim)", "(q @ k.mT / math.sqrt(head_dim))")
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", notebook(f"{slow}\nimport time\ntime.sleep(1.5)")))
    assert verdict.score == 10


def test_solution_that_never_ends_is_told(impatient, write):
    source = notebook(HELPER, f"{SOLUTION}\nwhile True:\n    pass")
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", source))
    assert verdict.score == 0
    assert "your code did not finish within 12 s, before the function could be called" in verdict.checks[0].message


def test_error_in_another_cell_is_told_by_that_cells_number_and_line(impatient, write):
    helper = HELPER.replace("return scores", "wrong = scores.no_such_thing\n    return scores")
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", notebook("x = 1", helper, SOLUTION)))
    assert "(cell 2, line 2: wrong = scores.no_such_thing)" in verdict.check("values").message
