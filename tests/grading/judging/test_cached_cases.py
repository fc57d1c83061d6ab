"""What is asked of a function with a cache, and what its reference and the models of its mistakes make of it."""

from __future__ import annotations

import pytest
import torch

from attention_grading.judging.cases import plan
from attention_grading.judging.comparison import expected_of
from attention_grading.judging.diagnosis.bank import bank
from attention_grading.judging.diagnosis.explain import has_finite_inputs
from attention_lab.checks.identities.caches import CHUNKS, unused_places
from attention_lab.variants import get_variant

VARIANT = get_variant("cached_decode")
SEEDS = ("one", "two", "three")


def calls_of(check, seed="one", name=""):
    return [
        call for case in plan(VARIANT.name, seed) if case.check == check and name in case.name for call in case.calls
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_values_fill_every_cache_and_masking_leaves_room(seed):
    for call in calls_of("values", seed):
        assert not unused_places(call.arguments).any()
    masking = calls_of("masking", seed)
    assert all(unused_places(call.arguments).any() for call in masking)
    ragged = [call for call in masking if len(call.arguments["cache_seqlens"].unique()) > 1]
    assert {call.arguments["q"].shape[1] for call in ragged} >= {1, 3, 4, 5}
    first_is_shorter = [c for c in ragged if c.arguments["cache_seqlens"][0] < c.arguments["cache_seqlens"].max()]
    assert len(first_is_shorter) > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_unused_places_hold_huge_numbers_infinity_and_nan_and_tokens_never_do(seed):
    held = {}
    for case in plan(VARIANT.name, seed):
        for call in case.calls:
            unused = unused_places(call.arguments)
            for x in ("k", "v"):
                assert call.arguments[x][~unused].isfinite().all()
                junk = call.arguments[x][unused].double().abs()
                kinds = {"nan": junk.isnan(), "inf": junk.isinf(), "huge": (junk > 1e29) & junk.isfinite()}
                held.setdefault(case.check, set()).update(kind for kind, found in kinds.items() if found.any())
    assert held["values"] == set()
    assert held["masking"] == {"huge"}
    assert held["robustness"] == {"nan", "inf"}
    not_finite = [call for call in calls_of("robustness", seed) if not has_finite_inputs(call)]
    assert {call.arguments["q"].dtype for call in not_finite} == {torch.float32, torch.float16, torch.bfloat16}
    assert {call.setting for call in not_finite} == {"plain", "math"}


def test_each_check_asks_for_chunks_that_are_one_prefill():
    for check in ("values", "masking"):
        assert [call.arguments["q"].shape[1] for call in calls_of(check, name="chunks")] == list(CHUNKS)


def test_six_heads_ask_one_two_three_and_six_key_heads():
    asked = {(c.arguments["num_heads"], c.arguments["num_kv_heads"]) for c in calls_of("values", name="num_kv_heads")}
    assert asked == {(6, 1), (6, 2), (6, 3), (6, 6)}


# What their names say; in a prefill, all of a full cache is new
COINCIDE = ("coincide", "one token", "one head", "prefill", "chunks", "key heads")


@pytest.mark.parametrize("seed", SEEDS)
def test_no_gradients_are_asked_and_sizes_coincide_only_where_a_case_is_about_that(seed):
    for case in plan(VARIANT.name, seed):
        for call in case.calls:
            assert call.cotangent is None
            arguments = call.arguments
            head_dim = arguments["head_dim"]
            sizes = [*arguments["q"].shape[:2], arguments["k"].shape[1], arguments["k"].shape[2] // head_dim, head_dim]
            if case.check not in ("contract", "invariants") and not any(words in case.name for words in COINCIDE):
                assert len({*sizes}) == len(sizes), (case.name, sizes)


def test_the_reference_is_finite_whatever_lies_in_unused_places():
    for case in plan(VARIANT.name, "one"):
        for call in case.calls:
            expected = expected_of(VARIANT, call)
            assert expected.output.isfinite().all()
            assert expected.read.all()
            assert expected.largest_score < 1e4


def test_every_model_of_a_mistake_runs_on_every_shape_and_its_name_is_known():
    shapes = {}
    for check in ("values", "masking"):
        for call in calls_of(check):
            if call.arguments["k"].shape[1] < 30:
                shapes.setdefault((call.arguments["q"].shape, call.arguments["k"].shape), call)
    for model in bank(VARIANT):
        for call in shapes.values():
            output, defined = model.output(VARIANT, call.arguments)
            assert output.shape == call.arguments["q"].shape, model.name
            assert defined.shape == call.arguments["q"].shape[:2], model.name
