"""Notebooks' cells as tests look at them: read, executed, and what stands below them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def cells_of(path: Path) -> dict[str, nbformat.NotebookNode]:
    return {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}


def executed(path: Path, *, allow_errors: bool) -> dict[str, nbformat.NotebookNode]:
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=120, allow_errors=allow_errors, resources=resources).execute()
    return {cell.id: cell for cell in notebook.cells}


def seconds(cell: nbformat.NotebookNode) -> float:
    times = cell.metadata.execution
    start, end = (datetime.fromisoformat(times[key]) for key in ("iopub.execute_input", "shell.execute_reply"))
    return (end - start).total_seconds()


def pictures(cell: nbformat.NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def stdout(cell: nbformat.NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def failed(cells: dict[str, nbformat.NotebookNode]) -> set[str]:
    """Ids of the cells that raised, but for the check of 06's ungraded exercise, which no right solution writes."""
    raised = {name for name, cell in cells.items() for out in cell.get("outputs", ()) if out.output_type == "error"}
    return raised - {"decoding-check"}
