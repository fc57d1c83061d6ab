"""The processes that run learners' code, seen from the judge: warm ones that fork, and fresh ones."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO

from attention_grading.limits import Limits


class WorkerFailed(RuntimeError):
    """The warm process will not or cannot serve; the message says why, and what to do."""


@dataclass
class Process:
    """A process that runs one submission: its two streams, and how to end it."""

    reader: BinaryIO
    writer: BinaryIO
    pid: int
    channel: socket.socket | None = None
    status: int | None = None  # as os.waitpid gives it

    def kill(self) -> None:
        """End it, and with it every wait for it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.channel.shutdown(socket.SHUT_RDWR)

    def threads(self) -> int:
        """How many threads it has; 0 where the platform does not tell."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/task"))
        except OSError:
            return 0

    def how_it_ended(self) -> str:
        """In words that follow "it"."""
        if self.status is None:
            return "ended before it answered"
        if os.WIFSIGNALED(self.status):
            number = os.WTERMSIG(self.status)
            if number == getattr(signal, "SIGXCPU", None):
                return "used up its processor time"
            try:
                return f"was killed by {signal.Signals(number).name}"
            except ValueError:  # real-time signals have no names
                return f"was killed by signal {number}"
        return f"exited with status {os.WEXITSTATUS(self.status)} before it answered"


class WarmServer:
    """A process with everything imported, which forks a child on request. It starts with the first child.

    Args:
        module: What it runs: ``attention_grading.worker`` or ``attention_grading.display_worker``.
        limits: What a child may use, once confined; ``None`` runs children unconfined.
    """

    def __init__(self, module: str, limits: Limits | None):
        self._module, self._limits = module, limits
        self._popen: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the process, or another one where a submission took it down; does nothing where it runs.

        Raises:
            WorkerFailed: Confinement is not available here, or failed its self-test.
        """
        if self._popen is not None and self._popen.poll() is None:
            return
        self.close()
        self._control, theirs = socket.socketpair()
        # -P: no module is taken from the working directory
        command = [sys.executable, "-P", "-m", self._module, "--serve", str(theirs.fileno())]
        self._popen = subprocess.Popen(
            command + ([] if self._limits is None else ["--limits", json.dumps(asdict(self._limits))]),
            pass_fds=(theirs.fileno(),),
            env=worker_environment(),
            stdin=subprocess.DEVNULL,
            cwd=os.sep,
        )
        theirs.close()
        greeting = self._answer()
        if greeting != "ready":
            self.close()
            raise WorkerFailed(greeting)

    @contextlib.contextmanager
    def child(self) -> Iterator[Process]:
        """A child, ended and reaped at the exit.

        Raises:
            WorkerFailed: The warm process would not start, or went down.
        """
        self.start()
        assert self._control is not None
        ours, theirs = socket.socketpair()
        socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        theirs.close()
        process = Process(ours.makefile("rb"), ours.makefile("wb"), int(self._answer()), ours)
        try:
            yield process
        finally:
            # closing first lets a child that is done end by itself; reaping kills it if it does not
            for stream in (process.writer, process.reader, ours):
                with contextlib.suppress(OSError):
                    stream.close()
            self._control.sendall(b"r%d" % process.pid)
            process.status = int(self._answer())

    def close(self) -> None:
        """End the process, if it runs."""
        if self._popen is None or self._control is None:
            return
        self._control.close()
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen = self._control = None

    def _answer(self) -> str:
        assert self._control is not None
        answer = b""
        while not answer.endswith(b"\n"):
            part = self._control.recv(4096)
            if not part:
                raise WorkerFailed("the warm process ended; its own output, above, says why")
            answer += part
        return answer.decode().strip()


@contextlib.contextmanager
def watched(process: Process, limits: Limits) -> Iterator[list[str]]:
    """Kill the process when its time is over, or when it has too many threads.

    Yields:
        A list that says in words, afterwards, which limit it hit; empty where it hit none.
    """
    hit: list[str] = []
    over = threading.Event()
    deadline = time.monotonic() + limits.seconds

    def watch() -> None:
        while not over.wait(max(0.0, min(_LOOKS_EVERY, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                hit.append(f"did not finish within {limits.seconds:g} s")
            elif process.threads() > limits.threads:
                hit.append(f"started more than {limits.threads} threads")
            if hit:
                process.kill()
                return

    watchdog = threading.Thread(target=watch, daemon=True)
    watchdog.start()
    try:
        yield hit
    finally:
        over.set()
        watchdog.join()


_LOOKS_EVERY = 0.1  # seconds
_STARTING = Limits(seconds=120)


@contextlib.contextmanager
def fresh_process(device: str) -> Iterator[Process]:
    """A process of its own, with everything imported: what that takes is no part of the submission's time.

    Raises:
        WorkerFailed: It did not start.
    """
    command = [sys.executable, "-P", "-m", "attention_grading.worker", "--once", "--device", device]
    popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment(device))
    assert popen.stdin is not None
    assert popen.stdout is not None
    process = Process(popen.stdout, popen.stdin, popen.pid)
    try:
        with watched(process, _STARTING) as hit:
            ready = process.reader.readline() == b"ready\n"
        if not ready:
            why = hit[0] if hit else "ended; its own output, above, says why"
            raise WorkerFailed(f"the process for it {why}")
        yield process
    finally:
        for stream in (process.writer, process.reader):
            with contextlib.suppress(OSError):
                stream.close()
        try:
            popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        code = popen.returncode
        process.status = -code if code < 0 else code << 8


def worker_environment(device: str = "cpu") -> dict[str, str]:
    """What a worker sees of the environment: no secrets, one thread, and a GPU only where it is to use it."""
    kept = (
        "PATH",
        "LANG",
        "LC_ALL",
        "SYSTEMROOT",
        "TMPDIR",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "CUDA_HOME",
    )
    environment = {name: os.environ[name] for name in (*kept, "CUDA_VISIBLE_DEVICES") if name in os.environ}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
