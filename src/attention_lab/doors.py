"""Rooms' doors that open at the first use: whoever imports a neighbour wakes no GPU and draws nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def opens(room: str, **behind: str) -> Callable[[str], Any]:
    """A package's ``__getattr__``.

    Args:
        room: The package's name.
        behind: By name of what the door leads to, the module in the room where that is.
    """

    def find(name: str) -> Any:
        if name in behind:
            return getattr(importlib.import_module(f"{room}.{behind[name]}"), name)
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    return find
