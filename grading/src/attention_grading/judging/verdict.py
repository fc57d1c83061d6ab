"""From outcomes to a verdict: points, message and diagnosis for each of the six checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from attention_grading.judging.cases import grouped, plan
from attention_grading.judging.diagnosis.explain import diagnose
from attention_grading.judging.diagnosis.names import SENTENCES
from attention_grading.judging.diagnosis.symptoms import recognise_symptom
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.variants import Variant

# What a check may find that no wrong number explains, whatever the other numbers look like
NOT_OF_NUMBERS = ("devices-meet", "wrong-device", "wrong-dtype", "wrong-shape", "inputs-modified", "no-gradient")

Pair = tuple[Case, Sequence[Outcome]]


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


def judge_outcomes(variant: Variant, seed: str, outcomes: Sequence[Outcome], notes: Iterable[str] = ()) -> Verdict:
    """Judge what the calls of ``plan(variant.name, seed)`` gave.

    Args:
        variant: One of the course's.
        seed: The seed that the calls were drawn from.
        outcomes: One a call, in the order of the plan.
        notes: Passed on to the verdict.
    """
    pairs = list(grouped(plan(variant.name, seed), outcomes))
    problems = [problem_of(case, got) for case, got in pairs]
    # a mistake that explains everything the function did is named surest; else each check is asked by itself
    whole = diagnose(variant, *_flat(pairs)) if any(problems) else None
    checks: list[CheckResult] = []
    for name in variant.points:
        own = [(pair, problem) for pair, problem in zip(pairs, problems, strict=True) if pair[0].check == name]
        right_before = all(check.passed for check in checks if check.name in ("values", "masking"))
        performed = list(zip(*_flat(pairs), strict=True))
        checks.append(
            _result(variant, name, [pair for pair, _ in own], [p for _, p in own], whole, performed, right_before)
        )
    return Verdict(variant.name, tuple(checks), tuple(notes))


def judge_check(variant: Variant, name: str, pairs: Sequence[Pair]) -> CheckResult:
    """Judge one check from its cases and their outcomes."""
    problems = [problem_of(case, got) for case, got in pairs]
    return _result(variant, name, pairs, problems, None, list(zip(*_flat(pairs), strict=True)), right_before=False)


def problem_of(case: Case, outcomes: Sequence[Outcome]) -> CheckFailed | None:
    """What is wrong with a case's outcomes; ``None`` where nothing is."""
    try:
        case.verify(outcomes)
    except CheckFailed as failed:
        return failed
    return None


def _result(
    variant: Variant,
    name: str,
    pairs: Sequence[Pair],
    problems: Sequence[CheckFailed | None],
    mistake: str | None,
    performed: Sequence[tuple[Call, Outcome]],
    right_before: bool,
) -> CheckResult:
    """A check passes when all its cases do; the first that does not gives the message."""
    points = variant.points[name]
    lines = tuple(
        f"{'passed' if problem is None else 'FAILED'}: {case.name}"
        for (case, _), problem in zip(pairs, problems, strict=True)
    )
    failed = next((problem for problem in problems if problem is not None), None)
    if failed is None:
        return CheckResult(name, points, points, f"passed: {len(lines)} cases", None, lines)
    if failed.code in NOT_OF_NUMBERS or name == "kernel":  # numbers do not tell which kernel made them
        mistake = None
    elif mistake is None:
        mistake = diagnose(variant, *_flat(pairs))
    if mistake is None:
        judged = [(case, got, problem) for (case, got), problem in zip(pairs, problems, strict=True)]
        mistake = recognise_symptom(variant, judged, performed, right_before)
    return CheckResult(name, points, 0, str(failed), mistake, lines, failed)


def _flat(pairs: Sequence[Pair]) -> tuple[list[Call], list[Outcome]]:
    calls = [call for case, _ in pairs for call in case.calls]
    return calls, [outcome for _, outcomes in pairs for outcome in outcomes]


def not_judged(variant: Variant, reason: str, notes: Iterable[str] = ()) -> Verdict:
    """The verdict on something that cannot be judged: six times 0, with the reason."""
    checks = tuple(CheckResult(name, points, 0, reason) for name, points in variant.points.items())
    return Verdict(variant.name, checks, tuple(notes))
