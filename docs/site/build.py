"""``make site``: the course as a static site in ``build/site``, which a browser opens without a network.

Gathers the pages, runs the lessons, and has Sphinx write HTML. A link that leads nowhere ends it.
"""

from __future__ import annotations

import argparse
import inspect
import posixpath
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

import attention_lab
from attention_grading.course_file import Published, read_course
from attention_lab.notebook.learner_cells import SETUP_ID, SOLUTION_ID

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 300  # that one lesson may take on a busy machine

# Pages by their heading in the site's list of pages
PAGES = {
    "Students": (
        "release/START.md",
        "release/lessons/*.ipynb",
        "release/[0-9]*/*.ipynb",
        "release/what_systems_call.md",
    ),
    "Instructors": (
        "docs/teaching.md",
        "docs/grading_a_class.md",
        "docs/lms.md",
        "docs/running_a_course.md",
        "SECURITY.md",
    ),
    "The learner kit": ("api.md",),
    "The course itself": ("CONTRIBUTING.md", "docs/architecture.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md"),
}
# What pages lead to or show, and what is not in that list
BESIDE = ("release/socratic_prompt.md", "LICENSE", "docs/*.png", "docs/*.gif")

RUN = "```{note}\nTo make this page, the lesson was run with a right answer to every notebook.\n```"
EXPLORER = "```{note}\nThe explorer needs a running kernel: it moves in JupyterLab and Colab, not on this page.\n```"
# A link or a picture, up to its address
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def main() -> int:
    """Build the site; returns 0, or what Sphinx returns where it had something to complain about."""
    parser = argparse.ArgumentParser(prog="python docs/site/build.py", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "site", help="default: build/site")
    into = parser.parse_args().into.resolve()
    work = into.with_name(f"{into.name}-work")
    for folder in (into, work):
        shutil.rmtree(folder, ignore_errors=True)
    gather(work / "pages")
    run_lessons(work / "pages" / "release", work / "answers")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-d", str(work / "doctrees"), "-c", str(HERE)]
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", *options, str(work / "pages"), str(into)]
    status = subprocess.run(sphinx, check=False).returncode
    if status == 0:
        shutil.rmtree(work)
        print(f"wrote {into / 'index.html'}")
    return status


def gather(folder: Path) -> None:
    """Copy what the site shows into a folder, each file to its place in the repository, so that links stay right."""
    lists = {heading: [path for each in patterns for path in _find(each)] for heading, patterns in PAGES.items()}
    files = {"README.md", *(path for paths in lists.values() for path in paths)} - {"api.md"}
    files |= {path for each in BESIDE for path in _find(each)}
    published = read_course(ROOT).published
    for name in sorted(files):
        target = folder / ("index.md" if name == "README.md" else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".md"):
            text = at_home((ROOT / name).read_text(encoding="utf-8"), name, files, published)
            target.write_text(("---\norphan: true\n---\n" if name in BESIDE else "") + text, encoding="utf-8")
        elif name.endswith(".ipynb"):
            notebook = nbformat.read(ROOT / name, as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = at_home(cell.source, name, files, published)
                elif cell.id == SETUP_ID:
                    cell.metadata["tags"] = ["hide-input"]
            nbformat.write(notebook, target)
        else:
            shutil.copy(ROOT / name, target)
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.writelines(map(_list_of_pages, lists, lists.values()))
    (folder / "api.md").write_text(_api(), encoding="utf-8")


def _find(pattern: str) -> list[str]:
    """Paths that fit a pattern, from the repository's root; ``api.md`` is written here."""
    found = ["api.md"] if pattern == "api.md" else [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob(pattern))]
    if not found:
        raise FileNotFoundError(f"the site wants {pattern}, and there is no such file")
    return found


