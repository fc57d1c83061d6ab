"""The course's secret seed: what the hidden inputs are drawn from."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from attention_grading.cases import PUBLIC_SEED


class SeedMissing(RuntimeError):
    """The seed's file is gone although submissions have been graded with it, or cannot be read."""


def course_seed(path: Path | None, graded: Iterator[Path]) -> str:
    """Read the seed, or draw it at the course's first grading.

    Args:
        path: The file; ``None`` stands for the documented public seed.
        graded: Notebooks that have been graded already.

    Returns:
        The seed.

    Raises:
        SeedMissing: There is no file although there are graded notebooks, or it is empty or unreadable.
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
    seed = secrets.token_hex(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(seed + "\n")
    return seed
