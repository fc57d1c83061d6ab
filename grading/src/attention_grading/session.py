"""A judging session: one seed, one warm worker, many submissions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from attention_grading.cases import PUBLIC_SEED, flat_calls, plan
from attention_grading.supervisor import DEFAULT_SECONDS, EncodedCalls, Supervisor
from attention_grading.verdict import Verdict, judge_outcomes, missing_outcome, not_judged
from attention_lab.submission import NotJudgeable, Submission, read_submission
from attention_lab.variants import Variant, get_variant


class Session:
    """Judges submissions one after the other, each in a process of its own.

    Args:
        seed: What the hidden inputs are drawn from; the documented public seed by default.
        seconds: Wall-clock limit of one submission.
        confined: Whether the workers confine themselves.
        device: Where the learners' functions run: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(
        self,
        *,
        seed: str = PUBLIC_SEED,
        seconds: float = DEFAULT_SECONDS,
        confined: bool = False,
        device: str = "cpu",
    ):
        self._seed = seed
        self._supervisor = Supervisor(seconds=seconds, confined=confined, device=device)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self._supervisor.close()

    def judge_file(self, variant: str | Variant, path: Path) -> Verdict:
        """Judge a ``.py`` file or a notebook; whatever is wrong with it ends in a verdict, never in an exception."""
        variant = get_variant(variant)
        try:
            return self.judge(variant, read_submission(path, variant))
        except NotJudgeable as reason:
            return not_judged(variant, str(reason))

    def judge(self, variant: Variant, submission: Submission) -> Verdict:
        """Judge a learner's code."""
        calls = _encoded(variant.name, self._seed)
        name = "__main__" if submission.is_notebook else "submission"
        run = self._supervisor.run(submission.cells, variant.function_name, calls, name)
        notes = [*submission.notes, *run.notes]
        if run.ended:
            notes.append(f"the function's process {run.ended}")
        if not submission.is_notebook and run.notes:
            return not_judged(variant, run.notes[0].replace("cell file", "the file"))
        if run.ended and not run.found:
            return not_judged(variant, f"your code {run.ended}, before the function could be called", notes)
        if not run.found:
            reason = "; ".join(run.notes) or "it is defined nowhere"
            return not_judged(variant, f"the function {variant.function_name} was not found: {reason}", notes)
        if run.ended and all(outcome.failure and outcome.failure.kind == "NotPerformed" for outcome in run.outcomes):
            return not_judged(variant, f"your function gave no answer: it {run.ended}", notes)
        outcomes = [outcome or missing_outcome("your function gave no answer") for outcome in run.outcomes]
        return judge_outcomes(variant, self._seed, outcomes, notes)


@lru_cache(maxsize=64)
def _encoded(variant_name: str, seed: str) -> EncodedCalls:
    return EncodedCalls.of(get_variant(variant_name), flat_calls(plan(variant_name, seed)))
