"""A corpus of right and wrong answers, which proves the judge by mutation testing."""

from __future__ import annotations

from dataclasses import replace

from corpus import cached, eager, fairness, flash, flex, grouped, positions, sdpa, styles, tiled, traps, window
from corpus.answer import Answer
from corpus.symptoms import SYMPTOMS


def _with_symptom(answer: Answer) -> Answer:
    symptom = SYMPTOMS.get(answer.variant.partition("_")[0], {}).get(answer.name)
    return answer if symptom is None else replace(answer, diagnosis=symptom)


CORPUS: list[Answer] = [
    _with_symptom(answer)
    for group in (eager, sdpa, flash, tiled, grouped, window, cached, positions, flex, styles, traps, fairness)
    for answer in group.answers()
]

__all__ = ["CORPUS", "Answer"]
