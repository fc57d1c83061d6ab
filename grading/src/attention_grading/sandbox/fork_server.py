"""What a judge gets from a warm process: a server that forks a child for each request and confines it.

It talks with the judge over one socket, in commands of one byte: ``f`` with a file descriptor forks a child that serves
that channel (answer: its pid), ``p`` imports what only some children need (answer: a line), ``r`` and a pid ends and
reaps it (answer: how it had ended by itself, as a wait status, or ``-`` where it still ran; and the processor time that
it took, in seconds). At the start it says ``ready`` and its own pid, or in one line why it will not serve.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from attention_grading.sandbox.confinement import Confinement, ConfinementUnavailable
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.self_test import ConfinementBroken, probe
from attention_grading.sandbox.silence import silence

Handler = Callable[[IO[bytes], IO[bytes]], None]


def serve(
    control: socket.socket,
    handler: Handler,
    limits: Limits | None,
    *,
    readable: Iterable[Path] = (),
    reseed: Callable[[], object] = random.seed,
    prepare: Callable[[], object] = lambda: None,
) -> None:
    """Fork a child for each channel until the judge goes away.

    Args:
        control: Socket to the judge.
        handler: What a child does with its channel: gets a reader and a writer.
        limits: What a confined child may use; ``None`` runs children unconfined.
        readable: What a confined child may read beside the Python installation.
        reseed: Sows random numbers anew in each child, beside Python's own.
        prepare: Imports what only some children need, once one of them is asked for.
    """
    with contextlib.suppress(BrokenPipeError):  # the judge went meanwhile: there is nobody to tell
        _serve(control, handler, limits, readable, reseed, prepare)


def _serve(
    control: socket.socket,
    handler: Handler,
    limits: Limits | None,
    readable: Iterable[Path],
    reseed: Callable[[], object],
    prepare: Callable[[], object],
) -> None:
    try:
        confinement = None if limits is None else Confinement(limits, readable)
        if confinement is not None:
            probe(confinement)
    except (ConfinementUnavailable, ConfinementBroken, OSError) as error:
        control.sendall(f"{error}\n".encode())
        return
    control.sendall(b"ready %d\n" % os.getpid())
    gc.collect()
    gc.freeze()  # children share what is here, untouched by their collector
    running: set[int] = set()
    try:
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 64, 1)
            if not message:
                return
            if message[:1] == b"p":
                prepare()
                gc.collect()
                gc.freeze()
                control.sendall(b"prepared\n")
            elif message[:1] == b"f":
                pid = os.fork()
                if pid == 0:
                    _become_child(descriptors[0], handler, confinement, reseed)
                running.add(pid)
                os.close(descriptors[0])
                control.sendall(b"%d\n" % pid)
            else:
                pid = int(message[1:])
                running.discard(pid)
                status, seconds = end(pid)
                control.sendall(f"{'-' if status is None else status} {seconds}\n".encode())
    finally:
        for pid in running:  # the judge is gone, or this process goes: nobody waits for their answers
            end(pid)


def end(pid: int) -> tuple[int | None, float]:
    """Kill a child with everything that it started.

    Returns:
        Its wait status, ``None`` where it had not ended by itself; and its processor time in seconds.
    """
    ended = _has_ended(pid)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    return status if ended else None, used.ru_utime + used.ru_stime


def _has_ended(pid: int) -> bool:
    """Whether a child is on its way out, be it that its parent cannot wait for it yet: its channel closes before."""
    try:
        flags = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[6])
    except OSError:  # no Linux
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return bool(flags & _PF_EXITING)


_PF_EXITING = 0x4  # linux/sched.h


def _become_child(
    channel: int, handler: Handler, confinement: Confinement | None, reseed: Callable[[], object]
) -> None:
    status = 1
    try:
        os.setpgid(0, 0)  # a group that is killed as a whole, and no session that could be left
        silence()
        _keep_only(channel, confinement)
        if confinement is not None:
            confinement.apply()
        random.seed()
        reseed()
        handler(os.fdopen(channel, "rb", closefd=False), os.fdopen(channel, "wb", closefd=False))
        status = 0
    finally:
        os._exit(status)  # no atexit hooks, no clean-up of the warm process's things


def _keep_only(channel: int, confinement: Confinement | None) -> None:
    """Close what the warm process had open: the socket to the judge above all."""
    kept = sorted({0, 1, 2, channel} | ({confinement.descriptor} if confinement is not None else set()))
    for before, after in zip(kept, [*kept[1:], _MAX_DESCRIPTOR], strict=True):
        os.closerange(before + 1, after)


_MAX_DESCRIPTOR = 2**20
