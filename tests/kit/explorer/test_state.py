"""The mask explorer's numbers: weights, scores, and settings that are put right."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from attention_lab.explorer.state import (
    HEADS,
    TEMPERATURES,
    ExplorerState,
    packed_table,
    padded_tables,
    settled,
    vector,
)
from attention_lab.explorer.words import sizes
from attention_lab.rules import Reason

START = ExplorerState()
SETTINGS = [
    settled(replace(START, padding=padding, causal=causal, head=head, view=view))
    for padding, causal, (head, view) in itertools.product(
        ("right", "left", "holes", "none"), (True, False), enumerate(("steps", "packing"))
    )
]


@pytest.mark.parametrize("state", SETTINGS, ids=lambda s: f"{s.padding}-{s.causal}-{s.view}")
def test_weights_are_the_softmax_of_the_scores_that_are_seen(state: ExplorerState) -> None:
    for table in (*padded_tables(state), packed_table(state)):
        seen = table.cells == Reason.VISIBLE
        expected = table.scores.masked_fill(~seen, -torch.inf).softmax(dim=-1).nan_to_num(0.0)
        assert torch.allclose(table.weights, expected, atol=1e-6)


def test_scores_are_the_dot_products_of_the_words_own_vectors() -> None:
    table = padded_tables(START)[0]
    query, key = vector("query", 0, "sat"), vector("key", 0, "cat")
    assert float(table.scores[2, 1]) == sum(a * b for a, b in zip(query, key, strict=True)) / 2
    assert float(padded_tables(replace(START, temperature=0.5))[0].scores[2, 1]) == 2 * float(table.scores[2, 1])


def test_no_vector_of_the_toy_sentences_is_all_zeros() -> None:
    words = [word for sentence in START.sentences for word in sentence]
    assert all(any(vector(role, head, word)) for role in ("query", "key") for head in range(HEADS) for word in words)


def test_where_the_padding_stands_changes_no_weight_between_words() -> None:
    found = []
    for padding in ("right", "left", "holes"):
        table = padded_tables(replace(START, padding=padding, causal=False))[1]
        found.append(table.weights[table.read][:, table.read])
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_padded_and_packed_weights_are_the_same() -> None:
    items, packed = padded_tables(START), packed_table(START)
    for item, start, end in ((0, 0, 6), (1, 6, 10)):
        read = items[item].read
        assert torch.equal(items[item].weights[read][:, read], packed.weights[start:end, start:end])


def test_low_temperatures_pick_one_key_and_high_ones_even_out() -> None:
    cold, hot = (
        padded_tables(replace(START, causal=False, temperature=t))[0].weights[2] for t in (TEMPERATURES[0], 10.0)
    )
    assert float(cold.max()) > 0.99
    assert float(hot.max()) < 0.25


def test_without_padding_sentences_are_cut_to_the_shortest_that_has_words() -> None:
    assert [len(words) for words in replace(START, padding="none").words] == [4, 4]
    assert replace(START, padding="none", lengths=(6, 0)).words == (START.sentences[0],)


def test_an_empty_sentence_repeats_a_border_and_pads_a_whole_row() -> None:
    state = replace(START, lengths=(6, 0))
    assert "cu_seqlens [0, 6, 6]" in sizes(state)[1]
    assert not padded_tables(state)[1].read.any()


def test_places_that_ran_over_the_end_are_moved_back() -> None:
    state = settled(replace(START, view="packing", query=99, key=99))
    assert (state.query, state.key) == (9, 9)
    state = settled(replace(state, view="steps", padding="none", lengths=(2, 0)))
    assert (state.item, state.query, state.key) == (0, 1, 1)


@pytest.mark.parametrize(
    "changes", [{"lengths": (0, 0)}, {"lengths": (1,)}, {"head": 3}, {"temperature": 0.0}], ids=str
)
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match=r"the explorer wants|head must|temperature must"):
        replace(START, **changes)
