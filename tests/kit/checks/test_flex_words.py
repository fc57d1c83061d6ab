"""What a learner of 12 reads where FlexAttention refuses a mask function or a call."""

from __future__ import annotations

import pytest

from attention_lab import CheckFailed, check
from attention_lab.notebook.run_cells import names_in_scope
from corpus import CORPUS
from corpus.answer import changed

NAME = "flex_document"
SOURCES = {answer.name: answer.source for answer in CORPUS if answer.variant == NAME}
FOUR = changed(SOURCES["closure"], [("(b, h, q_idx, kv_idx)", "(q_idx, kv_idx)")])

READS = {
    "and": (SOURCES["and-on-tensors"], "asks a tensor for one truth value", "and, or, not, if and item()"),
    "if": (SOURCES["if-on-tensors"], "asks a tensor for one truth value", "and, or, not, if and item()"),
    "item": (SOURCES["item-in-mask"], "asks a tensor for one truth value", "and, or, not, if and item()"),
    "two places": (FOUR, "does not take four places", "batch, head, query and key"),
    "three axes": (SOURCES["no-batch-axis"], "wants four axes", "packed tokens are a batch of one"),
    "rounded up": (SOURCES["padded-to-blocks"], "a place that no token has", "need not be multiples of its blocks"),
    "heads last": (SOURCES["heads-after-tokens"], "made for other lengths", "the order of the axes"),
}


@pytest.mark.parametrize("name", READS)
def test_refusal_is_told_in_words_of_the_notebook(name):
    source, problem, hint = READS[name]
    scope = names_in_scope()
    exec(source, scope)
    with pytest.raises(CheckFailed) as failed:
        check(NAME, "contract", scope[f"{NAME}_attention"])
    first, second, third = str(failed.value).split("\n")
    assert problem in first
    assert second.startswith("expected a tensor, got ")
    assert hint in third


def test_the_check_says_where_it_asks_for_no_gradients(capsys):
    scope = names_in_scope()
    exec(SOURCES["closure"], scope)
    check(NAME, "invariants", scope[f"{NAME}_attention"])
    printed = capsys.readouterr().out
    assert ("passed: forward alone, as PyTorch" in printed) != ("passed: gradients" in printed)
