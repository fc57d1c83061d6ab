"""The hidden cases of a sliding window: which windows are asked, and what gradients are to be."""

from __future__ import annotations

import pytest
import torch

from attention_grading.judging.cases import plan
from attention_grading.judging.comparison import expected_of
from attention_grading.judging.diagnosis.models import right_keys
from attention_grading.judging.diagnosis.window_models import window_models
from attention_grading.judging.draw import Draw
from attention_grading.judging.own_cases import own_cases
from attention_lab.rules import visible_keys
from attention_lab.variants import Option, Variant, get_variant

VARIANT = get_variant("window_causal")
PADDED = Variant(
    13, "eager_window", "", "eager", "padded", ("causal", "window", "padding"), (Option("window", toy=3, drawn=(3,)),)
)
SEEDS = ("one seed", "another", "a third")


def own(seed, variant=VARIANT):
    return list(own_cases(Draw(variant, seed)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("check", ["values", "masking"])
def test_windows_of_one_two_and_around_the_longest_length_are_asked(seed, check):
    asked = [call.arguments for case in plan(VARIANT.name, seed) if case.check == check for call in case.calls]
    around = {each["window"] - each["max_seqlen"] for each in asked}
    assert {-1, 0, 1} <= around
    assert max(around) > 50
    assert {1, 2} <= {each["window"] for each in asked}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_two_sizes_of_its_own_cases_coincide(seed):
    for case in own(seed):
        for arguments in (call.arguments for call in case.calls):
            lengths = arguments["cu_seqlens"].diff().tolist()
            sizes = {len(lengths), arguments["num_heads"], arguments["head_dim"]}
            assert len(sizes | {len(arguments["q"])}) == 4, case.name
            # a window may be as long as a sequence, and one sequence is a batch of 1
            assert arguments["window"] == 1 or arguments["window"] not in sizes, case.name


@pytest.mark.parametrize("variant", [VARIANT, PADDED], ids=["packed", "padded"])
def test_a_loss_of_one_query_has_gradients_in_its_window_and_zeros_outside(variant):
    (case,) = (case for case in own("a seed", variant) if case.check == "robustness")
    for call in case.calls:
        query = call.cotangent.abs().sum(-1).nonzero()
        assert len(query) == 1
        *item, place = query[0].tolist()
        seen = visible_keys(variant.rules, call.arguments)[*item, place]
        expected = expected_of(variant, call).gradients
        for name in ("k", "v"):
            of_keys = expected[name][*item].abs().sum(-1) > 0
            # of a window of one the weight is 1, whatever the key
            assert torch.equal(of_keys, seen if call.arguments["window"] > 1 or name == "v" else seen & False)
        assert int(seen.sum()) == call.arguments["window"]


def test_models_of_mistakes_see_other_keys_than_the_right_function_and_than_each_other():
    arguments = Draw(VARIANT, "a seed").packed([12, 1, 8], 2, 40) | {"window": 9}
    right, seen = right_keys(VARIANT, arguments), {}
    for model in window_models(VARIANT):
        keys = model.visible(VARIANT, arguments)
        assert not torch.equal(keys, right), model.name
        seen.setdefault(model.name, []).append(keys)
    for name, tables in seen.items():
        others = [table for other, own_tables in seen.items() if other != name for table in own_tables]
        assert not any(torch.equal(table, other) for table in tables for other in others), name
