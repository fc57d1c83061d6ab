"""The calls of a variant, drawn from a seed."""

from __future__ import annotations

import pytest

from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.session import Session
from support.answers import RIGHT

pytestmark = pytest.mark.process


def test_seed_changes_the_inputs_and_nothing_else(write):
    first, again, other = (flat_calls(plan("eager_causal", seed)) for seed in ("one", "one", "two"))
    assert first is not other
    assert [call.arguments["num_heads"] for call in first] == [call.arguments["num_heads"] for call in again]
    hidden = [(a, b) for a, b in zip(first, other, strict=True) if a.arguments["q"].numel() > 8]
    assert sum(a.arguments["q"].flatten()[0] != b.arguments["q"].flatten()[0] for a, b in hidden) > 40
    with Session(seed="two") as session:
        assert session.judge_file("eager_causal", write("right.py", RIGHT)).score == 10
