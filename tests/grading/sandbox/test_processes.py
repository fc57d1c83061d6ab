"""Processes of workers: how they end, and that they do."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from attention_grading.execution.workers import JUDGE_WORKER
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import Process, WarmServer, worker_environment


@pytest.mark.process
def test_end_of_a_process_ends_a_wait_on_a_channel_that_is_still_in_flight():
    """A process can send its own end of the channel over the channel: after its death it is still open, unread."""
    ours, theirs = socket.socketpair()
    socket.send_fds(theirs, [b"x"], [theirs.fileno()])
    sleeper = subprocess.Popen(["sleep", "60"])
    process = Process(ours.makefile("rb"), ours.makefile("wb"), sleeper.pid, ours)
    theirs.close()
    ended: list[type] = []

    def write() -> None:
        try:
            while True:
                ours.sendall(bytes(2**20))
        except OSError as error:
            ended.append(type(error))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(0.5)
    assert writer.is_alive()
    process.kill()
    writer.join(10)
    sleeper.wait()
    assert ended == [BrokenPipeError]


@pytest.mark.parametrize(
    ("number", "seconds", "words"),
    [
        (9, 1.0, "killed from outside"),
        (9, 31.0, "used up its processor time"),  # the hard limit kills whoever ignores the soft one's signal
        (37, 1.0, "killed by signal 37"),
        (24, 31.0, "used up its processor time"),
        (11, 1.0, "killed by SIGSEGV"),
        (3 << 8, 1.0, "exited with status 3"),
        (None, 1.0, "ended before it answered"),
    ],
)
def test_every_end_has_words(number, seconds, words):
    process = Process(io.BytesIO(), io.BytesIO(), 1, status=number, processor_seconds=seconds)
    assert words in process.how_it_ended(Limits())


@pytest.mark.process
@pytest.mark.needs("confinement")
def test_children_end_with_the_warm_process_and_the_warm_process_with_the_judge(tmp_path):
    text = """
import os, sys, time
from attention_grading.execution.workers import JUDGE_WORKER
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import WarmServer
server = WarmServer("attention_grading.execution.judge_worker", Limits(seconds=100))
with server.child() as process:
    print(server._popen.pid, process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(_runs, pids)):
        time.sleep(0.1)
    assert [pid for pid in pids if _runs(pid)] == []


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_worker_on_the_cpu_sees_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert worker_environment()["CUDA_VISIBLE_DEVICES"] == ""
    assert worker_environment("cuda")["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.needs("confinement")
def test_process_that_was_started_ahead_is_the_one_that_serves(monkeypatch):
    from attention_grading.execution.workers import JUDGE_WORKER
    from attention_grading.sandbox import processes

    launched = []
    launch = processes.WarmServer._launch
    monkeypatch.setattr(processes.WarmServer, "_launch", lambda server: (launched.append(server), launch(server)))
    processes.start_ahead(Limits(), JUDGE_WORKER)
    other, server = processes.WarmServer(JUDGE_WORKER, Limits(seconds=1)), processes.WarmServer(JUDGE_WORKER, Limits())
    assert len(launched) == 1
    for each, number in ((server, 1), (other, 2)):
        with each.child() as process:
            assert process.pid > 0
        assert len(launched) == number  # limits are the process's own: another's do not do
        each.close()


@pytest.mark.process
def test_warm_process_whose_judge_went_meanwhile_ends_without_a_word(capfd):
    """As after Ctrl-C: it leads a session of its own, and would speak up when the prompt is back."""
    server = WarmServer(JUDGE_WORKER, None)
    server._launch()
    server._control.close()
    assert server._popen.wait(60) == 0
    assert capfd.readouterr() == ("", "")
