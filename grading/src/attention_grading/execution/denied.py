"""What learners' code reached for and was denied, seen from inside its process: a hint for instructors, no defence.

The confinement denies it whether it is seen here or not. Python says what it is about to do (``sys.addaudithook``);
what counts is what a learner's own line asks for, not what a library looks up for itself.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from types import FrameType
from typing import Any

MAX_KEPT = 5

_WITH_PATH = {"open": "open", "os.listdir": "list", "os.scandir": "list"}
_ALWAYS_DENIED = {
    "socket.__new__": "open a socket",
    **dict.fromkeys(("os.kill", "os.killpg"), "send a signal"),
    **dict.fromkeys(
        ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"), "start another program"
    ),
}


class Denied:
    """Sees attempts from when it is made, in a confined process."""

    def __init__(self) -> None:
        self._tried: dict[tuple[str, str], int] = {}  # what, which path, and how it was to be opened
        self._told: set[str] = set()
        # a submission takes Python apart as it likes: what is needed is kept here
        self._frame, self._library = sys._getframe, (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if (
            (event in _WITH_PATH or event in _ALWAYS_DENIED)
            and len(self._tried) < 10 * MAX_KEPT
            and self._is_learners()
        ):
            if event in _ALWAYS_DENIED:
                self._tried[_ALWAYS_DENIED[event], ""] = 0
            elif type(arguments[0]) is str:
                flags = arguments[2] if event == "open" and type(arguments[2]) is int else os.O_RDONLY
                self._tried[_WITH_PATH[event], arguments[0]] = flags

    def _is_learners(self) -> bool:
        """Whether a line of a cell asked for it, be it through the standard library."""
        frame: FrameType | None = self._frame(2)
        while frame is not None and frame.f_code.co_filename.startswith(self._library):
            frame = frame.f_back
        return frame is not None and frame.f_code.co_filename.startswith("<")

    def lines(self) -> list[str]:
        """What was denied since the last call, in words, each once. What is not there at all was denied to nobody."""
        found = []
        for (what, path), flags in list(self._tried.items()):
            words = f"{what} {path[:200]}" if path else what
            if words not in self._told and len(self._told) < MAX_KEPT and (not path or _is_denied(path, flags)):
                self._told.add(words)
                found.append(words)
        return found


def _is_denied(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False
