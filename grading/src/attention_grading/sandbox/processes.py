"""The processes that run learners' code, seen from the judge: how they are watched and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from attention_grading.sandbox.limits import Limits, limit_address_space


class WorkerFailed(RuntimeError):
    """The warm process will not or cannot serve; the message says why, and what to do."""


class Interrupted(RuntimeError):
    """What ended a submission's process was not its own doing, so it gets another try and no points for this one."""


Answer = TypeVar("Answer")


def once_more(run: Callable[[], Answer]) -> Answer:
    """Run a submission, and run it again where something else than the submission ended its process.

    Raises:
        Interrupted: That happened twice.
    """
    try:
        return run()
    except Interrupted:
        return run()


@dataclass
class Process:
    """A process that runs one submission: its two streams, and how to end it.

    Attributes:
        status: How it ended by itself, as ``os.waitpid`` gives it; ``None`` while it runs, or where it had to be ended.
        processor_seconds: What it took of the processors, all threads together; known when it has ended.
    """

    reader: IO[bytes]
    writer: IO[bytes]
    pid: int
    channel: socket.socket | None = None
    status: int | None = None
    processor_seconds: float = 0.0

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

    def address_space(self) -> int:
        """Bytes that it has mapped; 0 where the platform does not tell."""
        try:
            with open(f"/proc/{self.pid}/statm") as file:
                return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0

    def limit_address_space(self, allowed: int) -> None:
        """Let it map no more from now on; nothing that it does takes this back. Only Linux does it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            limit_address_space(self.pid, allowed)

    def was_killed_from_outside(self, limits: Limits) -> bool:
        """Whether somebody else killed it, as the kernel does where memory runs out; no limit of ours does it so."""
        return self._signal() == _SIGKILL and self.processor_seconds < limits.seconds

    def require_own_end(self, seen: Watch, limits: Limits) -> None:
        """Raise where it was ended by others.

        Raises:
            Interrupted: It was killed from outside, or starved.
        """
        if seen.starved:
            raise Interrupted(f"it got less than a tenth of a processor for {limits.seconds:g} s: others had them")
        if not seen.hit and self.was_killed_from_outside(limits):
            raise Interrupted("its process was killed from outside, as happens where the machine's memory runs out")

    def how_it_ended(self, limits: Limits) -> str:
        """In words that follow "it"."""
        if self.status is None:
            return "ended before it answered"
        if self.was_killed_from_outside(limits):
            return "was killed from outside"
        number = self._signal()
        if number == 0:
            return f"exited with status {self.status >> 8} before it answered"
        if number in (_SIGKILL, getattr(signal, "SIGXCPU", None)):
            return "used up its processor time"
        try:
            return f"was killed by {signal.Signals(number).name}"
        except ValueError:  # real-time signals have no names
            return f"was killed by signal {number}"

    def _signal(self) -> int:
        """The signal that ended it; 0 where none did."""
        return 0 if self.status is None else self.status & 0x7F


@dataclass
class Watch:
    """What was seen of a process while it ran.

    Attributes:
        hit: Which limit it hit, in words; empty where it hit none.
        crowded: Whether that was the limit on threads.
        starved: Whether its time was over because others had the processors: it could have run most of the time, and
            got less than a tenth of one. A right function needs far less; who had more was slow by itself.
        stepped_back: Whether its session lets others go first.
        step: Seconds that what it does now may take, and when that began; ``None`` where only the whole has a limit.
    """

    hit: str = ""
    crowded: bool = False
    starved: bool = False
    stepped_back: bool = False
    step: tuple[float, float] | None = None

    def begin_step(self, seconds: float | None) -> None:
        """What comes now has a limit of its own; ``None``: none but the whole's."""
        self.step = None if seconds is None else (seconds, time.monotonic())

    def overdue(self, whole: tuple[float, float]) -> float | None:
        """The limit in seconds that is over; ``None`` where none is."""
        now = time.monotonic()
        return next((limit for limit, begun in (whole, self.step or whole) if now >= begun + limit), None)


