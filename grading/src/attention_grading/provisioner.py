"""Kernels forked from a warm process, for whatever starts kernels through ``jupyter_client``: nbgrader, nbconvert, Lab.

Chosen by name: ``JUPYTER_DEFAULT_PROVISIONER_NAME=attention-warm``, or a kernelspec's ``metadata.kernel_provisioner``.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Bool, Integer, List, Unicode

from attention_grading.limits import Limits
from attention_grading.processes import worker_environment

LAUNCHER = "ipykernel_launcher"
MAX_SOCKET_PATH = 90  # the kernel's own limit is 107 bytes, or 103 on macOS, with the sockets' names


class KernelNotWarm(RuntimeError):
    """A kernel cannot be forked; the message says why, and what to do."""


class WarmProvisioner(LocalProvisioner):
    """Forks IPython kernels from a warm process, confined unless told otherwise."""

    confined = Bool(
        True,
        help="""Confine each kernel: it writes no file, starts no program, reaches no network, reads its own folder and
        Python's packages. False: a kernel like any other""",
    ).tag(config=True)
    cpu_seconds = Integer(600, help="Processor time of one confined kernel").tag(config=True)
    memory_mb = Integer(2048, help="Megabytes that one confined kernel may use").tag(config=True)
    preload = List(
        Unicode(),
        ["attention_lab", "attention_grading.hidden_cell"],
        help="What to import beforehand, beside torch, matplotlib and IPython",
    ).tag(config=True)

    _sockets: Path | None = None
    _own_env: dict[str, str] | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Prepare the launch: the kernel is talked to over sockets in a folder of its own."""
        if self._sockets is None:
            self._sockets = _socket_folder()
            self.parent.transport = "ipc"
            self.parent.cache_ports = False
            self.parent.ip = str(self._sockets / "kernel")  # absolute: a relative one is looked for elsewhere
        self._own_env = dict(self.kernel_spec.env)
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel.

        Raises:
            KernelNotWarm: The kernelspec is not IPython's, this platform cannot fork or confine, or the warm process
                would not start.
        """
        try:
            await self._launch(cmd, kwargs)
        except BaseException:
            self._remove_sockets()  # a kernel that never ran is never cleaned up after
            raise
        return self.connection_info

    async def _launch(self, cmd: list[str], kwargs: dict[str, Any]) -> None:
        if cmd[1:3] != ["-m", LAUNCHER] and cmd[1:4] != ["-Xfrozen_modules=off", "-m", LAUNCHER]:
            raise KernelNotWarm(
                f"the kernel {self.kernel_spec.display_name!r} is not started by 'python -m {LAUNCHER}', and only "
                "IPython's kernels can be forked: choose a kernel of this environment, or leave this provisioner out"
            )
        limits = Limits(seconds=self.cpu_seconds, memory_bytes=self.memory_mb * 2**20) if self.confined else None
        assert self._sockets is not None
        for stale in self._sockets.iterdir():  # of a kernel that was restarted
            stale.unlink()
        request = {
            "do": "start",
            "arguments": cmd[cmd.index(LAUNCHER) + 1 :],
            "cwd": os.path.abspath(kwargs.get("cwd") or os.getcwd()),
            "env": dict(kwargs.get("env") or os.environ),
            "own_env": self._own_env or {},
            "sockets": str(self._sockets),
            "connection_file": os.path.abspath(self.parent.connection_file),
        }
        self.process = await asyncio.to_thread(_fork, request, cmd[0], limits, tuple(self.preload))
        self.pid, self.pgid = self.process.pid, None  # signals go through the warm process, which knows who lives

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and what it started."""
        if self.process:
            self.process.send_signal(signum)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the kernel's folder of sockets, unless it starts again."""
        await super().cleanup(restart=restart)
        if not restart:
            self._remove_sockets()

    def _remove_sockets(self) -> None:
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None


def _fork(request: dict[str, Any], python: str, limits: Limits | None, preload: tuple[str, ...]) -> ForkedKernel:
    server = warm_kernels(python, limits, preload)
    try:
        pid = server.ask(request)["pid"]
    except KernelNotWarm:
        if server.runs:
            raise
        server = warm_kernels(python, limits, preload)  # a kernel has taken the other one down
        pid = server.ask(request)["pid"]
    return ForkedKernel(server, pid)


