"""The outputs of several calls, once each is known to be one, and to have left its inputs alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.require import require_result, require_unchanged


def outputs_of(name: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> list[Tensor]:
    """The outputs, each of the shape of its ``q``.

    Raises:
        CheckFailed: A call raised, returned something else, or modified an input.
    """
    outputs = []
    for call, outcome in zip(calls, outcomes, strict=True):
        outputs.append(require_result(name, call, outcome))
        require_unchanged(name, outcome)
    return outputs
