"""Whether the address in ``course.toml`` is one that git knows: a wrong one would stand in every notebook."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import asdict
from pathlib import Path

from attention_grading.course_file import Published

_URLS = re.compile(r"(\[project\.urls\]\n)(?:.+\n)*")
ANYWAY = "To release for this address all the same: make release ANY_ADDRESS=1"


def require_fitting(course: Path, published: Published) -> None:
    """Hold repository and tag against git's remotes and tags; no network is asked.

    Raises:
        ValueError: No remote is this repository, or the tag was released for another address; the message says what to
            do.
    """
    urls = sorted({line.split()[1] for line in _git(course, "remote", "--verbose").splitlines()})
    if not any(_names(url, published.repository) for url in urls):
        known = f"git's remotes are {', '.join(urls)}" if urls else "git knows no remote here"
        raise ValueError(
            f"course.toml says that the course is published as {published.repository}, but {known}. Correct the "
            f"address there, or add it: git remote add origin https://github.com/{published.repository}. {ANYWAY}"
        )
    if not _git(course, "tag", "--list", published.tag):
        return  # it is set when this release has been committed
    tagged = tomllib.loads(_git(course, "show", f"{published.tag}:course.toml")).get("published")
    if tagged != asdict(published):
        raise ValueError(
            f"The tag {published.tag} is set already, on a release that does not name this address. "
            f"Choose a new tag in course.toml. {ANYWAY}"
        )


def next_steps(course: Path, published: Published) -> str:
    """What to do before the address works, where its tag is not set yet; else nothing."""
    if _git(course, "tag", "--list", published.tag):
        return ""
    return (
        f"The links lead nowhere until this release is tagged: commit it, then git tag {published.tag} and "
        f"git push REMOTE HEAD {published.tag}"
    )


def with_urls(pyproject: str, published: Published | None) -> str:
    """A ``pyproject.toml`` whose table ``[project.urls]`` says where the course is published; empty where nowhere."""
    home = f"https://github.com/{published.repository}" if published else ""
    pages = {"Repository": home, "Issues": f"{home}/issues", "Changelog": f"{home}/blob/HEAD/CHANGELOG.md"}
    lines = [f'{name} = "{address}"\n' for name, address in pages.items() if published]
    return _URLS.sub(lambda table: table.group(1) + "".join(lines), pyproject)


def _names(url: str, repository: str) -> bool:
    """Whether an address such as ``git@github.com:owner/name.git`` is this repository's."""
    return re.search(rf"[/:]{re.escape(repository)}(\.git)?/?$", url, re.IGNORECASE) is not None


def _git(course: Path, *arguments: str) -> str:
    """What git says; nothing where it fails or is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=course, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
