"""The mask explorer's sentences."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from attention_lab.explorer.state import TEMPERATURES, ExplorerState, packed_table, padded_tables
from attention_lab.explorer.words import calculation, explain, sizes

START = ExplorerState()


def test_each_reason_has_its_sentence() -> None:
    first, second = padded_tables(replace(START, causal=True))
    assert explain(first, 2, 5) == "query *sat* may not see *mat*: it comes later"
    assert explain(second, 0, 4) == "query *Dogs* may not see *<pad>*: it is padding"
    assert explain(packed_table(START), 7, 1) == "query *bark* may not see *cat*: it belongs to another sequence"
    assert explain(first, 2, 1) == "query *sat* puts 0.69 on *cat*"
    assert explain(second, 4, 0).endswith("on *Dogs*, but it is padding: nobody reads its row")


def test_a_row_without_keys_is_explained() -> None:
    table = padded_tables(replace(START, padding="left"))[1]
    for key in range(6):
        assert explain(table, 0, key).startswith("query *<pad>* sees no key at all: all its scores are −∞")


def test_equal_words_are_told_apart() -> None:
    state = replace(START, sentences=(("a", "b", "a"), ("c",)), lengths=(3, 1), causal=False)
    assert explain(padded_tables(state)[0], 0, 2).endswith("on *a* at place 2")


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_calculation_adds_up(temperature: float) -> None:
    state = replace(START, temperature=temperature)
    table = padded_tables(state)[1]
    words = calculation(state, table, 3, 1)
    query, key, product = re.match(r"\((.*?)\) · \((.*?)\) = (\S+)\. ", words).groups()
    vectors = [[int(n.replace("−", "-")) for n in numbers.split(", ")] for numbers in (query, key)]
    product = float(product.replace("−", "-"))
    assert sum(a * b for a, b in zip(*vectors, strict=True)) == product
    score = float(re.search(r"the score (\S+)\.", words).group(1).replace("−", "-"))
    assert score == pytest.approx(product / 2 / temperature)
    above, below, weight = map(float, re.search(r"and (\S+) / (\S+) = (\S+)\.$", words).groups())
    assert above / below == pytest.approx(weight, abs=0.01)
    assert weight == pytest.approx(float(table.weights[3, 1]), abs=0.005)


def test_a_masked_cell_has_no_calculation() -> None:
    assert calculation(START, padded_tables(START)[0], 0, 5) == ""


def test_sizes_count_rows_and_scores() -> None:
    assert sizes(START) == [
        "Padded: 2 × 6 = 12 rows, 2 · 6² = 72 scores.",
        "Packed: 10 rows, 6² + 4² = 52 scores. cu_seqlens [0, 6, 10], max_seqlen 6.",
    ]
