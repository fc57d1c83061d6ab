"""The judge on the corpus: every right answer gets full marks, every wrong one loses points where it should."""

from __future__ import annotations

from collections import Counter

import pytest
from rich.console import Console

from attention_grading.judging.session import Session
from attention_lab.variants import VARIANTS
from corpus import CORPUS
from corpus.confusion import confusion_table, judge_corpus, misnamed_answers, naming_lines

HIDDEN = ("values", "masking", "robustness", "kernel")


@pytest.fixture(scope="module")
def results():
    with Session() as session:
        return judge_corpus(session, CORPUS)


@pytest.mark.process
def test_confusion_table_shows_no_error(results, capsys):
    with capsys.disabled():
        console = Console(width=130)
        console.print()
        console.print(confusion_table(results))
        for line in naming_lines(results):
            console.print(line)
    bad = [f"{r.answer.variant}/{r.answer.name}: {r.outcome}, lost {sorted(r.lost)}" for r in results]
    assert not [line for line, r in zip(bad, results, strict=True) if r.outcome != "right"]


@pytest.mark.process
def test_no_mistake_is_misnamed_and_most_are_named(results):
    assert not [f"{r.answer.variant}/{r.answer.name}: {r.named}" for r in misnamed_answers(results)]
    wrong = [r for r in results if not r.answer.right]
    assert sum(bool(r.named) and r.named == r.answer.diagnosis for r in wrong) >= 0.7 * len(wrong)


@pytest.mark.process
@pytest.mark.parametrize("check", HIDDEN)
def test_each_hidden_check_alone_catches_some_wrong_answer(results, check):
    assert any(r.lost == {check} for r in results)


@pytest.mark.parametrize("variant", VARIANTS)
def test_corpus_is_large_enough(variant):
    counts = Counter(answer.right for answer in CORPUS if answer.variant == variant)
    assert counts[True] >= 12
    assert counts[False] >= 40


def test_names_are_unique_within_a_variant():
    assert max(Counter((answer.variant, answer.name) for answer in CORPUS).values()) == 1


def test_mutation_whose_text_is_not_there_is_refused():
    from corpus.answer import changed

    with pytest.raises(ValueError, match="occurs 0 times"):
        changed("a b", [("c", "d")])


@pytest.mark.process
@pytest.mark.parametrize("seed", ["another seed", "a third"])
def test_right_answers_pass_at_any_seed(seed):
    with Session(seed=seed) as session:
        failed = [r for r in judge_corpus(session, [answer for answer in CORPUS if answer.right]) if r.lost]
    assert not [f"{r.answer.variant}/{r.answer.name}: {sorted(r.lost)}" for r in failed]
