"""The visible checks of documents told by positions: which tokens begin one, and whatever number stands there."""

from __future__ import annotations

import pytest

from attention_grading.execution.judge_worker import provide_flash_attn
from attention_lab.checks.calls import perform
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.identities.positions import LENGTHS, STARTS, same_borders_case
from attention_lab.inputs import borders_as
from attention_lab.notebook.run_cells import load
from attention_lab.rules import sequence_of
from attention_lab.variants import get_variant
from corpus import CORPUS

VARIANT = get_variant("packed_positions")
ANSWERS = {answer.name: answer for answer in CORPUS if answer.variant == VARIANT.name}


@pytest.fixture(autouse=True, scope="module")
def flash_attn():
    provide_flash_attn()  # a learner may import it, on any machine


def problem(source):
    """What is wrong with an answer, in words; empty where nothing is."""
    _, function = load([{"id": "file", "source": source}], VARIANT.function_name, "__main__")
    case = same_borders_case(VARIANT)
    try:
        case.verify([perform(function, call) for call in case.calls])
    except CheckFailed as failed:
        return str(failed)
    return ""


@pytest.mark.parametrize("starts", STARTS.values(), ids=list(STARTS))
def test_all_ways_to_count_tell_the_same_documents(starts):
    borders, positions = borders_as("packed", LENGTHS), borders_as(VARIANT.inputs, LENGTHS, starts=starts)
    assert sequence_of(positions).equal(sequence_of(borders))


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer.right])
def test_right_answers_of_any_style_pass(name):
    assert problem(ANSWERS[name].source) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zeros-only", "changes when each document starts at 2"),
        ("zeros-and-no-leading-border", "cu_seqlens_q must"),
        ("drops-only", "changes when documents go on from other rows"),
        ("jumps-missed", "changes when documents go on from other rows"),
        ("positions-in-bytes", "changes when the positions are large"),
    ],
)
def test_who_looks_for_a_number_or_a_fall_is_told(name, words):
    assert words in problem(ANSWERS[name].source)
