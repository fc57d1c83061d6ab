"""The course's own address: ``course.toml``, and the placeholders that it fills."""

from __future__ import annotations

import posixpath
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

# The first lines of a setup cell, after "# ". They run where nothing of the course is installed, so they need none of
# it. While the kit is missing, each later cell ends in one sentence; a cell that calls pip, as this one, still runs.
INSTALL = """\
Imports what this notebook uses. Where the learner kit is missing, installs it first, and nothing else.
import glob, importlib.util, subprocess, sys
if importlib.util.find_spec("attention_lab") is None:
    kit = (ADDRESSES + sorted(glob.glob("attention_lab-*.whl")))[-1:]
    why = ["The learner kit is not installed for this Python, and its wheel does not lie beside this notebook."]
    if kit:
        print("Installing the learner kit from", *kit)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--retries=1", "--no-deps", *kit]
        lines = subprocess.run(pip, capture_output=True, encoding="utf-8", errors="replace").stderr.splitlines()
        told = [x for x in lines if "ERROR" in x] or [x for x in lines if "╰" in x] or lines or ["no reason given"]
        kind = {"HTTP error 404": "there is nothing at this address", "onnect": "the network is out of reach"}
        kind = [words for sign, words in kind.items() if sign in str(lines)] or ["pip failed"]
        why = [f"The learner kit could not be installed: {kind[0]}.", "pip: " + told[-1].strip("╰─> ")]
    if importlib.util.find_spec("attention_lab") is None:
        stop = ImportError(*why, "ADVICE Then run this cell again.")
        later = ImportError("The learner kit is not installed yet: run the notebook's first code cell again.")
        for each in (stop, later):  # sentences instead of stack traces
            each._render_traceback_ = lambda each=each: list(each.args)
        def runs(cell): return ("pip" in cell and "install" in cell) or importlib.util.find_spec("attention_lab")
        get_ipython().input_transformers_cleanup.append(lambda lines: lines if runs(str(lines)) else ["raise later"])
        raise stop"""
ADVICE = {
    True: "Go online, or put the kit's wheel, attention_lab-….whl, beside this notebook.",
    False: "Install it as the course's README says, or put its wheel, attention_lab-….whl, beside this notebook.",
}
# Where what students read is edited, and where `make release` puts it
_EDITED, _LESSONS = "notebooks/", "release/lessons/"


@dataclass(frozen=True)
class Published:
    """Where on GitHub the course can be read by everybody.

    Attributes:
        repository: ``owner/name``.
        tag: The release that badges, links and the install line point to.
    """

    repository: str
    tag: str

    @property
    def colab(self) -> str:
        """Where Colab opens the course's files: a file's path follows."""
        return f"https://colab.research.google.com/github/{self.repository}/blob/{self.tag}/"

    @property
    def kit(self) -> str:
        """What pip installs the learner kit from, with or without git."""
        return f"attention-lab @ https://github.com/{self.repository}/archive/refs/tags/{self.tag}.zip"


@dataclass(frozen=True)
class CourseFile:
    """What ``course.toml`` says.

    Attributes:
        name: The course's name.
        published: Where everybody can read it, or ``None``: then nothing that students get names an address.
    """

    name: str
    published: Published | None

    def link(self, path: str, folder: str) -> str:
        """The address of a file of the course, as it stands in a file that students get.

        Args:
            path: The file, from the course root, where it is edited.
            folder: Where the link stands once it is released, from the course root.

        Raises:
            ValueError: The course is not published, and the file lies beyond what students get.
        """
        released = released_path(path)
        if self.published:
            return f"https://github.com/{self.published.repository}/blob/{self.published.tag}/{released}"
        if not released.startswith("release/"):
            raise ValueError(f"a link in {folder} leads to {path}, which students do not get")
        return posixpath.relpath(released, folder)

    def badge(self, stem: str) -> str:
        """Markdown of the Colab badge that opens a released notebook; nothing where Colab finds none."""
        return f"[Open in Colab]({self.published.colab}release/{stem}/{stem}.ipynb)" if self.published else ""

    @property
    def install(self) -> str:
        """The setup cells' lines that install the kit, see ``INSTALL``."""
        addresses = f'["{self.published.kit}"]' if self.published else "[]"
        return INSTALL.replace("ADDRESSES", addresses).replace("ADVICE", ADVICE[self.published is not None])


# Pages besides START that students get, where they are edited
COPIED_PAGES = ("socratic_prompt.md", "docs/what_systems_call.md")


def released_path(path: str) -> str:
    """Where a file of the course lies for students: lessons, START, a page and the tutor's prompt are copied there."""
    if path.startswith(_EDITED):
        name = path.removeprefix(_EDITED)
        return f"{_LESSONS}{name}" if name.endswith(".ipynb") else f"release/{name}"
    return f"release/{posixpath.basename(path)}" if path in COPIED_PAGES else path


def read_course(root: Path) -> CourseFile:
    """Read ``course.toml`` in the course root.

    Raises:
        ValueError: The file is missing, no TOML, or not as it should be; the message says where.
    """
    path = root / "course.toml"
    try:
        return _course_of(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: it names the course, and where it is published") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} wants a table [course] with a name and, once the course is published, a table [published] "
            f'with repository = "OWNER/NAME" and a tag; problem: {error}'
        ) from error


def _course_of(tables: dict[str, dict[str, str]]) -> CourseFile:
    if unknown := [*tables.keys() - {"course", "published"}, *tables["course"].keys() - {"name"}]:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    published = Published(**tables["published"]) if "published" in tables else None
    if published and not re.fullmatch(r"[\w.-]+/[\w.-]+", published.repository):
        raise ValueError(f"{published.repository!r} is no OWNER/NAME")
    if published and not re.fullmatch(r"[\w.+-]+(/[\w.+-]+)*", published.tag):
        raise ValueError(f"{published.tag!r} is no tag")
    return CourseFile(tables["course"]["name"], published)


def fill_placeholders(nb: NotebookNode, stem: str, course: CourseFile) -> NotebookNode:
    """Fill ``{{course}}``, ``{{badge}}``, ``{{install}}`` and ``{{link:PATH}}`` in the instructor's locked cells.

    Learners' cells stay as they are: two braces mean something else in an f-string.

    Raises:
        ValueError: A placeholder is unknown, or a link leads nowhere.
    """
    plain = {"course": course.name, "badge": course.badge(stem), "install": course.install}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name.startswith("link:"):
            return course.link(name.removeprefix("link:"), f"release/{stem}")
        if name not in plain:
            raise ValueError(f"unknown placeholder {match.group(0)} in {stem}; known: {', '.join(plain)}, link:PATH")
        return plain[name]

    for cell in nb.cells:
        if cell.metadata.get("nbgrader", {}).get("locked"):
            source = cell.source if course.published else cell.source.replace("{{badge}}\n\n", "")
            cell.source = re.sub(r"\{\{([a-z]+(?::[^{}]*)?)\}\}", fill, source)
    return nb


class CourseProblem(RuntimeError):
    """Grading cannot start here; the message says why, and what to do."""
