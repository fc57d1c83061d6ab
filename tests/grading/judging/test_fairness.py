"""One mistake costs what it breaks, once; and right answers in unusual styles get all points."""

from __future__ import annotations

from typing import Any

import pytest

from attention_grading.judging import cases
from attention_grading.judging.cases import plan
from attention_grading.judging.draw import Draw
from attention_lab.checks.case import Case
from attention_lab.variants import POINTS, VARIANTS

pytestmark = pytest.mark.process

STEPS = """
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
"""
EAGER = f"def eager_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):{STEPS}"
VIEW = """
def sdpa_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return output.transpose(1, 2).view(batch, seq, hidden_dim)
"""

RIGHT = {
    "re-entrant checkpoint": f"""
import torch.utils.checkpoint as checkpoint
def steps(q, k, v, mask, num_heads, head_dim):{STEPS}
def eager_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    return checkpoint.checkpoint(steps, q, k, v, mask, num_heads, head_dim, use_reentrant=True)
""",
    "torch.compile": f"@torch.compile\n{EAGER}",
    "annotations read at run time": f"""
import dataclasses
@dataclasses.dataclass
class Size:
    heads: int = 1
assert Size.__annotations__ == {{"heads": int}}
{EAGER}
""",
    "await outside a function": f"import asyncio\nawait asyncio.sleep(0)\n{EAGER}",
}


@pytest.mark.parametrize("source", RIGHT.values(), ids=RIGHT)
def test_right_answer_in_an_unusual_style_gets_all_points(session, write, source):
    verdict = session.judge_file("eager_bidirectional", write("right.py", source))
    assert {check.name: check.earned for check in verdict.checks} == POINTS, verdict


def test_annotation_with_a_name_that_nobody_imported_fails_as_in_the_kernel(session, write):
    verdict = session.judge_file("eager_bidirectional", write("wrong.py", EAGER.replace("q, k", "q: Tensor, k", 1)))
    assert verdict.score == 0
    assert "NameError: name 'Tensor' is not defined" in verdict.checks[0].message


COSTS = {
    "a view after the transpose, which only the MATH backend refuses": ("sdpa_causal", VIEW, {"robustness"}),
    "a fill that only fp16 refuses": (
        "eager_bidirectional",
        EAGER.replace("torch.finfo(scores.dtype).min", "-1e9"),
        {"contract", "robustness"},
    ),
    "a score of 0 taken for a masked one": (
        "eager_bidirectional",
        EAGER.replace("scores = scores.masked_fill(~mask[:, None, None, :]", "scores = scores * mask[:, None, None, :]")
        .replace(", torch.finfo(scores.dtype).min)", "")
        .replace(
            "    return", "    scores = scores.masked_fill(scores == 0, torch.finfo(scores.dtype).min)\n    return"
        ),
        {"values", "masking"},
    ),
}


@pytest.mark.parametrize(("variant", "source", "lost"), COSTS.values(), ids=COSTS)
def test_mistake_costs_what_it_breaks(session, write, variant, source, lost):
    verdict = session.judge_file(variant, write("wrong.py", source))
    assert {check.name for check in verdict.checks if not check.passed} == lost, verdict


@pytest.mark.parametrize("name", VARIANTS)
def test_values_and_masking_ask_one_dtype_on_the_default_backend(name):
    for case in plan(name, "any"):
        if case.check in ("values", "masking"):
            dtypes = {str(call.arguments["q"].dtype) for call in case.calls}
            assert dtypes == {"torch.bfloat16" if VARIANTS[name].half_precision else "torch.float32"}, case.name
            assert {call.setting for call in case.calls} == {"plain"}, case.name


@pytest.mark.parametrize("name", VARIANTS)
def test_no_case_s_numbers_depend_on_another_case(name, monkeypatch):
    """A case draws inside its own stream: whatever was drawn before it leaves its tensors as they are."""

    def tensors(seed: str) -> dict[str, list[float]]:
        return {
            f"{case.check}/{case.name}": [float(call.arguments["q"].double().sum()) for call in case.calls]
            for case in plan.__wrapped__(name, seed)
        }

    before, built = tensors("any"), cases.compared

    def and_draws_more(draw: Draw, *arguments: Any, **options: Any) -> Case:
        case = built(draw, *arguments, **options)
        draw.normal(7)
        return case

    monkeypatch.setattr(cases, "compared", and_draws_more)
    assert tensors("any") == before


BORDERS = """
def flash_causal_attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=True).flatten(1)
"""


def test_another_dtype_costs_no_points_for_numbers(session, write):
    source = BORDERS.replace(".flatten(1)", ".flatten(1).float()")
    verdict = session.judge_file("flash_causal", write("a.py", source))
    assert {check.name for check in verdict.checks if not check.passed} == {"contract", "invariants", "robustness"}


def test_a_mask_that_is_needed_costs_no_points_for_the_kernel(session, write):
    source = VIEW.replace("    if mask is not None:\n    ", "").replace(
        ".transpose(1, 2).view(", ".transpose(1, 2).reshape("
    )
    verdict = session.judge_file("sdpa_causal", write("a.py", source))
    assert {check.name for check in verdict.checks if check.passed} == {"masking", "kernel"}


def test_name_is_given_only_to_the_failure_that_it_explains(session, write):
    """No scale, and a table on the CPU: two mistakes, and each check has its own."""
    source = EAGER.replace(" / math.sqrt(head_dim)", "").replace("mask[:, None", "mask.cpu()[:, None")
    verdict = session.judge_file("eager_bidirectional", write("a.py", source))
    assert verdict.check("contract").mistake == "device-hard-coded"
    assert verdict.check("values").mistake == "missing-scale"
