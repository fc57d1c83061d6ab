"""The guard: the kit and notebooks' cells meet no POSIX. Libraries do, since this is POSIX; nor is there a judge."""

import builtins
import importlib.metadata
import os
import sys
from collections.abc import Callable
from typing import Any

from names import POSIX_FUNCTIONS, POSIX_MODULES

_import, _entry_points = builtins.__import__, importlib.metadata.entry_points


def _is_ours(space: dict[str, Any] | None) -> bool:
    """Whether this is the kit's code, or typed by somebody: a cell of a notebook, or what stands after ``-c``."""
    name, spec = (space or {}).get("__name__", ""), (space or {}).get("__spec__")
    return (spec.name if name == "__main__" and spec else name).startswith(("attention_lab", "__main__"))


def guarded_import(name: str, globals: Any = None, *others: Any, **named: Any) -> Any:
    if name.partition(".")[0] in POSIX_MODULES and _is_ours(globals):
        raise ModuleNotFoundError(f"Windows has no {name}", name=name)
    return _import(name, globals, *others, **named)


def guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        if _is_ours(sys._getframe(1).f_globals):
            raise AttributeError(f"Windows has no os.{name}")
        return function(*arguments, **options)

    return call


builtins.__import__ = guarded_import
for each in POSIX_FUNCTIONS & {*dir(os)}:
    setattr(os, each, guarded(each, getattr(os, each)))
importlib.metadata.entry_points = lambda **options: (
    () if options.get("group") == "attention_lab.judges" else _entry_points(**options)
)
