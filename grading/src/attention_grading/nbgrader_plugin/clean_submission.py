"""Make a submitted folder safe for nbgrader to copy, and find the notebook in it.

Nothing is lost: what must not be copied (links, pipes, devices, unreadable or far too many files) is moved to
``set_aside/`` in the course root.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbgrader.utils import parse_utc
from traitlets.log import get_logger

from attention_grading.files import free_name
from attention_grading.text import plain
from attention_lab.notebook.learner_cells import MAX_BYTES, NotJudgeable, read_submission
from attention_lab.variants import VARIANTS, Variant

SET_ASIDE = "set_aside"
# What a submission may bring beside its notebook; nothing of it is needed for grading
MAX_FILES = 100
MAX_EXTRA_BYTES = 100 * 2**20
MAX_DEPTH = 20

_BY_STEM = {variant.stem: variant for variant in VARIANTS.values()}


def prepare_submission(*, notebooks: list[str], **names: Any) -> None:
    """nbgrader's ``Autograde.pre_convert_hook``: runs before anything of a submission is copied.

    Args:
        notebooks: Paths of the submission's notebooks; changed in place where the notebook goes by another name.
        names: What else nbgrader tells its hooks.
    """
    try:
        folder = Path(notebooks[0]).parent
        for line in set_aside(folder, Path(SET_ASIDE) / folder.parent.name / folder.name):
            get_logger().warning("%s, %s: %s", _student(folder), folder.name, line)
        if folder.name in _BY_STEM:
            notebooks[:] = [str(_the_notebook(folder, _BY_STEM[folder.name]))]
    except BaseException:
        notebooks.clear()  # nbgrader swallows a hook's errors: without notebooks it does not go on with this submission
        raise


def set_aside(folder: Path, target: Path) -> list[str]:
    """Move what must not be copied out of a submitted folder.

    Args:
        folder: ``submitted/STUDENT/ASSIGNMENT``.
        target: Where it goes; names that are taken get a number.

    Returns:
        One line for each thing that was moved, and why.
    """
    for link in (folder.parent, folder):
        if link.is_symlink():
            return [_move(link, target, _link_to(link))]
    if not folder.is_dir():
        return []
    lines = []
    for path, reason in list(_unwanted(folder)):
        lines.append(_move(path, target, reason))
        if len(lines) == MAX_FILES:
            lines.append(f"more than {MAX_FILES} files and folders had to be set aside; the rest is not named here")
    return lines[: MAX_FILES + 1]


def _unwanted(folder: Path) -> Iterator[tuple[Path, str]]:
    files, size = 0, 0
    for path, info, depth in _entries(folder):
        reason = _why_not(path, info, depth)
        if reason is None and path == folder / "timestamp.txt" and not _is_timestamp(path, info):
            reason = "holds no time"  # nbgrader would stop at it
        if reason is None and path.name != f"{folder.name}.ipynb":
            files, size = files + 1, size + info.st_size
            if files > MAX_FILES:
                reason = f"is one of more than {MAX_FILES} files"
            elif size > MAX_EXTRA_BYTES:
                reason = f"is beyond the {MAX_EXTRA_BYTES // 2**20} MB that a submission may bring"
        if reason is not None:
            yield path, reason


def _entries(folder: Path, depth: int = 1) -> Iterator[tuple[Path, os.stat_result, int]]:
    """Files, links not followed, and folders that are unwanted themselves; with how deep they lie."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path, info = Path(entry.path), entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode) and _why_not(path, info, depth) is None:
            yield from _entries(path, depth + 1)
        else:
            yield path, info, depth


def _is_timestamp(path: Path, info: os.stat_result) -> bool:
    try:
        text = path.read_text().strip() if info.st_size <= 200 else None
        return text is not None and (not text or parse_utc(text) is not None)
    except (ValueError, OverflowError, OSError, TypeError):
        return False


def _link_to(path: Path) -> str:
    return f"is a link to {plain(os.readlink(path), 200)}"


def _why_not(path: Path, info: os.stat_result, depth: int) -> str | None:
    if stat.S_ISLNK(info.st_mode):
        return _link_to(path)
    if plain(path.name, 300) != path.name:
        return "has a name that would write into the log"
    if stat.S_ISDIR(info.st_mode):
        if path.suffix == ".ipynb":
            return "is a folder, not a notebook"
        if depth > MAX_DEPTH:
            return f"lies more than {MAX_DEPTH} folders deep"
        return None if os.access(path, os.R_OK | os.X_OK) else "is a folder that cannot be read"
    if not stat.S_ISREG(info.st_mode):
        return "is not a regular file"
    if path.suffix == ".ipynb" and info.st_size > MAX_BYTES:
        return f"is larger than {MAX_BYTES // 2**20} MB"
    return None if os.access(path, os.R_OK) else "cannot be read"


def _move(path: Path, target: Path, reason: str) -> str:
    target.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        with contextlib.suppress(OSError):
            path.chmod(0o700)  # a folder that cannot be written cannot be moved
    path.rename(free_name(target / path.name))
    return f"{plain(path.name, 100)} {reason}; it was set aside in {target}"


def _the_notebook(folder: Path, variant: Variant) -> Path:
    """The submission's notebook; one that goes by another name is copied to the right one."""
    wanted = folder / f"{variant.stem}.ipynb"
    others = sorted(
        set(folder.glob("*.ipynb")) - {wanted}, key=lambda path: (_defines(path, variant), path.stat().st_mtime)
    )
    log = get_logger()
    if wanted.exists():
        for other in others:
            name = plain(other.name, 100)
            log.warning("%s, %s: %s is not graded: %s is there too", _student(folder), folder.name, name, wanted.name)
    elif others:
        name = plain(others[-1].name, 100)
        log.warning("%s, %s: %s is graded as %s", _student(folder), folder.name, name, wanted.name)
        wanted.write_bytes(others[-1].read_bytes())
    return wanted


def _student(folder: Path) -> str:
    return plain(folder.parent.name, 100)


def _defines(path: Path, variant: Variant) -> bool:
    try:
        read_submission(path, variant)
    except NotJudgeable:
        return False
    return True
