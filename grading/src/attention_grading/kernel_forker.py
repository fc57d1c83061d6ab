"""A warm process that forks Jupyter kernels: what every kernel imports, it has imported already.

``python -m attention_grading.kernel_forker --serve FD`` talks with the provisioner over one socket, a line of JSON each
way. ``start`` forks a kernel (answer: its pid), ``poll`` tells whether it runs (answer: its return code or null),
``signal`` sends it one. At the start it says ``ready``, or in one line why it will not serve. When the provisioner goes
away, the kernels end with it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# before matplotlib is imported, as a kernel has it; the backend itself must not be imported before there is a shell
os.environ["MPLBACKEND"] = BACKEND = "module://matplotlib_inline.backend_inline"

import matplotlib
import matplotlib.pyplot  # so that kernels need not
import numpy
import torch
from ipykernel.kernelapp import IPKernelApp
from IPython.core.ultratb import FormattedTB
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.nn import functional as F

from attention_grading.confinement import Confinement, ConfinementUnavailable, readable_paths
from attention_grading.confinement_probe import ConfinementBroken, probe
from attention_grading.limits import Limits
from attention_grading.processes import worker_environment

NO_HISTORY = "--HistoryManager.hist_file=:memory:"  # a confined kernel cannot write one


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve kernels until the provisioner goes away."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.kernel_forker", description=__doc__)
    parser.add_argument("--serve", type=int, required=True, metavar="FD", help="the socket that requests come from")
    parser.add_argument("--limits", help="confine each kernel, within these limits (JSON, see limits.Limits)")
    parser.add_argument("--preload", nargs="*", default=[], metavar="MODULE", help="what else to import beforehand")
    options = parser.parse_args(arguments)
    sys.path[:] = [entry for entry in sys.path if entry not in ("", os.getcwd())]  # a kernel has its own folder there
    control = socket.socket(fileno=options.serve)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits = None if options.limits is None else Limits(**json.loads(options.limits))
    with tempfile.TemporaryDirectory(prefix="attention-ipython-") as folder:
        try:
            if limits is not None:
                prepare_profile(folder)
                probe(Confinement(limits))
            warm_up(options.preload)
        except (ConfinementUnavailable, ConfinementBroken, OSError, ImportError) as error:
            control.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
            return
        if (threads := threading.active_count()) != 1:
            control.sendall(json.dumps({"error": f"{threads} threads run before the first fork"}).encode() + b"\n")
            return
        control.sendall(b'{"ready": true}\n')
        gc.collect()
        gc.freeze()  # kernels share what is here, untouched by their collector
        Forker(limits, folder).serve(control)


def warm_up(modules: Sequence[str]) -> None:
    """Do once what every kernel would otherwise do itself, and stay single-threaded.

    Args:
        modules: What else to import.
    """
    torch.set_num_threads(1)
    for name in modules:
        importlib.import_module(name)
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    F.scaled_dot_product_attention(x, x, x).sum().backward()
    torch.testing.assert_close(x, x)
    for wrong in (lambda: torch.testing.assert_close(x, x + 1), lambda: x @ torch.ones(3)):
        try:
            wrong()
        except (AssertionError, RuntimeError):
            FormattedTB(mode="Context").structured_traceback(*sys.exc_info())
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().imshow(x.detach()[0, 0].numpy())
    FigureCanvasAgg(figure).draw()
    tempfile.gettempdir()  # a confined kernel has no folder to try


def prepare_profile(folder: str) -> None:
    """Make IPython's folders, which a confined kernel cannot make for itself."""
    profile = Path(folder, "profile_default")
    for path in (profile, *(profile / name for name in ("security", "log", "startup", "pid", "static", "db"))):
        path.mkdir(mode=0o700)


@dataclass
class Kernel:
    """A kernel that was forked: its return code is ``None`` as long as it runs."""

    pid: int
    returncode: int | None = None


