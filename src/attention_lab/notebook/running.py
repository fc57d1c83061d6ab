"""Find the notebook that is running: in Colab, VS Code, JupyterLab, or in the working directory."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from attention_lab.notebook.learner_cells import GRADED_IDS, NotJudgeable, grade_id_of, parse_notebook, read_text
from attention_lab.variants import Variant

Place = Literal["Colab", "VS Code", "JupyterLab", "folder"]
COLAB_SECONDS = 20


@dataclass(frozen=True)
class OwnNotebook:
    """The notebook that is running.

    Attributes:
        place: What it runs in.
        name: Its file name.
        content: Its JSON, from ``parse_notebook``.
        path: Where the file lies; ``None`` in Colab, whose notebooks are no files on the machine.
    """

    place: Place
    name: str
    content: dict[str, Any]
    path: Path | None


def find_own_notebook(variant: Variant) -> OwnNotebook | None:
    """Find the running notebook, or ``None`` where it cannot be seen from here.

    Raises:
        NotJudgeable: The file is there and is broken; the message says how.
    """
    if in_colab():
        return _in_colab(variant)
    for place, path in _named_paths(variant):
        if path.suffix == ".ipynb" and path.is_file():
            return OwnNotebook(place, path.name, parse_notebook(read_text(path)), path.resolve())
    return _renamed(variant)


def in_colab() -> bool:
    """Whether this kernel is one of Colab's."""
    return "google.colab" in sys.modules


def cells_that_ran() -> list[str]:
    """The texts of the cells that this kernel has run, in order; empty outside IPython."""
    history = getattr(_shell(), "history_manager", None)
    return list(getattr(history, "input_hist_raw", ()))


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _in_colab(variant: Variant) -> OwnNotebook | None:
    """Colab's page holds the notebook and tells it on request, unsaved changes included."""
    try:
        from google.colab import _message  # Colab's own, undocumented: anything may go wrong

        content = _message.blocking_request("get_ipynb", request="", timeout_sec=COLAB_SECONDS)["ipynb"]
        name = content.get("metadata", {}).get("colab", {}).get("name") or f"{variant.stem}.ipynb"
        return OwnNotebook("Colab", str(name), content, None) if isinstance(content.get("cells"), list) else None
    except Exception:
        return None


def _named_paths(variant: Variant) -> list[tuple[Place, Path]]:
    paths: list[tuple[Place, Path]] = []
    if named := getattr(_shell(), "user_ns", {}).get("__vsc_ipynb_file__"):
        paths.append(("VS Code", Path(named)))
    in_lab = os.environ.get("JPY_SESSION_NAME")  # the path when the kernel started: a renamed notebook is elsewhere
    if in_lab:
        paths.append(("JupyterLab", Path(in_lab)))
    paths.append(("JupyterLab" if in_lab else "folder", Path(f"{variant.stem}.ipynb")))
    return paths


def _renamed(variant: Variant) -> OwnNotebook | None:
    """The newest notebook in the working directory that has this course's cells and mentions the function."""
    for path in sorted(Path.cwd().glob("*.ipynb"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            text = read_text(path)
            content = parse_notebook(text)
        except NotJudgeable:
            continue
        if variant.function_name in text and set(GRADED_IDS) & {grade_id_of(cell) for cell in content["cells"]}:
            place: Place = "JupyterLab" if "JPY_SESSION_NAME" in os.environ else "folder"
            return OwnNotebook(place, path.name, content, path)
    return None
