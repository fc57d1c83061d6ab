"""Outcomes that a symptom is asked about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attention_grading.judging.case_kinds import MEMORY
from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.outcomes import judge_outcomes
from attention_grading.reference import attend
from attention_lab.checks.calls import Call, Outcome, perform
from attention_lab.variants import VARIANTS
from support.answers import RIGHT

EAGER = VARIANTS["eager_causal"]


def test_output_on_the_meta_device_in_one_call_alone_is_judged():
    cases = plan("eager_causal", "any")
    without_numbers = next(case for case in cases if case.name == MEMORY).calls[0]
    outcomes = [right(call, "meta" if call is without_numbers else "cpu") for call in flat_calls(cases)]
    failed = judge_outcomes(EAGER, "any", outcomes).check("robustness")
    assert (failed.passed, failed.failed.code, failed.mistake) == (False, "wrong-device", None)


def right(call: Call, device: str) -> Outcome:
    def function(**arguments: object) -> object:
        return attend(EAGER, arguments).to(arguments["q"]).to(device)

    return perform(function, replace(call, form="keyword"))


@pytest.mark.process
@pytest.mark.parametrize(("condition", "name"), [("q.shape[1] > 6", "sizes-hard-coded"), ("q.abs().max() > 50", None)])
def test_sizes_are_blamed_where_sizes_decide_and_not_where_numbers_do(condition, name, session, write):
    source = RIGHT.replace("mask=None):\n", f"mask=None):\n    if {condition}:\n        raise ValueError('no')\n")
    assert session.judge_file("eager_causal", write("a.py", source)).check("values").mistake == name