class Forker:
    """Forks kernels on request, and is the parent that signals and reaps them.

    Args:
        limits: What a kernel may use, once confined; ``None``: kernels run unconfined.
        ipython_folder: IPython's folder of confined kernels.
    """

    def __init__(self, limits: Limits | None, ipython_folder: str):
        self._limits, self._ipython_folder = limits, ipython_folder
        self._kernels: dict[int, Kernel] = {}

    def serve(self, control: socket.socket) -> None:
        """Answer requests until the other end is closed; then end what runs."""
        with control.makefile("rb") as requests:
            for line in requests:
                try:
                    answer = self._answer(json.loads(line), control)
                except (OSError, ConfinementUnavailable) as error:
                    answer = {"error": str(error)}
                control.sendall(json.dumps(answer).encode() + b"\n")
        self._reap()
        for kernel in self._kernels.values():
            if kernel.returncode is None:
                self._signal(kernel, signal.SIGKILL)
                os.waitpid(kernel.pid, 0)

    def _answer(self, request: dict[str, Any], control: socket.socket) -> dict[str, Any]:
        self._reap()
        if request["do"] == "start":
            return {"pid": self._start(request, control)}
        kernel = self._kernels[request["pid"]]
        if request["do"] == "signal":
            self._signal(kernel, request["signal"])
        return {"returncode": kernel.returncode}

    def _start(self, request: dict[str, Any], control: socket.socket) -> int:
        confinement = self._confinement(request)
        warm = os.getpid()
        pid = os.fork()
        if pid == 0:
            control.detach()
            _become_kernel(request, confinement, warm, self._ipython_folder)
        if confinement is not None:
            os.close(confinement.descriptor)
        self._kernels[pid] = Kernel(pid)
        return pid

    def _confinement(self, request: dict[str, Any]) -> Confinement | None:
        """The rules of one kernel: it reads its own working folder, and listens in its own folder of sockets."""
        if self._limits is None:
            return None
        own = (request["cwd"], request["connection_file"], self._ipython_folder)
        return Confinement(self._limits, [*readable_paths(), *map(Path, own)], Path(request["sockets"]))

    def _signal(self, kernel: Kernel, number: int) -> None:
        if kernel.returncode is None:
            for send in (os.killpg, os.kill):  # before its first line the kernel has no group of its own
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    send(kernel.pid, number)
                    return

    def _reap(self) -> None:
        for kernel in self._kernels.values():
            if kernel.returncode is None:
                pid, status = os.waitpid(kernel.pid, os.WNOHANG)
                if pid:
                    kernel.returncode = os.waitstatus_to_exitcode(status)


def _become_kernel(request: dict[str, Any], confinement: Confinement | None, warm: int, ipython_folder: str) -> None:
    status = 1
    complaints = os.dup(2)  # for what goes wrong before the learner's code runs
    try:
        os.setsid()
        os.chdir(request["cwd"])
        _keep_only(complaints, confinement)
        environment, arguments = request["env"], request["arguments"]
        if confinement is not None:
            environment = worker_environment() | request["own_env"] | {"IPYTHONDIR": ipython_folder}
            environment["HOME"] = request["env"].get("HOME", os.sep)  # shortens paths in tracebacks; it cannot be read
            arguments = [each for each in arguments if "HistoryManager" not in each] + [NO_HISTORY]
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            os.close(null)
        os.environ.clear()
        os.environ.update({"MPLBACKEND": BACKEND, **environment, "JPY_PARENT_PID": str(warm)})
        if os.environ["MPLBACKEND"] != BACKEND:
            matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]
        if confinement is not None:
            confinement.apply()
        random.seed()
        numpy.random.seed()
        torch.seed()
        app = IPKernelApp.instance(parent_handle=warm)
        app.initialize(arguments)
        os.close(complaints)
        complaints = -1
        app.start()
        status = 0
    except BaseException as error:
        if complaints >= 0:
            os.write(complaints, f"The kernel could not start.\n{traceback.format_exc()}".encode())
        elif isinstance(error, SystemExit) and isinstance(error.code, int):
            status = error.code
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)  # tearing torch down takes a second, and the warm process's hooks are not the kernel's


def _keep_only(complaints: int, confinement: Confinement | None) -> None:
    """Close what the warm process has open: the socket to the provisioner above all."""
    kept = {0, 1, 2, complaints} | ({confinement.descriptor} if confinement is not None else set())
    for descriptor in map(int, os.listdir("/dev/fd")):
        if descriptor not in kept:
            with contextlib.suppress(OSError):  # the listing's own descriptor is gone already
                os.close(descriptor)


if __name__ == "__main__":
    main()
