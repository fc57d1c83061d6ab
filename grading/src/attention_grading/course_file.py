"""The course's own address: ``course.toml``, and the placeholders that it fills."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class CourseFile:
    """What ``course.toml`` says.

    Attributes:
        name: The course's name.
        repository: ``owner/name`` on GitHub.
        tag: The release that badges, links and the install line point to.
    """

    name: str
    repository: str
    tag: str

    def link(self, path: str) -> str:
        """Absolute address of a file of the course."""
        return f"https://github.com/{self.repository}/blob/{self.tag}/{path}"

    @property
    def colab(self) -> str:
        """Where Colab opens the course's files: a file's path follows."""
        return f"https://colab.research.google.com/github/{self.repository}/blob/{self.tag}/"

    def badge(self, stem: str) -> str:
        """Markdown of the Colab badge that opens a released notebook."""
        return f"[Open in Colab]({self.colab}release/{stem}/{stem}.ipynb)"

    @property
    def kit(self) -> str:
        """What pip installs the learner kit from."""
        return f"attention-lab @ git+https://github.com/{self.repository}@{self.tag}"


def read_course(root: Path) -> CourseFile:
    """Read ``course.toml`` in the course root.

    Raises:
        ValueError: The file is missing, no TOML, or lacks a field; the message says which.
    """
    path = root / "course.toml"
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))["course"]
        return CourseFile(fields["name"], fields["repository"], fields["tag"])
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: it names the course, its repository and its tag") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} wants a table [course] with name, repository and tag; problem: {error}") from error


def fill_placeholders(nb: NotebookNode, stem: str, course: CourseFile) -> NotebookNode:
    """Fill ``{{course}}``, ``{{badge}}``, ``{{kit}}`` and ``{{link:PATH}}`` in the instructor's locked cells.

    Learners' cells stay as they are: two braces mean something else in an f-string.

    Raises:
        ValueError: A placeholder is unknown.
    """
    plain = {"course": course.name, "badge": course.badge(stem), "kit": course.kit}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name.startswith("link:"):
            return course.link(name.removeprefix("link:"))
        if name not in plain:
            raise ValueError(f"unknown placeholder {match.group(0)} in {stem}; known: {', '.join(plain)}, link:PATH")
        return plain[name]

    for cell in nb.cells:
        if cell.metadata.get("nbgrader", {}).get("locked"):
            cell.source = re.sub(r"\{\{([a-z]+(?::[^{}]*)?)\}\}", fill, cell.source)
    return nb


class CourseProblem(RuntimeError):
    """Grading cannot start here; the message says why, and what to do."""
