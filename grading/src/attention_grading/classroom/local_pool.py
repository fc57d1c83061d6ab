"""A pool of warm processes on this machine, and how many it should have."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from attention_grading.classroom.task import Graded, grade_submission
from attention_grading.execution.workers import JUDGE_WORKER, NOTEBOOK_WORKER
from attention_grading.notebooks.grade import GradingTerms, NotebookTask
from attention_grading.sandbox.warm_server import WarmProcess, share

_PRELOADED = (
    "attention_grading.without_grammar",
    "attention_grading.classroom.task",
    "attention_grading.judging.session",
)


class LocalPool:
    """A pool of processes, each with its own warm session. One that dies takes only its own submission with it.

    What they import is imported once: they are forked from a process that has the judge, and what runs learners' code
    for them from another one, which has never heard of it. Both start at once.

    Args:
        workers: Number of processes.
        terms: What they will grade by.
    """

    def __init__(self, workers: int, terms: GradingTerms):
        self._workers = workers
        needed = (JUDGE_WORKER,) if terms.verdict_only else (JUDGE_WORKER, NOTEBOOK_WORKER)
        self._warm: WarmProcess | None = None
        context: Any = get_context("spawn")
        if hasattr(os, "fork"):
            self._warm = WarmProcess.launch(True, *needed)
            context = get_context("forkserver")  # never forked from this process, which has threads
            context.set_forkserver_preload(list(_PRELOADED))
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=share,
            initargs=({} if self._warm is None else self._warm.controls,),
            context=context,
        )

    def room(self) -> int:
        return 2 * self._workers

    def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
        try:
            return self._pool.schedule(grade_submission, (tasks, terms), timeout=patience(tasks, terms))
        except RuntimeError as error:  # all processes ended while they had nothing to do
            raise BrokenProcessPool("the pool's processes are gone") from error

    def died(self, error: BaseException) -> bool:
        return isinstance(error, ProcessExpired)

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()
        if self._warm is not None:
            self._warm.close()


def patience(tasks: Sequence[NotebookTask], terms: GradingTerms) -> float:
    """Seconds after which a submission's process hangs, rather than works: judging and pictures end by themselves."""
    # pictures take the limit once; judging thrice, where other cells had to be left out
    return 60 + 4 * terms.judging.limits.seconds * len(tasks)


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that this process may use: its affinity, and its control group's quota where it has one.

    Args:
        quota: Where the control group (version 2) says how much time it grants; containers see their own there.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        granted, period = quota.read_text().split()
        return max(1, min(affinity, math.ceil(int(granted) / int(period))))
    except (OSError, ValueError):  # none, or "max"
        return affinity