def _socket_folder() -> Path:
    folder = None if len(tempfile.gettempdir()) < MAX_SOCKET_PATH - 30 else "/tmp"
    return Path(tempfile.mkdtemp(prefix="attention-kernel-", dir=folder))


class ForkedKernel:
    """A forked kernel, with as much of ``subprocess.Popen``'s face as a provisioner looks at."""

    stdin = stdout = stderr = None

    def __init__(self, server: WarmKernels, pid: int):
        self._server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The return code; ``None`` as long as the kernel runs."""
        if self.returncode is None:
            try:
                self.returncode = self._server.ask({"do": "poll", "pid": self.pid})["returncode"]
            except KernelNotWarm:
                self.returncode = -9  # the warm process is gone, and its kernels with it
        return self.returncode

    def wait(self) -> int:
        """The return code of a kernel that has ended."""
        code = self.poll()
        assert code is not None, "called once the kernel has ended"
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal; one that has ended gets none."""
        if self.poll() is None:
            self._server.ask({"do": "signal", "pid": self.pid, "signal": int(signum)})

    def kill(self) -> None:
        """End it."""
        self.send_signal(9)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(15)


class WarmKernels:
    """The warm process, seen from the provisioner.

    Args:
        python: The interpreter.
        limits: What a kernel may use, once confined; ``None``: kernels run unconfined.
        preload: What to import beforehand.
    """

    def __init__(self, python: str, limits: Limits | None, preload: tuple[str, ...]):
        self.owner = os.getpid()
        self._ended = False  # its end of the socket closes before it can be waited for
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        command = [python, "-m", "attention_grading.kernel_forker", "--serve", str(theirs.fileno())]
        command += [] if limits is None else ["--limits", json.dumps(asdict(limits))]
        self._popen = subprocess.Popen(
            [*command, "--preload", *preload],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            cwd=os.sep,
            # what stands in the warm process's memory stands in its kernels'
            env=worker_environment() if limits else os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C in the terminal is not for kernels
        )
        theirs.close()
        self._answers = self._control.makefile("rb")
        try:
            self._read()
        except KernelNotWarm:
            self.close()
            raise

    @property
    def runs(self) -> bool:
        """Whether it can be asked."""
        return self.owner == os.getpid() and not self._ended and self._popen.poll() is None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            KernelNotWarm: The warm process is gone, or will not serve.
        """
        with self._lock:
            try:
                self._control.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                self._ended = True
                raise KernelNotWarm("the warm process that forks kernels has ended") from error
            return self._read()

    def close(self) -> None:
        """End the warm process and its kernels."""
        if self.owner != os.getpid():
            return
        self._ended = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._answers.close()
        self._control.close()
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _read(self) -> dict[str, Any]:
        try:
            line = self._answers.readline()
        except OSError:
            line = b""
        if not line:
            self._ended = True
            raise KernelNotWarm("the warm process that forks kernels has ended; its own output, above, says why")
        answer = json.loads(line)
        if "error" in answer:
            raise KernelNotWarm(answer["error"])
        return answer


_SERVERS: dict[tuple[str, Limits | None, tuple[str, ...]], WarmKernels] = {}
_STARTING = threading.Lock()


def warm_kernels(python: str, limits: Limits | None, preload: tuple[str, ...]) -> WarmKernels:
    """The warm process of this process with these settings; another one where it has ended.

    Raises:
        KernelNotWarm: It would not start; the message says why.
    """
    if not hasattr(os, "fork"):
        raise KernelNotWarm("this platform cannot fork: leave this provisioner out")
    key = (python, limits, preload)
    with _STARTING:
        server = _SERVERS.get(key)
        if server is None or not server.runs:
            if server is None:
                atexit.register(lambda: _close(key))
            else:
                server.close()
            _SERVERS[key] = server = WarmKernels(*key)
        return server


def _close(key: tuple[str, Limits | None, tuple[str, ...]]) -> None:
    if (server := _SERVERS.pop(key, None)) is not None and server.runs:
        server.close()
