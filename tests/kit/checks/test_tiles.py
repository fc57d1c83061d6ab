"""The visible checks of tiles: one size is as good as another, and memory grows with the tokens."""

from __future__ import annotations

import math
import threading

import pytest
import torch

from attention_lab.checks.calls import perform
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.identities.scores import ones_case
from attention_lab.checks.identities.tiles import block_size_case, memory_cases, shifted_case
from attention_lab.notebook.run_cells import load
from attention_lab.variants import get_variant
from corpus import CORPUS

VARIANT = get_variant("tiled_causal")
ANSWERS = {answer.name: answer for answer in CORPUS if answer.variant == VARIANT.name}


def function_of(source):
    _, function = load([{"id": "file", "source": source}], VARIANT.function_name, "__main__")
    return function


def found(function, *cases):
    """Code of the first thing that is wrong; empty where nothing is."""
    for case in cases:
        try:
            case.verify([perform(function, call) for call in case.calls])
        except CheckFailed as failed:
            return failed.code
    return ""


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.right])
def test_right_answers_of_any_style_pass(name):
    assert (
        found(
            function_of(ANSWERS[name].source), block_size_case(VARIANT), shifted_case(VARIANT), *memory_cases(VARIANT)
        )
        == ""
    )


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.kind == "tiles"])
def test_whatever_goes_wrong_between_tiles_shows(name):
    cases = block_size_case(VARIANT), shifted_case(VARIANT), ones_case(VARIANT)
    assert found(function_of(ANSWERS[name].source), *cases)


# What they do shows with a mask, in half precision, or to the operating system
HIDDEN = ("plain-when-masked", "plain-in-half", "hidden-from-the-meter")


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.kind == "memory"])
def test_answers_that_hold_too_much_are_called_what_they_are(name):
    answer = ANSWERS[name]
    code = found(function_of(answer.source), *memory_cases(VARIANT))
    assert code == ("" if name in HIDDEN else answer.diagnosis.replace("fused-kernel", "whole-scores"))


def test_work_that_a_thread_does_is_missed():
    plain = function_of(ANSWERS["eager"].source)

    def by_thread(*arguments, **named):
        results = []
        thread = threading.Thread(target=lambda: results.append(plain(*arguments, **named)))
        thread.start()
        thread.join()
        return results[0]

    assert found(by_thread, *memory_cases(VARIANT)) == "work-unseen"


@pytest.mark.parametrize("share", [8, 3])
def test_tiles_whose_number_is_fixed_are_told_from_tiles_whose_size_is(share):
    one_loop = function_of(ANSWERS["one-loop"].source)

    def function(q, k, v, num_heads, head_dim, mask=None, block_size=64):
        return one_loop(q, k, v, num_heads, head_dim, mask, math.ceil(q.shape[1] / share))

    assert found(function, *memory_cases(VARIANT)) == "block-size-ignored"


def test_no_case_asks_sizes_that_coincide():
    for case in memory_cases(VARIANT):
        for call in case.calls:
            batch, seq, _ = call.arguments["q"].shape
            sizes = [batch, seq, *(call.arguments[name] for name in ("num_heads", "head_dim", "block_size"))]
            assert len({*sizes}) == len(sizes), sizes
    assert torch.is_grad_enabled()
