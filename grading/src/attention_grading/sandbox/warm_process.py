"""The warm process: it imports once what learners' code needs, and forks a server for each judge that asks.

Started by its name, it imports one worker's module after the other. Each worker but the last goes on in a process
forked at that point, so that what the first ones import is imported once for all. Over a worker's socket a judge sends
the limits of its submissions (JSON, ``null`` for none) with a file descriptor, and gets a server of its own there (see
``fork_server``): what happens to that server, or to its priority, is no other judge's concern.
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
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from attention_grading.sandbox import fork_server
from attention_grading.sandbox.limits import Limits


def main(arguments: list[str] | None = None) -> None:
    """Warm the workers and serve judges until the last of them is gone."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.sandbox.warm_process", description=__doc__)
    parser.add_argument(
        "--serve",
        nargs=2,
        action="append",
        required=True,
        metavar=("MODULE", "FD"),
        help="a worker, which has serve(socket, confined), and the socket that its judges ask on",
    )
    parser.add_argument("--confined", action="store_true", help="whether learners' code will run confined")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the judge's to handle
    controls = {module: socket.socket(fileno=int(number)) for module, number in options.serve}
    while controls:
        module = next(iter(controls))
        worker = importlib.import_module(module)
        control = controls.pop(module)
        if controls and os.fork() != 0:
            control.close()
            continue
        for other in controls.values():
            other.close()
        worker.serve(control, options.confined)
        return


def lend(
    control: socket.socket,
    handler: fork_server.Handler,
    *,
    readable: Iterable[Path] = (),
    reseed: Callable[[], object] = random.seed,
    prepare: Callable[[], object] = lambda: None,
) -> None:
    """Fork a server for each judge that asks, until none is left.

    Args:
        control: The socket that they ask on.
        handler: What a server's child does with its channel.
        readable: What a confined child may read beside the Python installation.
        reseed: Sows random numbers anew in each child.
        prepare: Imports what only some children need, in the servers that are asked to.
    """
    gc.collect()
    gc.freeze()  # servers share what is here, untouched by their collector
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            _reap(0)  # so that who waits for this process waits for all
            return
        _reap(os.WNOHANG)
        if os.fork() == 0:
            try:
                control.close()
                os.setsid()  # a session of its own, whose priority the judge sets (see processes.watched)
                fields = json.loads(message)
                limits = None if fields is None else Limits(**fields)
                asking = socket.socket(fileno=descriptors[0])
                fork_server.serve(asking, handler, limits, readable=readable, reseed=reseed, prepare=prepare)
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(0)  # what is to be cleaned up is the warm process's own
        os.close(descriptors[0])


def _reap(how: int) -> None:
    """Take note of children that have ended; of all, without ``os.WNOHANG``."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


if __name__ == "__main__":
    main()
