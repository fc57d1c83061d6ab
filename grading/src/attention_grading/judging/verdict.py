"""What the judge says of one function. Who only passes it on needs no more than this: no PyTorch, no cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attention_grading.judging.diagnosis.names import SENTENCES
from attention_lab.variants import Variant

if TYPE_CHECKING:
    from attention_lab.checks.case import CheckFailed


@dataclass(frozen=True)
class CheckResult:
    """The verdict on one check.

    Attributes:
        name: One of the six, such as ``masking``.
        points: What it is worth.
        earned: What was earned: all or nothing.
        message: What went wrong, in three lines, or what passed, in one.
        mistake: Its name, where it was recognised; ``SENTENCES`` says what it means.
        lines: One line a case.
        failed: What the first case that failed found; ``None`` where all passed, or nothing could be judged.
    """

    name: str
    points: int
    earned: int
    message: str
    mistake: str | None = None
    lines: tuple[str, ...] = ()
    failed: CheckFailed | None = None

    @property
    def passed(self) -> bool:
        return self.earned == self.points

    @property
    def diagnosis(self) -> str | None:
        """The mistake's name and its meaning, as learners read it."""
        return None if self.mistake is None else f"{self.mistake}: {SENTENCES[self.mistake]}"

    def as_json(self) -> dict[str, Any]:
        """The fields of the command line's JSON."""
        return {
            "name": self.name,
            "points": self.points,
            "earned": self.earned,
            "passed": self.passed,
            "message": self.message,
            "diagnosis": self.diagnosis,
        }

    def as_record(self) -> dict[str, Any]:
        """All of it that JSON can hold: what a graded cell keeps."""
        failed = self.failed
        found = {} if failed is None else {"code": failed.code, "case": failed.case, "measured": failed.measured}
        return {**self.as_json(), "mistake": self.mistake, **found}


@dataclass(frozen=True)
class Verdict:
    """The verdict on one function.

    Attributes:
        variant: Name of the variant, such as ``eager_causal``.
        checks: The six results, in the contract's order.
        notes: What else the reader should know, such as cells that were skipped.
    """

    variant: str
    checks: tuple[CheckResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> int:
        return sum(check.earned for check in self.checks)

    @property
    def max_score(self) -> int:
        return sum(check.points for check in self.checks)

    def check(self, name: str) -> CheckResult:
        """The result of one check."""
        return next(check for check in self.checks if check.name == name)

    def as_json(self) -> dict[str, Any]:
        """One line of the command line's JSON."""
        return {
            "variant": self.variant,
            "score": self.score,
            "max_score": self.max_score,
            "checks": [check.as_json() for check in self.checks],
        }


def not_judged(variant: Variant, reason: str, notes: Iterable[str] = ()) -> Verdict:
    """The verdict on something that cannot be judged: six times 0, with the reason."""
    checks = tuple(CheckResult(name, points, 0, reason) for name, points in variant.points.items())
    return Verdict(variant.name, checks, tuple(notes))
