"""Run a learner's cells and find the function in them."""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import math
import sys
import types
from collections.abc import Coroutine, Sequence
from typing import Any

import torch
import torch.nn.functional as F

import attention_lab
from attention_lab import flash
from attention_lab.checks.calls import failure_of, quiet
from attention_lab.notebook.learner_cells import SOLUTION_ID
from attention_lab.notebook.python_lines import python_lines


def load(cells: Sequence[dict[str, str]], function_name: str, name: str) -> tuple[list[str], Any]:
    """Run the cells in order and find the function.

    Args:
        cells: Objects with ``id`` and ``source``.
        function_name: The function to find.
        name: ``__name__`` for the code, ``__main__`` in a notebook.

    Returns:
        Notes on cells that were skipped (of several beside the solution: how many, and the first), and the function or
        ``None``.
    """
    module = types.ModuleType(name)
    namespace = module.__dict__
    namespace.update(names_in_scope())
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by its name
    solution: list[str] = []
    others: list[str] = []
    with quiet():
        for cell in cells:
            notes = solution if cell["id"] == SOLUTION_ID else others
            notes += _run_cell(cell["id"], cell["source"], namespace)
    if len(others) > 1:
        others = [f"{len(others)} cells beside the solution did not run and were skipped, the first: {others[0]}"]
    return [*solution, *others], namespace.get(function_name)


def names_in_scope() -> dict[str, Any]:
    """The setup cell's names, for a notebook and a ``.py`` alike."""
    names = {name: getattr(attention_lab, name) for name in attention_lab.__all__ if name not in _DRAWING}
    return names | {
        "torch": torch,
        "F": F,
        "math": math,
        "flash_attn_varlen_func": flash.flash_attn_varlen_func,
        "device": "cpu",
        "display": lambda *things, **options: None,
        "get_ipython": _Shell,
        **dict.fromkeys(_DRAWING, lambda *things, **options: None),
    }


class _Shell:
    """Stands for IPython's shell, whose magics do nothing here."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: None


# nothing is drawn here: pictures are the display kernel's affair, and matplotlib costs a second
_DRAWING = ("attention_heatmap", "mask_heatmap")


def _wait_for(cell: Coroutine[Any, Any, Any]) -> None:
    """Run a cell that awaits. Without an event loop, which wants sockets: what is awaited has to be there at once."""
    with contextlib.suppress(StopIteration):
        while True:
            cell.send(None)


def _run_cell(cell_id: str, source: str, namespace: dict[str, Any]) -> list[str]:
    filename = f"<{cell_id}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        # as a kernel compiles a cell: without this module's own __future__ imports, and with await outside functions
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(python_lines(source), filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line}" if line else ""
        return [f"cell {cell_id} does not parse{where}: {type(error).__name__}: {getattr(error, 'msg', error)}"]
    try:
        if code.co_flags & inspect.CO_COROUTINE:
            _wait_for(eval(code, namespace))
        else:
            exec(code, namespace)
    except BaseException as error:
        return [f"cell {cell_id} raised {failure_of(error)}"]
    return []
