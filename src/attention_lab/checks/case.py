"""A case of a check: calls, and what their outcomes must be; and the exception that says what they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attention_lab.checks.calls import Call, Outcome
from attention_lab.tracebacks import TellsInLines


class CheckFailed(TellsInLines, AssertionError):
    """A check that did not pass, in three lines.

    Args:
        case: Which case, such as ``causal``.
        problem: What went wrong.
        detail: What was expected, what came, where and how far off.
        hint: Where to look; never the answer.
        code: What went wrong, as a name for programs, such as ``wrong-values``; words are for people.
        measured: The numbers behind it, by name; what JSON can hold.
    """

    def __init__(
        self, case: str, problem: str, detail: str, hint: str, code: str, measured: Mapping[str, Any] | None = None
    ):
        super().__init__(case, problem, detail, hint)
        self.case, self.problem, self.detail, self.hint = case, problem, detail, hint
        self.code, self.measured = code, dict(measured or {})

    def __str__(self) -> str:
        return f"[{self.case}] {self.problem}\n{self.detail}\nlook at {self.hint}"


@dataclass(frozen=True)
class Case:
    """A group of calls and the question asked of their outcomes.

    Attributes:
        check: Name of the check that it belongs to.
        name: Its own name, as printed.
        calls: What to call.
        verify: Looks at the outcomes, one a call; raises ``CheckFailed``.
    """

    check: str
    name: str
    calls: tuple[Call, ...]
    verify: Callable[[Sequence[Outcome]], None]
