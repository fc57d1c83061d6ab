"""Warm processes and their servers, seen from the judge.

A warm process takes seconds to start, its servers and their children a few milliseconds. So a program that will judge
starts it ahead, while it imports what it needs itself, and the processes of a pool share one (``share``).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import Process, WorkerFailed, worker_environment

Key = tuple[str, bool]  # a worker's module, and whether its submissions run confined


@dataclass
class WarmProcess:
    """A process with everything imported.

    Attributes:
        popen: The process.
        controls: A socket a worker, on which servers are asked for.
    """

    popen: subprocess.Popen[bytes]
    controls: dict[Key, socket.socket]

    @classmethod
    def launch(cls, confined: bool, *modules: str) -> WarmProcess:
        """Start it, and do not wait until it is ready.

        Args:
            confined: Whether submissions will run confined.
            modules: Names of the workers.
        """
        pairs = {module: socket.socketpair() for module in modules}
        theirs = {module: pair[1] for module, pair in pairs.items()}
        # -P: no module is taken from the working directory
        command = [sys.executable, "-P", "-m", "attention_grading.sandbox.warm_process"]
        command += [word for module, end in theirs.items() for word in ("--serve", module, str(end.fileno()))]
        popen = subprocess.Popen(
            [*command, *(["--confined"] if confined else [])],
            pass_fds=[end.fileno() for end in theirs.values()],
            env=worker_environment(),
            stdin=subprocess.DEVNULL,
            cwd=os.sep,
            start_new_session=True,  # so that Ctrl-C is the judge's alone
        )
        for end in theirs.values():
            end.close()
        return cls(popen, {(module, confined): pair[0] for module, pair in pairs.items()})

    def close(self) -> None:
        """End it, once nobody else shares it."""
        for control in self.controls.values():
            control.close()
        try:
            self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


# What was started ahead, or is shared by another process; it stays until this process ends
_AHEAD: dict[Key, socket.socket] = {}


def start_ahead(confined: bool, *modules: str) -> None:
    """Start a warm process that a ``WarmServer`` will ask for: importing takes it seconds.

    Args:
        confined: Whether submissions will run confined.
        modules: Names of the workers.
    """
    if hasattr(os, "fork"):
        share(WarmProcess.launch(confined, *modules).controls)


def share(controls: dict[Key, socket.socket]) -> None:
    """Take servers from the warm process behind these sockets, be it another process's."""
    _AHEAD.update(controls)


class WarmServer:
    """A server of a warm process, which forks a child on request. It starts with the first child.

    Args:
        module: Name of the worker that it runs.
        limits: What a child may use, once confined; ``None`` runs children unconfined.
    """

    def __init__(self, module: str, limits: Limits | None):
        self._key, self._limits = (module, limits is not None), limits
        self._own: WarmProcess | None = None
        self._control: socket.socket | None = None
        self._pid = 0
        self._prepared = False

    def start(self) -> None:
        """Start the server, or another one where a submission took it down; does nothing where it runs.

        Raises:
            WorkerFailed: Confinement is not available here, or failed its self-test.
        """
        if self._control is not None and not _is_over(self._control):
            return
        self._leave()
        lent = self._own is not None or self._key in _AHEAD
        greeting = self._ask() if lent else ""
        if not greeting:  # there was no warm process, or it went down
            _AHEAD.pop(self._key, None)
            self.close()
            self._own = WarmProcess.launch(self._key[1], self._key[0])
            greeting = self._ask()
        if not greeting.startswith("ready "):
            self.close()
            raise WorkerFailed(greeting or _ENDED)
        self._pid = int(greeting.removeprefix("ready "))
        self._prepared = False

    def _ask(self) -> str:
        """Ask the warm process for a server; gives back its greeting, empty where it went down."""
        lender = self._own.controls[self._key] if self._own is not None else _AHEAD[self._key]
        self._control, theirs = socket.socketpair()
        limits = None if self._limits is None else asdict(self._limits)
        with theirs, contextlib.suppress(OSError):
            socket.send_fds(lender, [json.dumps(limits).encode()], [theirs.fileno()])
        try:
            return self._answer()
        except (WorkerFailed, OSError):
            return ""

    @contextlib.contextmanager
    def child(self, prepared: bool = False) -> Iterator[Process]:
        """A child, ended and reaped at the exit.

        Args:
            prepared: Whether it needs what the worker imports for some children alone; once imported, all have it.

        Raises:
            WorkerFailed: The server would not start, or went down.
        """
        self.start()
        assert self._control is not None
        if prepared and not self._prepared:
            self._control.sendall(b"p")
            self._prepared = self._answer() == "prepared"
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
            status, seconds = self._answer().split()
            process.status = None if status == "-" else int(status)
            process.processor_seconds = float(seconds)

    def close(self) -> None:
        """End the server, and the warm process where it is this server's own."""
        self._leave()
        if self._own is not None:
            self._own.close()
            self._own = None

    def _leave(self) -> None:
        """End the server; where it does not end by itself, kill it."""
        if self._control is None:
            return
        control, self._control = self._control, None
        with control, contextlib.suppress(OSError):
            control.shutdown(socket.SHUT_WR)
            control.settimeout(5)
            try:
                while control.recv(4096):
                    pass
            except TimeoutError:
                os.kill(self._pid, 9)

    def _answer(self) -> str:
        assert self._control is not None
        answer = b""
        while not answer.endswith(b"\n"):
            part = self._control.recv(4096)
            if not part:
                raise WorkerFailed(_ENDED)
            answer += part
        return answer.decode().strip()


_ENDED = "the warm process ended; its own output, above, says why"


def _is_over(control: socket.socket) -> bool:
    """Whether the other side is gone."""
    try:
        return control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
