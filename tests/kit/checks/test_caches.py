"""The visible checks of caches: chunks, room, and whatever lies in unused places."""

from __future__ import annotations

import pytest
import torch

from attention_lab.checks.calls import Call, perform
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.identities.caches import alone_case, chunk_calls, chunks_case, garbage_cases
from attention_lab.checks.identities.cases import invariant_and_identity_cases
from attention_lab.checks.toy import cached_arguments, toy_arguments
from attention_lab.checks.words import sizes_in_words
from attention_lab.notebook.run_cells import load
from attention_lab.variants import get_variant
from corpus import CORPUS

VARIANT = get_variant("cached_decode")
ANSWERS = {answer.name: answer for answer in CORPUS if answer.variant == VARIANT.name}
OWN = (chunks_case(VARIANT), alone_case(VARIANT), *garbage_cases(VARIANT))


def found(name):
    """What fails of the caches' own cases, in three lines; empty where nothing does."""
    _, function = load([{"id": "file", "source": ANSWERS[name].source}], VARIANT.function_name, "__main__")
    for case in OWN:
        try:
            case.verify([perform(function, call) for call in case.calls])
        except CheckFailed as failed:
            return str(failed)
    return ""


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.right])
def test_right_answers_of_any_style_pass(name):
    assert found(name) == ""


OF_CACHES = ("causal", "lengths", "unused", "nan")
# A token that does not see itself does not in any chunk: that its own value matters is asked elsewhere
ELSEWHERE = ("causal-strict",)


@pytest.mark.parametrize(
    "name", [name for name, answer in ANSWERS.items() if answer.kind in OF_CACHES and name not in ELSEWHERE]
)
def test_whatever_goes_wrong_with_places_and_lengths_shows(name):
    assert found(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("is-causal", "1 new token comes than in one prefill"),
        ("first-length", "than when its item is called alone"),
        ("values-as-they-lie", "look at what becomes of a place that nobody sees"),
        ("nan-to-num-at-the-end", "another one with nan in the unused places than with 0"),
    ],
)
def test_it_says_what_is_wrong(name, words):
    assert words in found(name)


def test_chunks_are_the_tokens_of_one_call_with_the_lengths_of_their_time():
    whole = cached_arguments(VARIANT, 0, lengths=(9, 11), new=9, max_len=12)
    chunks = chunk_calls(whole)
    assert [each["q"].shape[1] for each in chunks] == [5, 1, 3]
    assert [each["cache_seqlens"].tolist() for each in chunks] == [[5, 7], [6, 8], [9, 11]]
    assert torch.equal(torch.cat([each["q"] for each in chunks], dim=1), whole["q"])


def test_toy_sizes_do_not_coincide_and_are_named():
    arguments = toy_arguments(VARIANT, 1)
    batch, new, _ = arguments["q"].shape
    sizes = [batch, new, arguments["k"].shape[1], *(arguments[x] for x in ("num_heads", "num_kv_heads", "head_dim"))]
    assert len({*sizes}) == len(sizes), sizes
    assert sizes_in_words(Call(arguments)) == (
        "batch 2, new 5, max_len 10, cache_seqlens [6, 7], num_heads 12, num_kv_heads 3, head_dim 8"
    )


def test_nothing_asks_for_gradients_or_a_mask():
    for case in invariant_and_identity_cases(VARIANT):
        for call in case.calls:
            assert call.cotangent is None
            assert "mask" not in call.arguments
