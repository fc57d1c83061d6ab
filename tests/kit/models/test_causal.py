"""The tiny causal model: what it has learned, what its heads do, and what it takes."""

from __future__ import annotations

import pytest
import torch

from attention_grading.reference import attend
from attention_lab import VARIANTS
from attention_lab.models.causal import TRAINED, TinyCausalModel, load_repeater
from attention_lab.models.repeating import head_scores, share_repeated
from attention_lab.models.token_batch import packed_tokens, padded_tokens

TEXTS = ("a quiet owl saw the fox . a quiet owl saw the", "king and queen sang . king and")
# one with a cache takes part step by step: tests/course/test_answers.py
CAUSAL = [variant for variant in VARIANTS.values() if variant.causal and not variant.cached]


def function(variant):
    return lambda **arguments: attend(variant, arguments).to(arguments["q"].dtype)


@pytest.fixture(scope="module")
def model():
    return load_repeater()


def test_the_trained_weights_are_small():
    assert TRAINED.stat().st_size < 1_000_000


def test_it_repeats_texts_that_it_has_never_seen(model):
    assert share_repeated(model) > 0.99
    untrained = TinyCausalModel().eval()
    assert share_repeated(untrained) < 0.1


def test_a_head_looks_at_the_previous_token_and_heads_of_the_next_layer_at_what_followed(model):
    scores = head_scores(model)
    assert scores[0, 0].previous > 0.9
    assert min(scores[1, 0].after, scores[1, 1].after) > 0.85
    assert max(score.after for (layer, _), score in scores.items() if layer == 0) < 0.1


def test_attention_weights_are_causal_and_sum_to_one(model):
    for weights in model.attention_weights(padded_tokens([model.ids(TEXTS[0])])):
        assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
        assert not weights.triu(1).any()


@pytest.mark.parametrize("variant", CAUSAL, ids=lambda variant: variant.name)
def test_any_causal_function_does_the_attention(model, variant):
    ids = [model.ids(text) for text in TEXTS]
    padded = padded_tokens(ids)
    batch = packed_tokens(ids).given_as(variant.inputs) if variant.packed else padded
    scores, expected = batch.real(model(batch, function(variant))), padded.real(model(padded))
    assert (scores - expected).abs().max() < (2e-2 if variant.packed else 1e-4)


@pytest.mark.parametrize("name", ["eager_causal", "flash_causal"])
def test_words_that_come_again_are_expected_and_new_ones_are_not(model, name):
    variant = VARIANTS[name]
    chances = model.chances(f"{TEXTS[0]} fox .", function(variant), variant.packed)
    assert chances.shape == (13,)
    assert chances[:7].max() < 0.1  # the second stretch's first word is news, too
    assert chances[7:].min() > 0.9
    assert (chances - model.chances(f"{TEXTS[0]} fox .")).abs().max() < 5e-3


def test_it_goes_on_with_a_text(model):
    assert model.generate(TEXTS[0], 3) == "fox . a"
    assert model.generate(TEXTS[0], 3, function(VARIANTS["eager_causal"])) == "fox . a"
    assert model.generate(TEXTS[0], 3, function(VARIANTS["flash_causal"]), packed=True) == "fox . a"
    assert model.generate(TEXTS[1], 2) == "queen sang"


def test_it_reads_the_last_words_of_a_text_that_grows_too_long(model):
    text = " ".join(["king and queen sang ."] * 12)
    assert model.generate(text, 10) == "king and queen sang . king and queen sang ."


def test_unknown_words_and_long_texts_are_refused(model):
    with pytest.raises(ValueError, match="does not know 'zebra'; it knows: the a an"):
        model.ids("the zebra")
    with pytest.raises(ValueError, match="65 words; the model takes at most 64"):
        model.ids("the " * 65)


def test_a_packed_batch_wants_an_attention_function(model):
    with pytest.raises(ValueError, match="knows no packed batches"):
        model(packed_tokens([model.ids(TEXTS[0])]))


@pytest.mark.parametrize("batch", [padded_tokens, packed_tokens])
def test_a_batch_without_a_token_is_refused(batch):
    for texts in ([], [[], []]):
        with pytest.raises(ValueError, match="at least one text with a token"):
            batch(texts)
