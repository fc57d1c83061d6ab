"""What the course needs to be installed, and what to do where it is not: in sentences, never as a stack trace."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from dataclasses import dataclass

from attention_lab.tracebacks import TellsInLines

# Package: the oldest version that the course works with (a test holds this against pyproject.toml)
OLDEST = {"torch": (2, 10), "matplotlib": (3, 10), "ipywidgets": (7, 7, 1)}
OLDEST_PYTHON = (3, 11)


class MissingPackage(TellsInLines, ImportError):
    """A package that the course needs is missing, broken or too old; two lines say so and what to do."""


@dataclass(frozen=True)
class Package:
    """An installed, missing or broken package.

    Attributes:
        name: Its name, for pip and for ``import``.
        version: Its version, or ``None`` where it is not installed.
        problem: What is wrong, as a sentence; ``None`` where nothing is.
        remedy: What to do about it, as a sentence; ``None`` where nothing is wrong.
    """

    name: str
    version: str | None
    problem: str | None = None
    remedy: str | None = None


def look_at(name: str, *, by_import: bool = True) -> Package:
    """Look at a package of ``OLDEST``.

    Args:
        name: The package's name.
        by_import: Whether to import it too: only that shows a broken installation.
    """
    version = version_of(name)
    try:
        if by_import:
            module = importlib.import_module(name)
            version = version or getattr(module, "__version__", None)
        elif importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)
    except Exception as error:
        problem, remedy = explain(name, error)
        return Package(name, version, problem, remedy)
    if version is not None and _numbers(version) < OLDEST[name]:
        oldest = _dotted(OLDEST[name])
        problem = f"{name} {version} is older than {oldest}, the oldest that the course works with."
        return Package(name, version, problem, "Upgrade it: " + _pip(f'--upgrade "{name}>={oldest}"'))
    return Package(name, version)


def explain(name: str, error: Exception) -> tuple[str, str]:
    """Say in two sentences why a package cannot be imported, and what to do."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    culprit = name if missing is None else missing.partition(".")[0]
    choice = " (which build: https://pytorch.org/get-started/locally)" if culprit == "torch" else ""
    if missing is not None:
        return f"{culprit} is not installed for this Python, {sys.executable}.", f"Install it: {_pip(culprit)}{choice}"
    words = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {words[0][:200]}" if words else type(error).__name__
    problem = f"{name} is installed for this Python, {sys.executable}, but cannot be imported ({reason})."
    return problem, f"Install it afresh: {_pip(f'--force-reinstall {name}')}{choice}"


def missing_package(name: str, error: Exception) -> MissingPackage:
    """The exception to raise instead of a failed import."""
    return _refusal(*explain(name, error))


@functools.cache  # of a package that is fine; asked again after each refusal
def require(name: str) -> None:
    """Refuse to go on without a package of ``OLDEST``.

    Raises:
        MissingPackage: It is missing, broken or too old.
    """
    package = look_at(name)
    if package.problem and package.remedy:
        raise _refusal(package.problem, package.remedy)


def _refusal(problem: str, remedy: str) -> MissingPackage:
    return MissingPackage(f"{problem}\n{remedy}. Then restart the kernel and run the cell again.")


def version_of(name: str) -> str | None:
    """A package's version, or ``None`` where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def python_version() -> str:
    """This Python's version, such as ``3.13.1``."""
    return _dotted(sys.version_info[:3])


def _pip(arguments: str) -> str:
    return f"{sys.executable} -m pip install {arguments}"


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers: ``2.11.0+cu128`` gives ``(2, 11, 0)``."""
    return tuple(int(number) for number in re.split(r"[^\d.]", version, maxsplit=1)[0].split(".") if number)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
