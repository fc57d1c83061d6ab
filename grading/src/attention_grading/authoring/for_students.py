"""What students get besides the notebooks: the START page, the lessons and the tutor, where they find them."""

from __future__ import annotations

import posixpath
import re
from importlib import resources
from pathlib import Path

import nbformat

from attention_grading.authoring.normalise import normal_text
from attention_grading.course_file import CourseFile, Published, read_course, released_path

# What assistants read in the folder where a learner works: written in the root, where a fork may do without
FOR_ASSISTANTS = ("AGENTS.md", "CLAUDE.md", "GEMINI.md")

_LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


def pages(course: Path) -> dict[str, str]:
    """All of them, by the path from the course root where ``make release`` puts each.

    Raises:
        ValueError: ``course.toml`` is not right, or a link leads out of what students get.
    """
    known = read_course(course)
    here = CourseFile(known.name, None)  # who reads START or the prompt has the folder before them
    prompt = resources.files("attention_lab") / "data" / "socratic_prompt.md"
    texts = {released_path("socratic_prompt.md"): prompt.read_text(encoding="utf-8")}
    systems = "docs/what_systems_call.md"
    if (course / systems).exists():  # a fork may do without
        texts[released_path(systems)] = (course / systems).read_text(encoding="utf-8")
    for name in FOR_ASSISTANTS:
        if (course / name).exists():
            texts[f"release/{name}"] = (course / name).read_text(encoding="utf-8")
    start = (course / "notebooks" / "START.md").read_text(encoding="utf-8")
    texts[released_path("notebooks/START.md")] = _linked(start, here, "release").replace("{{course}}", known.name)
    for path in sorted((course / "notebooks").glob("*.ipynb")):
        texts[released_path(f"notebooks/{path.name}")] = _lesson(path, known)
    return texts


def _lesson(path: Path, course: CourseFile) -> str:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, course, "release/lessons")
        else:
            cell.source = cell.source.replace("{{install}}", course.install).replace('"../release"', '".."')
    return normal_text(notebook)


def _linked(text: str, course: CourseFile, folder: str) -> str:
    """Turn links that are right in ``notebooks/`` into links that are right where the text is released."""

    def turned(match: re.Match[str]) -> str:
        return f"]({course.link(posixpath.normpath(posixpath.join('notebooks', match.group(1))), folder)})"

    return _LINK.sub(turned, text)


_COLAB = re.compile(r"(<!-- colab[^>]*-->\n).*?(<!-- end of colab -->)", re.S)
_WITHOUT_ADDRESS = """\
**Colab.** The course is not published, so Colab cannot open it by a link. Upload the notebook, and beside it the
kit's wheel, which `make wheels` builds (the folder symbol on the left): the setup cell installs it from there."""
_WITH_ADDRESS = """\
**Colab.** Open a notebook by its link:
{links}.
The setup cell installs the learner kit and nothing else."""


def readme_with_address(readme: str, published: Published | None, stems: list[str]) -> str:
    """The README with the paragraph on Colab that is true today.

    Args:
        readme: Its text, with the marks between which the paragraph stands.
        published: Where the course is published.
        stems: The notebooks that Colab can open.
    """
    links = [f"[{stem}]({published.colab}release/{stem}/{stem}.ipynb)" for stem in stems] if published else []
    paragraph = _WITH_ADDRESS.format(links=",\n".join(links)) if links else _WITHOUT_ADDRESS
    return _COLAB.sub(lambda marks: f"{marks.group(1)}{paragraph}\n{marks.group(2)}", readme)
