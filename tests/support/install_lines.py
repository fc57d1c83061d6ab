"""The lines by which documents, messages and workflows install something, taken apart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from support.places import ROOT

KINDS = (".md", ".py", ".ipynb", ".yml", ".sh", ".toml", ".json")
NAMES = ("Makefile", "Dockerfile", "run")
# CHANGELOG tells of the past; tests build what they install themselves; build and the rest is nobody's word
_LEFT_OUT = {"CHANGELOG.md", "tests", "build", ".venv", "autograded", "submitted", "feedback", ".git"}
_LINE = re.compile(r"(?:\bpip3? (?:install|wheel|download)(?! --python \$)|^\t\$\(INSTALL\)) (?P<rest>[^\n`]*)", re.M)
# Where the words end: the shell goes on, a comment or a further sentence begins, the string around them ends
_END = re.compile(r"\s(?:&&|\|\|?|;|#|>)|\\n|(?<=[\w\"\])])\. |, (?=[a-z])")
WITH_VALUE = {
    "--index-url", "--torch-backend", "--constraint", "--wheel-dir", "--no-binary", "--python", "--requirement",
}  # fmt: skip


def found() -> list[tuple[str, list[str]]]:
    """Each line with the path of its file, from the course root."""
    return [(path.relative_to(ROOT).as_posix(), words) for path in files() for words in install_lines(path.read_text())]


def files() -> Iterator[Path]:
    """All that may hold such a line."""
    for path in sorted(ROOT.rglob("*")):
        named = path.suffix in KINDS or path.name in NAMES
        if named and path.is_file() and not _LEFT_OUT & set(path.relative_to(ROOT).parts):
            yield path


def install_lines(text: str) -> Iterator[list[str]]:
    """What each line of a text installs: the words after ``pip install``, quotes and the shell's rest taken off.

    An option and its value become one word, ``--index-url=URL``; so do ``-e`` and its folder.
    """
    for match in _LINE.finditer(text.replace("\\\n", " ").replace('\\"', '"')):
        rest = _END.split(match["rest"], maxsplit=1)[0]
        for mark in (mark for mark in "'\"" if rest.count(mark) % 2):  # the end of the string around the words
            rest = rest.rpartition(mark)[0]
        yield list(_joined(shlex.split(rest)))


def _joined(words: list[str]) -> Iterator[str]:
    left = iter(words)
    for word in left:
        yield f"{word}={next(left)}" if word in WITH_VALUE else f"-e={next(left)}" if word == "-e" else word
