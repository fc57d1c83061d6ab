"""From outcomes to a verdict: points, message and diagnosis for each of the six checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attention_grading.judging.cases import grouped, plan
from attention_grading.judging.diagnosis.explain import diagnose
from attention_grading.judging.diagnosis.names import hint_for
from attention_grading.judging.diagnosis.symptoms import recognise_symptom
from attention_grading.judging.verdict import CheckResult, Verdict
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.variants import Variant

# What a check may find that no wrong number explains, whatever the other numbers look like
NOT_OF_NUMBERS = ("devices-meet", "wrong-device", "wrong-dtype", "wrong-shape", "inputs-modified", "no-gradient")
# ... and what wrong numbers alone say: the case's hint goes by what it asks
WRONG_NUMBERS = ("wrong-values", "wrong-gradient")

Pair = tuple[Case, Sequence[Outcome]]


def judge_outcomes(
    variant: Variant, seed: str, outcomes: Sequence[Outcome], notes: Iterable[str] = (), device: str = "cpu"
) -> Verdict:
    """Judge what the calls of ``plan(variant.name, seed, device)`` gave.

    Args:
        variant: One of the course's.
        seed: The seed that the calls were drawn from.
        outcomes: One a call, in the order of the plan.
        notes: Passed on to the verdict.
        device: Where the function ran.
    """
    pairs = list(grouped(plan(variant.name, seed, device), outcomes))
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
    of_numbers = mistake is not None
    if mistake is None:
        judged = [(case, got, problem) for (case, got), problem in zip(pairs, problems, strict=True)]
        mistake = recognise_symptom(variant, judged, performed, right_before)
    if mistake is not None and (of_numbers or failed.code in WRONG_NUMBERS):
        failed = _about(failed, mistake)
    return CheckResult(name, points, 0, str(failed), mistake, lines, failed)


def _about(failed: CheckFailed, mistake: str) -> CheckFailed:
    """The same failure with the mistake's own hint: the case's is about what it asks, not about what it ran into."""
    hint = hint_for(mistake) or failed.hint
    return CheckFailed(failed.case, failed.problem, failed.detail, hint, failed.code, failed.measured)


def _flat(pairs: Sequence[Pair]) -> tuple[list[Call], list[Outcome]]:
    calls = [call for case, _ in pairs for call in case.calls]
    return calls, [outcome for _, outcomes in pairs for outcome in outcomes]
