"""Bring notebooks into their normal form, so that a one-line change is a one-line diff.

No outputs, no execution counts, a fixed kernel name, no editor's metadata, a folded setup cell, and each cell's id is
its ``grade_id``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from attention_lab.notebook.learner_cells import SETUP_ID

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# what a notebook's metadata may hold beside the kernel: Colab's wish for a GPU
KEPT_METADATA = ("accelerator", "colab")
KEPT_CELL_METADATA = ("nbgrader", "tags")


def main(arguments: list[str] | None = None) -> int:
    """Normalise notebooks in place; returns 0, or with ``--check`` 1 where one was not normal."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.authoring.normalise", description=__doc__)
    parser.add_argument("places", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--check", action="store_true", help="change nothing, name what is not normal")
    options = parser.parse_args(arguments)
    changed = [path for path in notebooks_in(options.places) if normalise_file(path, write=not options.check)]
    for path in changed:
        print(f"{'not normalised' if options.check else 'normalised'}: {path}")
    return 1 if options.check and changed else 0


def notebooks_in(places: list[Path]) -> list[Path]:
    """All notebooks in files and folders, without editors' checkpoints."""
    found = [path for place in places for path in (sorted(place.rglob("*.ipynb")) if place.is_dir() else [place])]
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def normalise_file(path: Path, *, write: bool = True) -> bool:
    """Normalise one file; returns whether it was not normal."""
    before = path.read_text(encoding="utf-8")
    after = normal_text(nbformat.reads(before, as_version=4))
    if write and after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def normal_text(notebook: NotebookNode) -> str:
    """The notebook's normal form as text."""
    normal = nbformat.from_dict(notebook)
    normal.nbformat, normal.nbformat_minor = 4, 5
    normal.metadata = {name: notebook.metadata[name] for name in KEPT_METADATA if name in notebook.metadata} | {
        "kernelspec": KERNELSPEC,
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(normal.cells):
        cell.metadata = {name: cell.metadata[name] for name in KEPT_CELL_METADATA if name in cell.metadata}
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id") or cell.get("id") or f"cell-{number}"
        if cell.id == SETUP_ID:  # twenty lines before the first sentence of the lesson: a click opens them
            cell.metadata["jupyter"] = {"source_hidden": True}
        cell.source = cell.source.rstrip()
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    text: str = nbformat.writes(nbformat.from_dict(normal))
    return text.rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.exit(main())
