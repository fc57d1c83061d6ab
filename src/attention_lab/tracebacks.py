"""What a learner reads of an error: its own lines, or the learner's in a traceback without the kit's and packages'."""

from __future__ import annotations

import functools
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

# A line is not the learner's where its file begins so, or lies in such a folder, wherever that is
_NOT_THE_LEARNERS = (sysconfig.get_path("stdlib"), "<frozen")
_FOLDERS_OF_PACKAGES = {"site-packages", "dist-packages", "torch", "attention_lab", "attention_grading"}

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class TellsInLines:
    """An error whose message is all that there is to read: a notebook shows its lines, and no traceback."""

    def _render_traceback_(self) -> list[str]:
        # IPython's own hook; it wants a list of strings
        return str(self).split("\n")


def learners_line(error: BaseException) -> str:
    """The learner's innermost line, as ``line 7: scores = q @ k``; empty where there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.line and _is_learners(frame.filename):
            cell = re.fullmatch(r"<(\d+)>", frame.filename)  # a free cell, by its number in the notebook
            return f"{f'cell {cell[1]}, ' if cell else ''}line {frame.lineno}: {frame.line.strip()[:80]}"
    return ""


def shows_learners_lines(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Let errors that pass through a function of the kit show the lines of the learner's code alone.

    An error without such lines is the kit's own and stays as it is; but whoever interrupts has no use for any of them.
    """

    @functools.wraps(function)
    def shown(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        __tracebackhide__ = True  # IPython leaves this frame out
        try:
            return function(*arguments, **options)
        except BaseException as error:
            own = _learners_frames(error.__traceback__)
            if own is None and not isinstance(error, KeyboardInterrupt):
                raise
            raise error.with_traceback(own)  # noqa: B904 (it is the same error)

    return shown


def _learners_frames(whole: TracebackType | None) -> TracebackType | None:
    """A traceback's frames of the learner's code, as a traceback of their own; ``None`` where there are none."""
    own = None
    for step in reversed([*_steps(whole)]):
        if _is_learners(step.tb_frame.f_code.co_filename):
            own = TracebackType(own, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return own


def _steps(step: TracebackType | None) -> Iterator[TracebackType]:
    while step is not None:
        yield step
        step = step.tb_next


def _is_learners(filename: str) -> bool:
    installed = _FOLDERS_OF_PACKAGES & {*Path(filename).parts[:-1]}
    return not installed and not filename.startswith(_NOT_THE_LEARNERS)
