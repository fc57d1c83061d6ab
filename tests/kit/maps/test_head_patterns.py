"""What a head is said to do: only what its weights show."""

from __future__ import annotations

import pytest
import torch

from attention_lab.maps.head_patterns import habits

WORDS = ("a", "b", "c", "a", "b", "c")
ONE = [0] * len(WORDS)


def on(*keys: int) -> torch.Tensor:
    """A head whose query i puts 0.9 on the i-th of these keys, and the rest evenly on all."""
    return 0.9 * torch.eye(len(keys))[list(keys)] + 0.1 / len(keys)


@pytest.mark.parametrize(
    ("keys", "target"),
    [
        ((0, 0, 1, 2, 3, 4), "the previous token"),
        ((1, 2, 3, 4, 5, 5), "the next token"),
        ((0, 0, 0, 0, 0, 0), "the first token"),
        ((0, 1, 2, 3, 4, 5), "each token itself"),
    ],
)
def test_a_head_is_said_to_look_where_most_of_its_weight_is(keys, target):
    (habit,) = habits(on(*keys)[None], WORDS, ONE)
    assert (habit.head, habit.target) == (0, target)
    assert habit.share == pytest.approx(0.9 + 0.1 / 6, abs=1e-6)


def test_a_head_that_looks_at_what_followed_the_same_word_is_told_from_one_that_counts_back():
    words = ("a", "b", "c", "d", "a", "b", "c", "d")
    (habit,) = habits(on(0, 0, 0, 0, 1, 2, 3, 4)[None], words, [0] * 8)
    assert habit.target == "what followed the same word earlier"
    assert habits(on(0, 0, 0, 0, 1, 2, 3, 4)[None], tuple("abcdefgh"), [0] * 8) == []


def test_nothing_is_said_of_weights_that_lie_everywhere():
    assert habits(torch.full((2, 6, 6), 1 / 6), WORDS, ONE) == []


def test_nothing_is_said_of_too_few_queries():
    assert habits(on(0, 0, 1, 2)[None], WORDS[:4], [0] * 4) == []


def test_previous_and_first_are_those_of_the_query_s_own_sequence():
    previous = on(0, 0, 1, 3, 3, 4)
    (habit,) = habits(previous[None], WORDS, [0, 0, 0, 1, 1, 1])
    assert habit.target == "the previous token"
    shifted = previous.roll((2, 2), (0, 1))  # two of padding on the left
    assert habits(shifted[None], ("<pad>", "<pad>", *WORDS[:4]), [-1, -1, 0, 0, 0, 0]) == []


def test_a_head_is_numbered_as_in_its_map():
    weights = torch.stack([torch.full((6, 6), 1 / 6), on(0, 0, 1, 2, 3, 4)])
    assert [habit.head for habit in habits(weights, WORDS, ONE)] == [1]
