"""A learner at a notebook: cells run in IPython, in a process of their own, and what is read below each is kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from support.places import RELEASES

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Imported once, before the forks
_WARM = (
    "IPython.core.interactiveshell",
    "attention_lab.checks.run",
    "attention_lab.maps.heatmaps",
    "attention_lab.notebook.hand_in",
)


def released(stem: str) -> dict:
    return json.loads(RELEASES[stem].read_text())


def cell_of(content: dict, name: str) -> dict:
    return next(cell for cell in content["cells"] if cell["id"] == name)


def code_cells(content: dict) -> list[tuple[str, str]]:
    """Id and text of each code cell."""
    return [(cell["id"], "".join(cell["source"])) for cell in content["cells"] if cell["cell_type"] == "code"]


@contextmanager
def desk() -> Iterator[ProcessPoolExecutor]:
    """Where ``sit_down`` is submitted to: each time in a fresh process, forked from one that has PyTorch loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_WARM])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        yield pool


def sit_down(
    cells: Sequence[tuple[str, str]], folder: Path, interrupted: str = "", after: float = 3.0
) -> dict[str, str]:
    """Run cells in order, as a kernel does; returns what is read below each, of pictures their captions.

    Args:
        cells: Id and text of each cell.
        folder: The kernel's.
        interrupted: Id of the cell at which the stop button is pressed.
        after: Seconds until then.
    """
    # an IPython shell takes over the process's hooks: only here
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    os.chdir(folder)
    os.environ.pop("JPY_SESSION_NAME", None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    shell = InteractiveShell.instance()
    read = {}
    for name, source in cells:
        stop = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
        with capture_output() as captured:
            if name == interrupted:
                stop.start()
            shell.run_cell(source, store_history=True)
            stop.cancel()
        shown = [output.data.get("text/plain", "") for output in captured.outputs]
        read[name] = _COLOURS.sub("", "\n".join([captured.stdout, captured.stderr, *shown])).strip()
    return read
