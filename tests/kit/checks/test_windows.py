"""The visible checks of a sliding window: right answers of any style pass, and each other window shows."""

from __future__ import annotations

import pytest

from attention_grading.execution.judge_worker import provide_flash_attn
from attention_lab.checks.calls import perform
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.identities.windows import window_cases
from attention_lab.notebook.run_cells import load
from attention_lab.variants import Option, Variant, get_variant
from corpus import CORPUS
from support.answers import RIGHT

VARIANT = get_variant("window_causal")
ANSWERS = {answer.name: answer for answer in CORPUS if answer.variant == VARIANT.name}
# A window over padded sequences
PADDED = Variant(
    13, "eager_window", "", "eager", "padded", ("causal", "window", "padding"), (Option("window", toy=3, drawn=(3,)),)
)


def found(variant, source, name):
    """The names of the cases that fail."""
    provide_flash_attn()  # the package's name, which some answers import
    _, function = load([{"id": "file", "source": source}], name, "__main__")
    names = []
    for case in window_cases(variant):
        try:
            case.verify([perform(function, call) for call in case.calls])
        except CheckFailed:
            names.append(case.name)
    return names


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.right])
def test_right_answers_of_any_style_pass(name):
    assert found(VARIANT, ANSWERS[name].source, VARIANT.function_name) == []


# What they do shows elsewhere: later keys, longer sequences, gradients, one sequence alone, another check
ELSEWHERE = {
    "capped-at-64",
    "missing-at-some-lengths",
    "missing-with-gradients",
    "missing-for-one-sequence",
    "causal-missing",
    "both-ways",
    "as-number",
    "one-of-a-pair",
    "of-halves",
}


@pytest.mark.parametrize(
    "name", [name for name, answer in ANSWERS.items() if answer.kind == "window" and name not in ELSEWHERE]
)
def test_another_window_shows(name):
    assert found(VARIANT, ANSWERS[name].source, VARIANT.function_name)


@pytest.mark.parametrize(
    ("band", "caught"),
    [
        ("1 - window", []),
        ("-window", ["a window of 4", "a window of 10", "a window of 1"]),
        ("1 - min(window, 10)", ["a window of 11: the oldest visible value matters"]),
    ],
)
def test_a_window_over_padded_sequences_is_asked_the_same(band, caught):
    source = RIGHT.replace("head_dim, mask", "head_dim, window, mask").replace(".tril()", f".tril().triu({band})")
    assert found(PADDED, source, "eager_causal_attention") == caught
