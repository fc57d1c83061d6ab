"""No index holds the two packages: a line that names them bare would install whatever somebody puts there."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from attention_grading import __version__
from support.install_lines import found, install_lines
from support.lock import constraints
from support.places import ROOT

FOLDERS = {".": "attention-lab", "grading": "attention-grading"}
NOT_LOCKED = {"flash-attn": {"2.8.3.post2"}, "pip": {"26"}}  # PyPI's, and no part of the course
OPTIONS = {
    "--constraint=constraints.txt", "--index-url=https://download.pytorch.org/whl/cpu", "--no-binary=flash-attn",
    "--no-build-isolation", "--no-cache-dir", "--no-deps", "--quiet", "--torch-backend=cpu", "--upgrade",
    "--wheel-dir=build/dist", "$(TORCH_INDEX)",
}  # fmt: skip
# What is filled in later, and what by
FILLED = {
    ("docs/grading_a_class.md", "PACKAGE"),  # the reader
    ("src/attention_lab/environment/packages.py", "{arguments}"),  # packages of OLDEST and what they import
    ("src/attention_lab/models/extra.py", "{install}"),  # the extra `models`: a test compares
    ("grading/src/attention_grading/cli.py", "-e={grading}"),  # grading, with the extra that is missing: a test asks
}


def extras(package: str) -> set[str]:
    folder = next(name for name, its in FOLDERS.items() if its == package)
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def ours(word: str) -> str | None:
    """Which of the two a word installs, from the checkout or from a wheel; ``None`` where it is neither.

    Raises:
        ValueError: There is no such extra.
    """
    match = re.fullmatch(r"(?P<what>[^\[\]]+)(?:\[(?P<extras>[\w,]+)\])?", word)
    if not match:
        return None
    package = None
    for folder, name in FOLDERS.items():
        wheel = f"{name.replace('-', '_')}-{__version__}-py3-none-any.whl"
        # pip takes a bare `grading` for a name of its index, but after -e
        paths = {f"-e={folder}", f"-e=./{folder}", f"./{folder}" if folder != "." else ".", wheel, f"./{wheel}"}
        package = name if match["what"] in paths else package
    if package and (unknown := set((match["extras"] or "").split(",")) - extras(package) - {""}):
        raise ValueError(f"{package} has no extra {', '.join(unknown)}")
    return package


def wrong(place: str, words: list[str]) -> list[str]:
    """What is wrong with an install line."""
    brought, problems, known = set(), [], constraints() | NOT_LOCKED
    for word in words:
        if word in OPTIONS or (place, word) in FILLED:
            continue
        try:
            package = ours(word)
            name = canonicalize_name(Requirement(word).name) if not package else None
        except ValueError as error:
            problems.append(f"{word}: {error}")
            continue
        if package:
            brought.add(package)
        elif name not in known:
            problems.append(f"{word} is no package of the lock")
        elif not any(map(Requirement(word).specifier.contains, known[name])):
            problems.append(f"{word} is not the locked version")
    if brought == {"attention-grading"}:
        problems.append("the grader alone would take the kit from the index")
    return problems


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pip install 'attention-grading[cluster]'", "no package of the lock"),
        ("so `uv pip install attention_lab` does", "no package of the lock"),
        ("pip install grading", "no package of the lock"),
        ('.venv/bin/pip install -e "grading[cluster]" && x', "would take the kit from the index"),
        ('pip install -e . -e "grading[clusters]"', "has no extra clusters"),
        ("pip install torch==2.12.0", "is not the locked version"),
        ("pip install --extra-index-url https://example.invalid torch", "--extra-index-url"),
        ("pip install attention_lab-0.0.9-py3-none-any.whl", "is no package of the lock"),
    ],
)
def test_line_that_names_what_nobody_holds_is_found(line, says):
    (words,) = install_lines(line)
    assert says in "; ".join(wrong("README.md", words))


def test_each_install_line_takes_the_checkout_the_wheels_or_what_the_lock_names():
    lines = found()
    assert len({place for place, _ in lines}) >= 8
    assert {(place, word) for place, words in lines for word in words} >= FILLED
    assert {f"{place}: {problem}" for place, words in lines for problem in wrong(place, words)} == set()
