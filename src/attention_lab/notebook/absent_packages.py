"""Packages that a learner's cell imports and that are not there: said by name, wherever they are used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NoReturn


class Absent:
    """Stands for what a cell would have imported; using it says what is missing, instead of an undefined name.

    Args:
        words: What is to be said.
    """

    def __init__(self, words: str):
        self.__dict__["_words"] = words

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise ModuleNotFoundError(self.__dict__["_words"])

    def __getattr__(self, name: str) -> NoReturn:
        raise ModuleNotFoundError(self.__dict__["_words"])


def stand_ins(source: str, package: str, words: str) -> dict[str, Absent]:
    """A stand-in for each name that a cell imports from a package.

    Args:
        source: The cell, which parses.
        package: Name of the package that is not there.
        words: What using one says.
    """
    return {name: Absent(words) for name in _names(ast.parse(source), package)}


def _names(tree: ast.Module, package: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == package:
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                if top == package:
                    yield alias.asname or top
