"""Grading on a Dask cluster: a real scheduler and two worker processes on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from attention_grading.classroom.dask_cluster import Cluster
from attention_grading.course_file import CourseProblem
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.notebooks.grade import GradingTerms, NotebookTask, Terms
from attention_grading.sandbox.limits import Limits, OutputLimits
from support.classes import database, grade, grade_command, graded_files, hand_in, make_course, rows, wide

pytestmark = [pytest.mark.nbgrader, pytest.mark.process]

STEM = "04_sdpa_causal"
KINDS = ("all-right", "one-mistake", "blank", "syntax-error", "broken-file")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with thirty submissions, graded by nobody yet."""
    folder = make_course(tmp_path_factory.mktemp("cluster") / "course", [STEM])
    for number in range(30):
        hand_in(folder, f"student-{number:02}", STEM, KINDS[number % len(KINDS)])
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def process(*command: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended at the exit; its output goes to a file in its folder."""
    with (cwd / f"{command[0]}-{time.monotonic_ns()}.log").open("wb") as log:
        popen = subprocess.Popen([sys.executable, "-m", *command], cwd=cwd, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield popen
    finally:
        popen.terminate()
        try:
            popen.wait(timeout=20)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler, and its two workers; they run outside the course, and know nothing of it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    address = f"tcp://127.0.0.1:{free_port()}"
    place = ("--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
    worker = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    with (
        process("distributed.cli.dask_scheduler", *place, cwd=elsewhere),
        process(*worker, cwd=elsewhere) as first,
        process(*worker, cwd=elsewhere) as second,
    ):
        yield address, [first, second]


@pytest.fixture(scope="module")
def here(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same class graded by the pool on this machine."""
    return graded_copy(course, tmp_path_factory.mktemp("here") / "course")


def graded_copy(course: Path, folder: Path, *options: str) -> Path:
    grade(shutil.copytree(course, folder), *options)
    return folder


def test_cluster_gives_what_this_machine_gives(course, here, cluster, tmp_path):
    there = graded_copy(course, tmp_path / "there", "--scheduler", cluster[0], "--report", "report.json")
    assert json.loads((there / "report.json").read_text())["graded"] == {STEM: 30}
    assert rows(database(there)) == rows(database(here))
    assert graded_files(there) == graded_files(here)
    assert len(graded_files(there)) == 30


def test_worker_killed_in_the_middle_costs_a_retry_and_nothing_else(course, here, cluster, tmp_path):
    address, workers = cluster
    there = shutil.copytree(course, tmp_path / "there")
    running = subprocess.Popen(
        grade_command("--scheduler", address, "--report", "report.json"),
        cwd=there,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=wide(),
    )
    deadline = time.monotonic() + 300
    while len(graded_files(there)) < 3:
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers[0].kill()
    assert len(graded_files(there)) < 28
    out, _ = running.communicate(timeout=240)
    assert running.returncode == 0, out
    assert json.loads((there / "report.json").read_text())["graded"] == {STEM: 30}
    assert rows(database(there)) == rows(database(here))
    logs = "".join(path.read_text(errors="replace") for path in (tmp_path / "elsewhere").glob("*.log"))
    assert logs
    for secret in ("student", "def sdpa_causal", PUBLIC_SEED):  # what travels with a task shows in no log
        assert secret not in logs


def test_address_without_a_scheduler_and_scheduler_without_workers_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr("attention_grading.classroom.dask_cluster.PATIENCE", 1)
    port = free_port()
    with pytest.raises(CourseProblem, match="no Dask scheduler answers"):
        Cluster(f"tcp://127.0.0.1:{port}")
    place = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    with process("distributed.cli.dask_scheduler", *place, cwd=tmp_path):
        monkeypatch.setattr("attention_grading.classroom.dask_cluster.PATIENCE", 10)
        with pytest.raises(CourseProblem, match="has no workers; start some: dask worker"):
            Cluster(f"tcp://127.0.0.1:{port}")


def test_seed_travels_with_the_task_and_shows_in_no_text_of_it():
    task = NotebookTask(STEM, "hidden cells", "a learner's work")
    terms = GradingTerms(Terms("a secret seed", Limits(), OutputLimits(), True))
    assert not re.search("secret|hidden|learner", repr((task, terms)))
