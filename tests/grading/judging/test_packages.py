"""Packages that learners import: the ones that are there work, and one that is not is named."""

from __future__ import annotations

import pytest

from support.answers import RIGHT

pytestmark = pytest.mark.process

EINOPS = """
from einops import einsum, rearrange, repeat

def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (rearrange(x, "b s (h d) -> b h s d", h=num_heads) for x in (q, k, v))
    scores = einsum(q, k, "b h i d, b h j d -> b h i j") / math.sqrt(head_dim)
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & repeat(mask, "b j -> b 1 i j", i=scores.shape[-2])
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return rearrange(einsum(scores.softmax(-1), v, "b h i j, b h j d -> b h i d"), "b h s d -> b s (h d)")
"""
ABSENT = "nowhere_to_be_found"
IN_THE_FUNCTION = RIGHT.replace("mask=None):\n", f"mask=None):\n    import {ABSENT}\n", 1)
USED = RIGHT.replace("scores.softmax(dim=-1)", "rearrange(scores.softmax(dim=-1), 'a b -> b a')")


def test_einops_may_be_used(session, write):
    verdict = session.judge_file("eager_causal", write("answer.py", EINOPS))
    assert verdict.score == 10, verdict


@pytest.mark.parametrize(
    "imported",
    [
        f"from {ABSENT} import rearrange",
        f"from {ABSENT}.layers import f as rearrange",
        f"import {ABSENT} as rearrange",
    ],
)
def test_package_that_a_cell_of_its_own_imports_is_named_and_no_undefined_name(session, imported):
    from attention_lab import get_variant
    from attention_lab.notebook.learner_cells import Submission

    cells = ({"id": "own", "source": imported}, {"id": "solution", "source": USED})
    verdict = session.judge(get_variant("eager_causal"), Submission(cells, is_notebook=True))
    check = verdict.check("values")
    assert check.mistake == "module-missing"
    assert f"{ABSENT} is not installed where notebooks are graded" in check.message
    assert any(f"{ABSENT} is not installed where notebooks are graded" in note for note in verdict.notes)


def test_package_that_keeps_the_function_from_being_defined_is_named(session, write):
    verdict = session.judge_file("eager_causal", write("answer.py", f"import {ABSENT}\n{RIGHT}"))
    assert f"{ABSENT} is not installed where notebooks are graded" in verdict.check("values").message
    verdict = session.judge_file("eager_causal", write("answer.py", IN_THE_FUNCTION))
    assert verdict.check("values").mistake == "module-missing"
    assert ABSENT in verdict.check("values").message


def test_name_that_is_there_already_is_left_alone(session, write):
    source = f"rearrange = 1\ntry:\n    from {ABSENT} import rearrange\nexcept ImportError:\n    pass\n{RIGHT}"
    assert session.judge_file("eager_causal", write("answer.py", source)).score == 10
