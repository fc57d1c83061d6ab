"""Signals and killed processes leave a gradebook that the next run goes on with."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from support.classes import STEM, grade, grade_command, graded_students, hand_in, points, wide

pytestmark = pytest.mark.nbgrader


@pytest.fixture
def big(blank_course: Path, tmp_path: Path) -> Path:
    """A course with 30 submissions, a third each right, wrong and blank."""
    folder = shutil.copytree(blank_course, tmp_path / "course")
    for number in range(30):
        hand_in(folder, f"student-{number:02}", STEM, ("all-right", "one-mistake", "blank")[number % 3])
    return folder


BIG = {f"student-{number:02}": (10, 4, 0)[number % 3] for number in range(30)}


def started(folder: Path, *options: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start grading and wait until some submissions are recorded; give back the process and those that it started."""
    command = grade_command("--verdict-only", *options)
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=wide()
    )
    deadline = time.monotonic() + 300
    while len(graded_students(folder)) < 3:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, psutil.Process(process.pid).children(recursive=True)


def consistent(folder: Path) -> set[str]:
    """The students that are graded; asserts that gradebook and folders tell the same."""
    with sqlite3.connect(folder / "gradebook.db") as connection:
        ungraded = connection.execute("select count(*) from grade where auto_score is null").fetchone()
    assert ungraded == (0,)
    recorded = points(folder)
    assert recorded == {student: BIG[student] for student in recorded}
    assert graded_students(folder) <= recorded.keys()
    assert len(recorded) - len(graded_students(folder)) <= 1  # killed between the two
    return graded_students(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_stopped_run_leaves_a_consistent_gradebook_and_the_next_goes_on(big, number):
    process, children = started(big, "--workers", "1")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == (128 + number if number != signal.SIGKILL else -number), out
    assert not psutil.wait_procs(children, timeout=20)[1], "processes were left behind"
    before = consistent(big)
    assert 3 <= len(before) < 30
    if number != signal.SIGKILL:
        assert f"Stopped by {number.name}" in out
        assert "run the same command again to go on" in out
        return  # going on is the same whatever the signal was
    grade(big, "--verdict-only", "--workers", "1", "--report", "report.json")
    report = json.loads((big / "report.json").read_text())
    assert report["unchanged"] == {STEM: len(before)}
    assert report["graded"] == {STEM: 30 - len(before)}
    assert points(big) == BIG
    assert consistent(big) == BIG.keys()


def judging(children: list[psutil.Process]) -> bool:
    """Whether a learner's code runs: the warm process has a server, and that one a child."""
    warm = next(child for child in children if "attention_grading.sandbox.warm_process" in child.cmdline())
    return any(server.children() for server in warm.children())


def test_killed_process_of_the_pool_costs_a_retry_and_nothing_else(big):
    process, children = started(big, "--workers", "1", "--report", "report.json")
    pool = next(child for child in children if "forkserver" in " ".join(child.cmdline()))
    while not judging(children):  # pebble loses its pipe with a process that dies while it writes a result there
        assert process.poll() is None
    pool.children()[0].kill()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert json.loads((big / "report.json").read_text())["retries"] == 1
    assert points(big) == BIG
    assert consistent(big) == BIG.keys()
