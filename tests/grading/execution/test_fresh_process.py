"""Submissions that run in a process of their own from the start, as on a GPU or where nothing forks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attention_grading.execution.judge_runner import Run, Supervisor
from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.judging.session import encoded
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import Interrupted
from attention_lab.variants import get_variant
from corpus import CORPUS

pytestmark = pytest.mark.process

SECONDS = 10


@pytest.fixture
def run_with(tmp_path, monkeypatch) -> Callable[[str], Run]:
    """Runs a right answer in a process that does something first."""

    def run(at_start: str) -> Run:
        (tmp_path / "sitecustomize.py").write_text(at_start)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        variant = get_variant("eager_causal")
        answer = next(answer for answer in CORPUS if answer.right and answer.variant == variant.name)
        calls = encoded(variant, flat_calls(plan(variant.name, PUBLIC_SEED))[:3])
        with Supervisor(Limits(seconds=SECONDS), confined=False, warm=False) as supervisor:
            return supervisor.run([{"id": "file", "source": answer.source}], variant.function_name, calls, "submission")

    return run


def test_the_process_s_own_start_is_no_part_of_the_submission_s_time(run_with):
    run = run_with(f"import time\ntime.sleep({SECONDS})")
    assert (run.ended, run.found) == ("", True)
    assert all(outcome.failure is None for outcome in run.outcomes)


def test_a_process_that_does_not_start_is_no_fault_of_the_submission(run_with):
    with pytest.raises(Interrupted, match="the process for it ended; its own output, above, says why"):
        run_with("import os\nos._exit(3)")