@contextlib.contextmanager
def watched(process: Process, limits: Limits) -> Iterator[Watch]:
    """Kill the process when its time is over, or when it has too many threads; after a while, let others go first.

    Yields:
        What was seen, complete afterwards.
    """
    seen = Watch()
    over = threading.Event()
    begun = time.monotonic()
    session = _session_of_its_own(process.pid)

    def watch() -> None:
        looks, ready = 0, 0
        while not over.wait(max(0.0, min(_LOOKS_EVERY, begun + limits.seconds - time.monotonic()))):
            state, processor_seconds = _standing(process.pid)
            looks, ready = looks + 1, ready + (state in _READY)
            limit = seen.overdue((limits.seconds, begun))
            if limit is not None:
                seen.hit = f"did not finish within {limit:g} s"
                seen.starved = ready > looks / 2 and processor_seconds < limit / 10
            elif process.threads() > limits.threads:
                seen.hit, seen.crowded = f"started more than {limits.threads} threads", True
            elif time.monotonic() - begun >= limits.polite_after:
                _let_others_go_first(process.pid)
                seen.stepped_back = seen.stepped_back or _set_niceness(session, 19)
            if seen.hit:
                process.kill()
                return

    watchdog = threading.Thread(target=watch, daemon=True)
    watchdog.start()
    try:
        yield seen
    finally:
        over.set()
        watchdog.join()
        while seen.stepped_back and not _set_niceness(session, 0):
            time.sleep(_LOOKS_EVERY)


def _standing(pid: int) -> tuple[str, float]:
    """State of a process's first thread, and processor seconds of all of them; "" and 0 where nobody tells."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return "", 0.0
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_READY = ("R", "D")  # runs or could run; waits for the disk, as where memory is short


def _let_others_go_first(pid: int) -> None:
    """Move all threads to the scheduling class of what nobody waits for; new ones inherit it."""
    with contextlib.suppress(OSError, AttributeError):  # ended meanwhile; no Linux
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setscheduler(int(thread), os.SCHED_IDLE, os.sched_param(0))


def _session_of_its_own(pid: int) -> int | None:
    """The session that a process belongs to; ``None`` where it is ours, or where there are none."""
    if not hasattr(os, "getsid"):
        return None  # Windows
    session = os.getsid(pid)
    return None if session == os.getsid(0) else session


def _set_niceness(session: int | None, niceness: int) -> bool:
    """Where sessions share the processors as groups, a scheduling class counts within its group alone.

    So a warm process leads a session of its own, which its confined child cannot leave, and which is nice in the
    child's place: nobody but root may set that of a confined process.

    Returns:
        Whether that is settled, be it that there is nothing to set; not so where somebody set one a moment ago, which
        the kernel allows a user ten times a second.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
        if session is not None:
            try:
                Path(f"/proc/{session}/autogroup").write_text(str(niceness))
            except BlockingIOError:
                return False
    return True


_LOOKS_EVERY = 0.1  # seconds
_STARTING = Limits(seconds=120, polite_after=120)
_SIGKILL = 9  # Windows has no name for it


@contextlib.contextmanager
def fresh_process(module: str, device: str) -> Iterator[Process]:
    """A process of its own, with everything imported: what that takes is no part of the submission's time.

    Args:
        module: Name of what it runs, once: it says ``ready`` when it is.
        device: Where the learner's function runs.

    Raises:
        WorkerFailed: It did not start.
    """
    command = [sys.executable, "-P", "-m", module, "--device", device]
    popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment(device))
    assert popen.stdin is not None
    assert popen.stdout is not None
    process = Process(popen.stdout, popen.stdin, popen.pid)
    try:
        with watched(process, _STARTING) as seen:
            ready = process.reader.readline() == b"ready\n"
        if not ready:
            raise WorkerFailed(f"the process for it {seen.hit or 'ended; its own output, above, says why'}")
        yield process
    finally:
        for stream in (process.writer, process.reader):
            with contextlib.suppress(OSError):
                stream.close()
        try:
            code = popen.wait(timeout=5)
            process.status = -code if code < 0 else code << 8
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


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
        "TORCHDYNAMO_DISABLE": "1",  # no compiler runs there: torch.compile gives back the function
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
