"""All six checks from a cell of the notebook, where the course's grader is installed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

from attention_lab.tracebacks import shows_learners_lines
from attention_lab.variants import Variant, get_variant

JUDGES = "attention_lab.judges"  # entry points: "default" judges files, "here" a function in this process
NOT_HERE = """The hidden checks are not installed here. They are judged when your notebook is graded.
To judge them yourself, install the course's grader, attention-grading: the course's README says how."""


@shows_learners_lines
def judge_all(variant: str | Variant, function: Callable[..., Any], *, explain: bool = False) -> None:
    """Judge all six checks of your function, and print what to fix first.

    Args:
        variant: Which notebook's, such as ``"eager_causal"``.
        function: Your function.
        explain: Whether to say what the mistake's name means, too.
    """
    variant = get_variant(variant)
    judges = list(importlib.metadata.entry_points(group=JUDGES, name="here"))
    if not judges:
        print(NOT_HERE)
        return
    judges[0].load()(variant, function, explain=explain)
