"""The learner's function before there is one: using it says which cell is to be run, instead of an undefined name."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from attention_lab.tracebacks import TellsInLines


class NotDefinedYet(TellsInLines, NameError):
    """The function was used before a cell defined it; two lines say so and what to do."""


class NotYet:
    """Stands in a notebook for a function that no cell has defined.

    Args:
        name: The function's name.
    """

    def __init__(self, name: str):
        self.__name__ = name

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise NotDefinedYet(
            f"No cell has defined {self.__name__} since the kernel started.\n"
            "Run the solution cell; the function in it must have this name."
        )


def expect_function(name: str) -> None:
    """Let the running notebook, if there is one, say so where the function is used before it is defined."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        shell.user_ns.setdefault(name, NotYet(name))