def at_home(text: str, name: str, files: set[str], published: Published | None) -> str:
    """A page's text with links that are right on the site.

    Links to the published course's own pages lead to the site's; links to files that are not on the site lead to the
    published course, or become plain text where there is none.

    Args:
        text: Markdown.
        name: Where it stands, from the repository's root.
        files: What the site has.
        published: The course's address.
    """
    here = posixpath.dirname(name)
    online = f"https://github.com/{published.repository}/blob/{published.tag}/" if published else ""
    if published:
        text = text.replace(f"]({online}", f"]({posixpath.relpath('.', here or '.')}/")

    def turned(link: re.Match[str]) -> str:
        mark, words, address, place = link.groups()
        path = posixpath.normpath(posixpath.join(here, address))
        if path in files:
            there = "index.md" if path == "README.md" else path
            return f"{mark}[{words}]({posixpath.relpath(there, here or '.')}{place or ''})"
        return f"{mark}[{words}]({online}{path}{place or ''})" if published else words

    return _LINK.sub(turned, text)


def _list_of_pages(heading: str, pages: list[str]) -> str:
    return f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n" + "\n".join(pages) + "\n```\n"


def _api() -> str:
    """The page of what notebooks import from the learner kit, from the docstrings of functions and classes."""
    names = {("attention_lab", name) for name in attention_lab.__all__}
    for path in sorted((ROOT / "release").glob("*/*.ipynb")):
        code = (cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        for module, imported in re.findall(r"^from (attention_lab[\w.]*) import (.+)$", "\n".join(code), re.M):
            names |= {(module, name.strip()) for name in imported.split(",")}
    parts = ["# What the learner kit has\n\nNotebooks import these; `attention-lab --help` lists the commands.\n"]
    for module in sorted({module for module, _ in names}):
        entries = [_entry(module, name) for of, name in sorted(names) if of == module]
        if any(entries):
            parts.append(f"## `{module}`\n\n```{{eval-rst}}\n{''.join(entries)}```\n")
    return "\n".join(parts)


def _entry(module: str, name: str) -> str:
    """Sphinx's words for a function or a class; nothing for a constant."""
    what = getattr(import_module(module), name)
    is_ours = (inspect.isclass(what) or inspect.isroutine(what)) and what.__module__.startswith("attention_lab")
    if not is_ours:  # PyTorch documents its own
        return ""
    kind, members = ("class", "   :members:\n") if inspect.isclass(what) else ("function", "")
    return f".. auto{kind}:: {module}.{name}\n{members}\n"


def run_lessons(release: Path, answers: Path) -> None:
    """Run the gathered lessons beside notebooks in which every function is written, and keep what they show.

    Args:
        release: What students get, as it is gathered; its lessons are written anew.
        answers: An empty place for notebooks with their solutions; nothing of it gets onto the site.
    """
    for path in release.glob("[0-9]*/*.ipynb"):
        solved = answers / path.parent.name / path.name
        solved.parent.mkdir(parents=True)
        nbformat.write(_solved(nbformat.read(path, as_version=4), path.stem), solved)
    (answers / "lessons").mkdir()
    for path in sorted((release / "lessons").glob("*.ipynb")):
        lesson = nbformat.read(path, as_version=4)
        NotebookClient(lesson, timeout=SECONDS, resources={"metadata": {"path": str(answers / "lessons")}}).execute()
        nbformat.write(_shown(lesson), path)
        print(f"ran {path.name}", flush=True)


def _solved(notebook: NotebookNode, stem: str) -> NotebookNode:
    source = nbformat.read(ROOT / "source" / stem / f"{stem}.ipynb", as_version=4)
    (solution,) = [cell.source for cell in source.cells if cell.id == SOLUTION_ID]
    for cell in notebook.cells:
        if cell.id == SOLUTION_ID:
            cell.source = solution
    return notebook


def _shown(lesson: NotebookNode) -> NotebookNode:
    """A lesson that was run, as its page: with a sentence on how, and another in place of what needs a kernel."""
    cells = [lesson.cells[0], new_markdown_cell(RUN, id="how-it-was-run")]
    for cell in lesson.cells[1:]:
        cells.append(cell)
        if any("widget-view" in kind for output in cell.get("outputs", ()) for kind in output.get("data", ())):
            cell.outputs = []
            cells.append(new_markdown_cell(EXPLORER, id=f"{cell.id}-needs-a-kernel"))
    lesson.cells = cells
    lesson.metadata.pop("widgets", None)
    return lesson


if __name__ == "__main__":
    sys.exit(main())
