"""How many workers there are, and which version they run."""

from __future__ import annotations

import os

import pytest

from attention_grading.classroom import local_pool, task
from attention_grading.classroom.task import grade_submission
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.notebooks.grade import GradingTerms, Terms
from attention_grading.sandbox.limits import Limits, OutputLimits


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("nonsense", 8)]
)
def test_workers_are_as_many_as_affinity_and_quota_allow(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert local_pool.usable_cores(tmp_path / "cpu.max") == cores


def test_worker_of_another_version_refuses(tmp_path):
    terms = GradingTerms(Terms(PUBLIC_SEED, Limits(), OutputLimits(), True), version="0.0.0")
    with pytest.raises(task.WrongVersion, match="was started with"):
        grade_submission([], terms)
