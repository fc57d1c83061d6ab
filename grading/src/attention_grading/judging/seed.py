"""The course's secret seed: what the hidden inputs are drawn from."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

# For the demo and for self-study, where nobody gains by knowing it; a course draws its own (see the grading seed)
PUBLIC_SEED = "attention, six ways"


class SeedMissing(RuntimeError):
    """The seed's file is gone although submissions have been graded with it, or cannot be read or written."""


def course_seed(path: Path | None, graded: Iterator[Path]) -> str:
    """Read the seed, or draw it at the course's first grading.

    Args:
        path: The file; ``None`` stands for the documented public seed.
        graded: Notebooks that have been graded already.

    Returns:
        The seed.

    Raises:
        SeedMissing: There is no file although there are graded notebooks, it is empty or unreadable, or it cannot be
            written.
    """
    if path is None:
        return PUBLIC_SEED
    try:
        seed = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return _draw(path, next(graded, None))
    except (OSError, UnicodeDecodeError) as error:
        raise SeedMissing(f"the course's seed {path} cannot be read: {error}") from error
    if not seed:
        raise SeedMissing(f"the course's seed {path} is empty; restore it from your backup")
    return seed


def _draw(path: Path, graded: Path | None) -> str:
    if graded is not None:
        raise SeedMissing(
            f"the course's seed {path} is missing, but submissions have been graded already ({graded}): "
            "a new seed would judge the rest of the class on other inputs. Restore the file from your backup, or move "
            "the graded notebooks away to grade everybody anew"
        )
    try:
        _write_once(path, f"{secrets.token_hex(32)}\n".encode())
    except OSError as error:
        raise SeedMissing(f"the course's seed cannot be written to {path}: {error.strerror or error}") from error
    return path.read_text(encoding="utf-8").strip()


def _write_once(path: Path, data: bytes) -> None:
    """Write a file unless it is there: on a full disk there is none rather than an empty one.

    Of two processes that write at once, one does; both find the same file there.
    """
    descriptor, part = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # readable for the owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        os.unlink(part)
    if hasattr(os, "O_DIRECTORY"):  # the name, too, outlives a power cut
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
