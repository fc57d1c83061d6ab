"""Run submissions in worker processes, each within its time, and bring their outcomes back."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from attention_grading import wire
from attention_grading.kernel_service import MARKED_KERNELS, MarkedKernels
from attention_grading.verdict import missing_outcome
from attention_lab.calls import Call, Outcome
from attention_lab.variants import Variant

# Seconds that one submission may take, all its calls together
DEFAULT_SECONDS = 30.0


@dataclass(frozen=True)
class EncodedCalls:
    """The calls of a plan, encoded once for many submissions.

    Attributes:
        frame: The calls as bytes.
        settings: The setting of each.
        marked_kernels: Which kernels' results are marked in marked calls.
    """

    frame: bytes
    settings: tuple[str, ...]
    marked_kernels: tuple[str, ...]

    @classmethod
    def of(cls, variant: Variant, calls: Sequence[Call]) -> EncodedCalls:
        """Encode a variant's calls."""
        settings = tuple(call.setting for call in calls)
        return cls(wire.encode_calls(calls), settings, MARKED_KERNELS[variant.kernel])


@dataclass
class Run:
    """What running one submission gave.

    Attributes:
        outcomes: One a call; calls that were not reached have a failure that says why.
        notes: Cells that were skipped, and why.
        found: Whether the function was defined.
        ended: Why the run ended early, in words; empty where it did not.
    """

    outcomes: list[Outcome | None]
    notes: list[str] = field(default_factory=list)
    found: bool = False
    ended: str = ""


class Supervisor:
    """Owns a warm worker and runs one submission at a time in it.

    Args:
        seconds: Wall-clock limit of one submission.
        confined: Whether each child confines itself before it runs anything.
        device: ``"cpu"``, or ``"cuda"``: then every submission gets a fresh, unconfined process.
        warm: Whether to fork from a warm process; needs a platform with fork.
    """

    def __init__(
        self, *, seconds: float = DEFAULT_SECONDS, confined: bool = False, device: str = "cpu", warm: bool | None = None
    ):
        self._seconds = seconds
        self._confined = confined
        self._device = device
        self._warm = (hasattr(os, "fork") and device == "cpu") if warm is None else warm
        self._server: _WarmServer | None = None

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm process."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def run(self, cells: Sequence[dict[str, str]], function: str, calls: EncodedCalls, name: str) -> Run:
        """Run one submission.

        Args:
            cells: Objects with ``id`` and ``source``, in order.
            function: Name of the function to judge.
            calls: What to call it with.
            name: ``__name__`` for the code.
        """
        with self._process() as process:
            late = threading.Event()

            def stop() -> None:
                late.set()
                process.kill()

            watchdog = threading.Timer(self._seconds, stop)
            watchdog.start()
            try:
                run = _converse(process, cells, function, calls, name)
            finally:
                watchdog.cancel()
        if run.ended:
            run.ended = f"did not finish within {self._seconds:g} s" if late.is_set() else process.how_it_ended()
            run.outcomes = [outcome or missing_outcome(run.ended) for outcome in run.outcomes]
        return run

    def _process(self) -> contextlib.AbstractContextManager[_Process]:
        if not self._warm:
            return _fresh_process(self._device)
        if self._server is None or not self._server.alive():
            self._server = _WarmServer(self._confined)
        return self._server.child()


def _converse(process: _Process, cells: Sequence[dict[str, str]], function: str, calls: EncodedCalls, name: str) -> Run:
    """Send the submission, answer its kernel requests, and gather its outcomes until it ends."""
    run = Run([None] * len(calls.settings))
    service = MarkedKernels(calls.marked_kernels)
    try:
        wire.send(process.writer, {"type": "submission", "cells": list(cells), "function": function, "name": name})
        process.writer.write(calls.frame)
        process.writer.flush()
        while True:
            header, tensors = wire.receive(process.reader)
            kind = header.get("type")
            if kind == "loaded":
                run.notes = [str(note)[:500] for note in header.get("notes", [])][:50]
                run.found = bool(header.get("found"))
                if not run.found:
                    return run
            elif kind == "call":
                service.begin(calls.settings[int(header["index"])] == "marked")
            elif kind == "kernel":
                _answer(process.writer, service, header, tensors)
            elif kind == "outcome":
                index = int(header["index"])
                run.outcomes[index] = wire.outcome_of(header, tensors)
                run.outcomes[index].factors = tuple(service.factors)
            elif kind == "done":
                return run
    except (EOFError, OSError, wire.BrokenFrame, KeyError, IndexError, TypeError, ValueError) as error:
        run.ended = str(error) or "ended early"
        return run


def _answer(writer: BinaryIO, service: MarkedKernels, header: dict[str, Any], tensors: dict[str, Any]) -> None:
    try:
        result = service(header["kernel"], header["arguments"] | tensors)
    except Exception as error:  # whatever the learner asked for, the judge goes on
        wire.send(writer, {"type": "result", "refused": f"{type(error).__name__}: {error}"[:300]})
    else:
        wire.send(writer, {"type": "result"}, {"result": result})


# ---- processes -------------------------------------------------------------------------------------------------------


@dataclass
class _Process:
    """A process that runs one submission: its two streams, and how to end it."""

    reader: BinaryIO
    writer: BinaryIO
    pid: int
    status: int | None = None  # as os.waitpid gives it

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def how_it_ended(self) -> str:
        if self.status is None:
            return "ended before it answered"
        if os.WIFSIGNALED(self.status):
            return f"was killed by {signal.Signals(os.WTERMSIG(self.status)).name}"
        return f"exited with status {os.WEXITSTATUS(self.status)} before it answered"


class _WarmServer:
    """A process with torch imported, which forks a child on request."""

    def __init__(self, confined: bool):
        self._control, theirs = socket.socketpair()
        command = [sys.executable, "-m", "attention_grading.worker", "--serve", str(theirs.fileno())]
        self._popen = subprocess.Popen(
            command + (["--confined"] if confined else []),
            pass_fds=(theirs.fileno(),),
            env=worker_environment(),
            stdin=subprocess.DEVNULL,
            cwd=os.sep,
        )
        theirs.close()

    def alive(self) -> bool:
        return self._popen.poll() is None

    @contextlib.contextmanager
    def child(self) -> Iterator[_Process]:
        ours, theirs = socket.socketpair()
        socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        theirs.close()
        pid = self._answer()
        process = _Process(ours.makefile("rb"), ours.makefile("wb"), pid)
        try:
            yield process
        finally:
            # closing first lets a child that is done end by itself; reaping kills it if it does not
            for stream in (process.writer, process.reader, ours):
                with contextlib.suppress(OSError):
                    stream.close()
            self._control.sendall(b"r%d" % pid)
            process.status = self._answer()

    def close(self) -> None:
        self._control.close()
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _answer(self) -> int:
        answer = b""
        while not answer.endswith(b"\n"):
            part = self._control.recv(64)
            if not part:
                raise RuntimeError("the warm worker ended; its own output, above, says why")
            answer += part
        return int(answer)


@contextlib.contextmanager
def _fresh_process(device: str) -> Iterator[_Process]:
    command = [sys.executable, "-m", "attention_grading.worker", "--once", "--device", device]
    popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment())
    assert popen.stdin is not None
    assert popen.stdout is not None
    process = _Process(popen.stdout, popen.stdin, popen.pid)
    try:
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


def worker_environment() -> dict[str, str]:
    """What a worker sees of the environment: no secrets, one thread."""
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
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
