"""A judging session: one seed, one warm worker, many submissions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from attention_grading.execution.codec import NO_DATA, encode_calls
from attention_grading.execution.judge_runner import EncodedCalls, Supervisor
from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.kernel_factors import MARKED_KERNELS, MarkedKernels
from attention_grading.judging.outcomes import judge_outcomes
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.judging.verdict import Verdict, not_judged
from attention_grading.sandbox.confinement import UNCONFINED
from attention_grading.sandbox.limits import Limits, OutputLimits
from attention_grading.sandbox.processes import WorkerFailed
from attention_lab.checks.calls import Call, missing_outcome
from attention_lab.notebook.learner_cells import NotJudgeable, Submission, read_submission
from attention_lab.variants import Variant, get_variant

if TYPE_CHECKING:
    from attention_grading.execution.notebook_runner import Display, Shown


class Session:
    """Judges submissions one after the other, each in a process of its own.

    Args:
        seed: What the hidden inputs are drawn from; the documented public seed by default.
        limits: What running one submission may use.
        output_limits: How much of a notebook's outputs ``show`` keeps.
        confined: ``True``: confinement is required; ``False``: none; ``None``: where the platform has it, with a loud
            warning where it has not.
        device: Where the learners' functions run: ``"cpu"`` or ``"cuda"``; nothing is confined on the latter.
    """

    def __init__(
        self,
        *,
        seed: str = PUBLIC_SEED,
        limits: Limits | None = None,
        output_limits: OutputLimits | None = None,
        confined: bool | None = True,
        device: str = "cpu",
    ):
        self._seed = seed
        self._limits = limits or Limits()
        self._output_limits = output_limits
        self._device = device
        self._confined = confined
        self._supervisor: Supervisor | None = None
        self._display: Display | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def confined(self) -> bool:
        """Whether learners' code runs confined; known once it has started."""
        return bool(self._confined)

    def start(self) -> None:
        """Start the worker and test its confinement; does nothing where it runs.

        Raises:
            WorkerFailed: Confinement is required and not available, or failed its self-test.
        """
        if self._supervisor is not None:
            return
        torch.set_num_threads(1)  # the tensors are tiny, and where there is a class, there is a process a core
        try:
            supervisor = Supervisor(self._limits, confined=self._confined is not False, device=self._device)
            supervisor.start()
        except WorkerFailed as reason:
            if self._confined is not None:
                raise
            warnings.warn(f"{UNCONFINED} The reason: {reason}", stacklevel=2)
            supervisor = Supervisor(self._limits, confined=False, device=self._device)
        self._confined = supervisor.confined
        self._supervisor = supervisor

    def close(self) -> None:
        """End the worker."""
        for owner in (self._supervisor, self._display):
            if owner is not None:
                owner.close()

    def show(self, cells: Sequence[str], before: int = 0) -> Shown:
        """Run a notebook's cells for their outputs.

        Args:
            cells: Source of each.
            before: How many of the first are the instructor's, before any of the learner's.
        """
        # here, since nbformat takes a second to import: who only judges does without
        from attention_grading.execution.notebook_runner import Display, Shown

        if not hasattr(os, "fork"):
            return Shown([[] for _ in cells], "has no outputs: this platform cannot fork")
        self.start()
        if self._display is None:
            self._display = Display(self._limits, confined=bool(self._confined), output_limits=self._output_limits)
        return self._display.run(cells, before)

    def judge_file(self, variant: str | Variant, path: Path) -> Verdict:
        """Judge a ``.py`` file or a notebook; whatever is wrong with it ends in a verdict.

        Raises:
            Interrupted: As ``judge``.
        """
        variant = get_variant(variant)
        try:
            return self.judge(variant, read_submission(path, variant))
        except NotJudgeable as reason:
            return not_judged(variant, str(reason))

    def judge(self, variant: Variant, submission: Submission) -> Verdict:
        """Judge a learner's code.

        Raises:
            Interrupted: Something else than the code ended its process; the next try may go well (``once_more``).
        """
        self.start()
        assert self._supervisor is not None
        calls = _encoded(variant.name, self._seed, self._device)
        name = "__main__" if submission.is_notebook else "submission"
        run = self._supervisor.run(submission.cells, variant.function_name, calls, name)
        notes = [*submission.notes, *run.notes]
        notes += [f"its code tried to {words}, and was denied" for words in run.denied]
        if run.ended:
            notes.append(f"the function's process {run.ended}")
        if not submission.is_notebook and run.notes:
            return not_judged(variant, run.notes[0].replace("cell file", "the file"), notes[len(run.notes) :])
        if run.ended and not run.found:
            return not_judged(variant, f"your code {run.ended}, before the function could be called", notes)
        if not run.found:
            reason = "; ".join(run.notes) or "it is defined nowhere"
            return not_judged(variant, f"the function {variant.function_name} was not found: {reason}", notes)
        if run.ended and all(
            outcome is not None and outcome.failure is not None and outcome.failure.kind == "NotPerformed"
            for outcome in run.outcomes
        ):
            return not_judged(variant, f"your function gave no answer: it {run.ended}", notes)
        outcomes = [outcome or missing_outcome("your function gave no answer") for outcome in run.outcomes]
        if any(outcome.returned == NO_DATA for outcome in outcomes):
            notes.append(f"the function's process said that it returned a tensor, and sent {NO_DATA}")
        return judge_outcomes(variant, self._seed, outcomes, notes, self._device)


@lru_cache(maxsize=64)
def _encoded(variant_name: str, seed: str, device: str) -> EncodedCalls:
    return encoded(get_variant(variant_name), flat_calls(plan(variant_name, seed, device)))


def encoded(variant: Variant, calls: Sequence[Call]) -> EncodedCalls:
    """Calls for the runner, with the factors of the kernels that count in this variant."""
    factors = partial(MarkedKernels, MARKED_KERNELS[variant.kernel])
    return EncodedCalls(tuple(calls), encode_calls(calls), factors, compiler=variant.kernel == "flex")
