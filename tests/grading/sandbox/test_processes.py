"""Processes of workers: how they end, and that they do."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from attention_grading.execution.workers import JUDGE_WORKER, NOTEBOOK_WORKER
from attention_grading.sandbox import warm_server
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import Process, worker_environment
from attention_grading.sandbox.warm_server import WarmProcess, WarmServer


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
from attention_grading.sandbox.warm_server import WarmServer
server = WarmServer(JUDGE_WORKER, Limits(seconds=100))
with server.child() as process:
    print(server._own.popen.pid, server._pid, process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 3
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


@pytest.fixture
def launched(monkeypatch):
    """The warm processes that a test starts: their workers."""
    launched = []
    launch = WarmProcess.launch
    monkeypatch.setattr(warm_server, "_AHEAD", {})
    monkeypatch.setattr(
        WarmProcess, "launch", lambda confined, *modules: (launched.append(modules), launch(confined, *modules))[1]
    )
    return launched


@pytest.mark.process
@pytest.mark.needs("confinement")
def test_one_warm_process_serves_judges_of_every_limit_and_kind(launched):
    warm = WarmProcess.launch(True, JUDGE_WORKER, NOTEBOOK_WORKER)
    warm_server.share(warm.controls)
    asked = [(JUDGE_WORKER, Limits()), (JUDGE_WORKER, Limits(seconds=1)), (NOTEBOOK_WORKER, Limits())]
    servers = [WarmServer(*each) for each in asked]
    with servers[0].child() as one, servers[1].child() as two, servers[2].child() as three:
        sessions = {os.getsid(each.pid) for each in (one, two, three)}
    assert sessions == {server._pid for server in servers}  # each judge's own, and no other's is made nice
    assert len(launched) == 1
    for server in servers:
        server.close()
    for control in warm.controls.values():
        control.close()
    assert warm.popen.wait(20) == 0


@pytest.mark.process
@pytest.mark.needs("confinement")
def test_judge_whose_server_or_warm_process_went_down_gets_another(launched):
    warm_server.start_ahead(True, JUDGE_WORKER)
    server = WarmServer(JUDGE_WORKER, Limits())
    server.start()
    for victim, processes in ((server._pid, 1), (psutil.Process(server._pid).ppid(), 2)):
        for pid in {victim, server._pid}:
            psutil.Process(pid).kill()
        while not warm_server._is_over(server._control):
            time.sleep(0.01)
        with server.child() as process:
            assert process.pid > 0
        assert len(launched) == processes
    server.close()


@pytest.mark.process
def test_warm_process_whose_judge_went_meanwhile_ends_without_a_word(capfd):
    """As after Ctrl-C: it leads a session of its own, and would speak up when the prompt is back."""
    warm = WarmProcess.launch(False, JUDGE_WORKER)
    ours, theirs = socket.socketpair()
    socket.send_fds(warm.controls[JUDGE_WORKER, False], [b"null"], [theirs.fileno()])
    for end in (ours, theirs, *warm.controls.values()):
        end.close()
    assert warm.popen.wait(60) == 0
    assert capfd.readouterr() == ("", "")
