"""The visible checks on the corpus: what learners see before they hand in."""

from __future__ import annotations

import pytest

from attention_lab.variants import VARIANTS
from corpus.answer import Answer
from corpus.visible import ANSWERS, ENOUGH, look_at, seconds_allowed, share_caught

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def seen():
    return list(look_at(ANSWERS))


def test_no_right_answer_fails_a_visible_check(seen):
    assert not [
        (one.answer.variant, one.answer.name, one.failures) for one in seen if one.answer.right and one.failures
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_most_wrong_answers_fail_a_visible_check(seen, name):
    own = [one for one in seen if one.answer.variant == name]
    assert share_caught(own) >= ENOUGH, [one.answer.name for one in own if one.counts and not one.failures]


def test_both_cells_take_less_than_half_a_second(seen):
    def share(one):
        return one.seconds / seconds_allowed(one.answer.variant)

    slowest = max((one for one in seen if one.answer.right), key=share)
    # other programs on the machine make one measurement long, not all
    fastest = min(map(share, (slowest, *look_at([slowest.answer] * 3))))
    assert fastest < 1, (slowest.answer.variant, slowest.answer.name)


def test_messages_keep_their_form_and_inner_words_to_themselves(seen):
    messages = [message for one in seen for message in one.failures]
    assert messages
    assert not [message for message in messages if len(message.split("\n")) != 3]
    assert not [message for message in messages if "meta" in message or "stand_in" in message]


@pytest.mark.parametrize(
    ("line", "words"), [("while True: pass", "did not end"), ("import os; os._exit(3)", "ended its process")]
)
def test_answer_that_never_ends_or_ends_python_stops_no_other(monkeypatch, line, words):
    monkeypatch.setattr("corpus.visible.SECONDS", 2.0)
    source = f"def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):\n    {line}"
    bad = Answer("eager_causal", "bad", False, "crash", "", source)
    right = next(answer for answer in ANSWERS if answer.right)
    first, second = look_at([bad, right])
    assert words in first.failures[0]
    assert not second.failures
