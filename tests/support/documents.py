"""The commands that the documents tell people to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.places import ROOT

_FOLDERS = (".", ".github", "docs", "notebooks", "benchmarks", "autograded", "src/attention_lab/data")
_HISTORY = "CHANGELOG.md"  # its commands were right in their time
DOCUMENTS = sorted(path for each in _FOLDERS for path in (ROOT / each).glob("*.md") if path.name != _HISTORY)

# A block without a language is typed into a shell; others say that they are toml, python or text
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
_INLINE = re.compile(r"`([^`]+)`")
_PROGRAM = re.compile(
    r"((OMP_NUM_THREADS|PYTHONPATH|PACKAGE)=\S+ )*"
    r"(make|attention-lab|attention-grading|nbgrader|python3?|py|pip|uv|conda|git|dask|docker|apt(-get)?|pytest|cat|cp|diff"
    r"|twine|\S*\.sh|\.ci/run|source|\.venv[/\\]\S+)( .+)?"
)


@dataclass(frozen=True)
class Command:
    """A command in a document.

    Attributes:
        text: The line, without what is said about it.
        place: Document and line.
    """

    text: str
    place: str


def commands() -> list[Command]:
    """All of them: the lines of the blocks that are for a shell, and what stands as code within the text."""
    return [each for path in DOCUMENTS for each in commands_of(path.read_text(encoding="utf-8"), path)]


def commands_of(text: str, path: Path) -> Iterator[Command]:
    """The commands of one document."""
    name = path.relative_to(ROOT)
    for block in _BLOCK.finditer(text):
        first = text[: block.start(3)].count("\n") + 1
        for number, line in enumerate(block[3].splitlines() if not block[2] else (), first):
            if typed := re.sub(r"(^|\s+)#.*", "", line).strip():
                yield Command(typed, f"{name}:{number}")
    prose = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for code in _INLINE.finditer(prose):
        typed = " ".join(code[1].split())
        if _PROGRAM.fullmatch(typed):
            yield Command(typed, f"{name}:{prose[: code.start()].count(chr(10)) + 1}")
