"""Confinement tested on itself: a child tries what no submission may do, before the first submission runs."""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from attention_grading.sandbox.confinement import Confinement


class ConfinementBroken(RuntimeError):
    """A confined process could do what it must not; the message says what."""


def probe(confinement: Confinement) -> None:
    """Fork a child, confine it, and let it try.

    Raises:
        ConfinementBroken: Something was possible that must not be, or the child could not be confined.
    """
    attempts = forbidden_attempts()
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        _try_all(confinement, attempts, send)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    if not answer.endswith(b"."):
        raise ConfinementBroken(f"the confinement's self-test did not finish: {answer.decode(errors='replace')}")
    if possible := [name for name, mark in zip(attempts, answer.decode(), strict=False) if mark != "-"]:
        raise ConfinementBroken(
            f"a confined process could: {', '.join(possible)}. Grading stops here, before any submission has run. "
            "Please report it (SECURITY.md says how)"
        )


def forbidden_attempts() -> dict[str, Callable[[], object]]:
    """What must fail, by name. Made before the fork: afterwards nothing can be imported or looked up."""
    spec = importlib.util.find_spec("attention_grading.reference")
    reference = "" if spec is None else spec.origin
    assert reference, "the package has no reference to be kept from"
    outside = Path(tempfile.gettempdir()) / f"confinement-probe-{os.getpid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    own_file = os.open(os.__file__, os.O_RDONLY)

    def connect(family: int, kind: int, address: tuple[str, int] | str) -> None:
        with socket.socket(family, kind) as probe:
            probe.connect(address)

    def kill() -> None:
        os.kill(os.getppid(), 0)

    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)

    def memory() -> None:
        # address space alone: where nothing forbids it, it takes nothing
        mmap.mmap(-1, 2**40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE

    def ptrace() -> None:
        if libc.ptrace(16, os.getppid(), 0, 0) != 0:  # PTRACE_ATTACH
            raise OSError

    def outlive() -> None:
        if libc.prctl(1, 0, 0, 0, 0) != 0:  # PR_SET_PDEATHSIG
            raise OSError

    return {
        "open the reference": lambda: open(reference, "rb").close(),
        "list the course's folder": lambda: os.listdir(Path.cwd()),
        "read /etc/passwd": lambda: open("/etc/passwd", "rb").close(),
        "read the judge's memory map": lambda: open(f"/proc/{os.getppid()}/environ", "rb").close(),
        "write a file": lambda: open(outside, "wb").close(),
        "make a folder": lambda: os.mkdir(outside),
        "change a file's mode": lambda: os.chmod(reference, 0o644),
        "open an internet socket": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 9)),
        "open a UNIX socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "/run/probe"),
        "reach the warm process with a signal": kill,
        "trace the warm process": ptrace,
        "fork": fork,
        "start a program": lambda: subprocess.run([sys.executable, "-c", "0"], check=True),
        "start a program by system()": lambda: libc.system(b"true") and _refused(),
        "take a terabyte of memory": memory,
        "outlive the warm process": outlive,
        "let a file send signals to others": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid()),
        "take a lease on a file": lambda: fcntl.fcntl(own_file, fcntl.F_SETLEASE, fcntl.F_RDLCK),
        "ask for the machine's addresses": lambda: fcntl.ioctl(0, 0x8912, bytes(16)),  # SIOCGIFCONF
    }


def _refused() -> NoReturn:
    raise OSError


def _try_all(confinement: Confinement, attempts: dict[str, Callable[[], object]], out: int) -> None:
    """Write a dash for each attempt that failed, a plus for one that did not, and a full stop."""
    try:
        signal.alarm(20)
        confinement.apply()
        for attempt in attempts.values():
            try:
                attempt()
            except (OSError, MemoryError):
                os.write(out, b"-")
            else:
                os.write(out, b"+")
        os.write(out, b".")
    except BaseException as error:
        os.write(out, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)
