"""Run a learner's cells and find the function in them."""

from __future__ import annotations

import ast
import builtins
import contextlib
import dis
import inspect
import linecache
import math
import sys
import types
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

import attention_lab
from attention_lab import flash, flex
from attention_lab.checks.calls import failure_of, quiet
from attention_lab.notebook.absent_packages import stand_ins
from attention_lab.notebook.learner_cells import SOLUTION_ID, defines
from attention_lab.notebook.python_lines import python_lines


def load(
    cells: Sequence[dict[str, str]],
    function_name: str,
    name: str,
    here: str = "here",
    before: Callable[[int], None] = lambda index: None,
) -> tuple[dict[int, str], Any]:
    """Run the cells in order and find the function.

    Cells after the one that defines it last are not needed, unless the function uses a name that only they define.

    Args:
        cells: Objects with ``id`` and ``source``.
        function_name: The function to find.
        name: ``__name__`` for the code, ``__main__`` in a notebook.
        here: Where that happens, in words that follow "is not installed".
        before: Called with each cell's index before it runs.

    Returns:
        Notes on cells that were skipped, by their indices, and the function or ``None``.
    """
    module = types.ModuleType(name)
    namespace = module.__dict__
    namespace.update(names_in_scope())
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by its name
    defining = [index for index, cell in enumerate(cells) if defines(cell["source"], function_name)]
    notes = {}
    with quiet():
        for index, cell in enumerate(cells):
            if defining and index > defining[-1] and not _lacks_names(function_name, namespace):
                break
            before(index)
            note = _run_cell(cell["id"], cell["source"], namespace, here)
            if note:
                notes[index] = note
    return notes, namespace.get(function_name)


def summed_up(notes: dict[int, str], cells: Sequence[dict[str, str]]) -> list[str]:
    """The notes of ``load`` as they are read: of several cells beside the solution, how many, and the first."""
    solution = [note for index, note in notes.items() if cells[index]["id"] == SOLUTION_ID]
    others = [note for index, note in notes.items() if cells[index]["id"] != SOLUTION_ID]
    if len(others) > 1:
        others = [f"{len(others)} cells beside the solution did not run and were skipped, the first: {others[0]}"]
    return [*solution, *others]


def _lacks_names(function_name: str, namespace: dict[str, Any]) -> bool:
    """Whether the function, or one of the notebook's own that it uses, has a name in it that nothing has defined."""
    known = namespace.keys() | vars(builtins).keys()
    asked, seen = [namespace.get(function_name)], set()
    while asked:
        found = asked.pop()
        # anything else may answer as it likes, and what stands for an absent package raises
        code = getattr(found, "__code__", None) if type(found) in _FUNCTIONS else None
        if not isinstance(code, types.CodeType) or code in seen:
            continue
        seen.add(code)
        names = set(_global_names(code))
        if names - known:
            return True
        asked += [namespace[name] for name in names & namespace.keys()]
    return False


_FUNCTIONS = (types.FunctionType, types.MethodType)


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Names that a function's code looks up outside of it, its inner functions' included."""
    yield from (str(step.argval) for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _global_names(inner)


def names_in_scope() -> dict[str, Any]:
    """The setup cell's names, for a notebook and a ``.py`` alike."""
    names = {name: getattr(attention_lab, name) for name in attention_lab.__all__ if name not in _DRAWING}
    return names | {
        "torch": torch,
        "F": F,
        "math": math,
        "flash_attn_varlen_func": flash.flash_attn_varlen_func,
        "create_block_mask": flex.create_block_mask,
        "flex_attention": flex.flex_attention,
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


def _run_cell(cell_id: str, source: str, namespace: dict[str, Any], here: str) -> str:
    """Run a cell, and say why where it was skipped."""
    filename = f"<{cell_id}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        # as a kernel compiles a cell: without this module's own __future__ imports, and with await outside functions
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(python_lines(source), filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line}" if line else ""
        return f"cell {cell_id} does not parse{where}: {type(error).__name__}: {getattr(error, 'msg', error)}"
    try:
        if code.co_flags & inspect.CO_COROUTINE:
            _wait_for(eval(code, namespace))
        else:
            exec(code, namespace)
    except BaseException as error:
        failure = failure_of(error)
        if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str):
            package = error.name.partition(".")[0]
            failure = replace(failure, text=f"{package} is not installed {here}")
            namespace.update(stand_ins(python_lines(source), package, failure.text) | namespace)
        return f"cell {cell_id} raised {failure}"
    return ""
