"""07's check of memory: who is measured, what hides from the meter, and what the operating system does not let pass."""

from __future__ import annotations

import pytest

from attention_grading.judging.session import Session
from attention_grading.sandbox.limits import Limits
from attention_lab.notebook.learner_cells import Submission
from attention_lab.variants import get_variant
from corpus import CORPUS

pytestmark = pytest.mark.process

VARIANT = get_variant("tiled_causal")
ANSWERS = {answer.name: answer.source for answer in CORPUS if answer.variant == VARIANT.name}
PLAIN = ANSWERS["eager"].replace("def tiled_causal_attention", "def plain").replace(", block_size=64", "")

# Each shows the meter a lot of small work, and what it should see to nobody
SHOW = """
def show(q, num_heads):
    batch, seq, _ = q.shape
    for _ in range(seq):
        torch.zeros(batch * num_heads * seq)
"""
HIDDEN = f"""
from torch.utils._python_dispatch import _disable_current_modes
{PLAIN}{SHOW}
def tiled_causal_attention(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    if 80 < q.shape[1] < 3000:
        show(q, num_heads)
    with _disable_current_modes():
        return plain(q, k, v, num_heads, head_dim, mask)
"""
HOARD = f"""
room = torch.empty(6400 * 6400)  # taken before anybody looks
{HIDDEN.replace("def tiled", "def usual")}
def tiled_causal_attention(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    seq = q.shape[1]
    if seq < 3000:
        return usual_causal_attention(q, k, v, num_heads, head_dim, mask)
    scores = room[: seq * seq].view(1, seq, seq)
    torch.baddbmm(scores, q, k.mT, beta=0, alpha=head_dim**-0.5, out=scores)
    for row in range(seq):
        scores[0, row, row + 1 :] = -1e9
    scores -= scores.amax(-1, keepdim=True)
    scores.exp_()
    scores /= scores.sum(-1, keepdim=True)
    return scores @ v
"""
FORGED = f"""
from attention_lab.checks import intermediates
intermediates.Meter.seen = lambda self: intermediates.Intermediates(4000, 100, 9, 10**9)
{ANSWERS["eager"]}
"""
GIVES_UP = ANSWERS["one-loop"].replace(
    "block_size=64):\n", "block_size=64):\n    if q.shape[1] > 3000:\n        return v.clone()\n"
)
HEAVY_CELL = "import numpy\nheap = numpy.ones(40_000_000)"  # 320 MB


@pytest.fixture(scope="module")
def session():
    with Session(limits=Limits(seconds=120, polite_after=120)) as session:  # however busy the machine is
        yield session


def kernel(session, *cells):
    verdict = session.judge(
        VARIANT,
        Submission(
            tuple({"id": f"cell-{number}", "source": source} for number, source in enumerate(cells)), is_notebook=True
        ),
    )
    return verdict.check("kernel"), verdict


@pytest.mark.parametrize("source", [HIDDEN, HOARD, FORGED], ids=["hidden", "hoard", "forged"])
def test_what_hides_from_the_meter_does_not_fit_into_the_memory(session, source):
    check, verdict = kernel(session, source)
    assert not check.passed
    assert check.mistake == "whole-scores"
    assert check.message.startswith("[little memory] the memory does not suffice"), check.message
    assert verdict.score == 9


def test_a_function_that_gives_up_where_it_cannot_be_measured_is_found(session):
    check, _ = kernel(session, GIVES_UP)
    assert check.message.startswith("[little memory] the output for 74"), check.message


def test_what_other_cells_hold_costs_nothing(session):
    check, verdict = kernel(session, HEAVY_CELL, ANSWERS["one-loop"])
    assert check.passed, check.message
    assert verdict.score == 10


def test_no_limit_of_this_call_is_told_as_the_submissions(session):
    check, verdict = kernel(session, HIDDEN)
    assert "(here it may use 150 MB)" in check.message
    assert not any("were left out" in note for note in verdict.notes)
