"""The same pure function on a Dask cluster. Needs the extra ``cluster``: ``pip install -e . -e "grading[cluster]"``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future

from attention_grading.classroom.task import Graded, grade_submission
from attention_grading.course_file import CourseProblem
from attention_grading.notebooks.grade import GradingTerms, NotebookTask

# How long to wait for the scheduler, and for a first worker
PATIENCE = 60
_ASK_AGAIN = 5  # seconds between two questions for the number of workers: they come and go


class Cluster:
    """A Dask cluster's workers. The scheduler gives a dead worker's submissions to the others.

    Args:
        address: The scheduler's, such as ``tcp://HOST:8786`` or, on a network that is not to be trusted,
            ``tls://HOST:8786`` with Dask's own TLS settings.

    Raises:
        CourseProblem: Dask is not installed, or there is no scheduler or no worker.
    """

    def __init__(self, address: str):
        try:
            from distributed import Client
        except ImportError as error:
            wanted = 'in the course\'s checkout, pip install -e . -e "grading[cluster]"'
            raise CourseProblem(f"--scheduler needs Dask: {wanted}") from error
        try:
            self._client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise CourseProblem(f"no Dask scheduler answers at {address}: {error}") from error
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            self._client.close()
            raise CourseProblem(
                f"the scheduler at {address} has no workers; start some: dask worker {address} --nthreads 1"
            ) from error
        # each task is its own: equal submissions of two students are two tasks
        self._executor = self._client.get_executor(pure=False)
        self._asked, self._threads = 0.0, 1

    def room(self) -> int:
        if time.monotonic() - self._asked > _ASK_AGAIN:
            self._threads = max(1, sum(self._client.nthreads().values()))
            self._asked = time.monotonic()
        return 2 * self._threads

    def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
        future: Future[Graded] = self._executor.submit(grade_submission, tasks, terms)
        return future

    def died(self, error: BaseException) -> bool:
        return False  # Dask has tried again by itself before it says so

    def close(self) -> None:
        self._executor.shutdown(wait=False)
        self._client.close()
