"""``make lab`` and ``make lab-instructor``: JupyterLab in the course root, as a student or as an instructor."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

# Both sit in nbgrader's one JupyterLab extension; Validate stays
INSTRUCTORS_PLUGINS = (
    "@jupyter/nbgrader:formgrader",
    "@jupyter/nbgrader:course-list",
    "@jupyter/nbgrader:create-assignment",
)
NEWS = "@jupyterlab/apputils-extension:announcements"


def main(arguments: list[str] | None = None) -> int:
    """Replace this process by JupyterLab."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.lab", description=__doc__)
    parser.add_argument("mode", choices=("student", "instructor"))
    options, rest = parser.parse_known_args(arguments)
    folder = Path("build") / f"lab-{options.mode}"
    write_page_config(folder / "labconfig", options.mode)
    environment = os.environ | {"JUPYTER_CONFIG_PATH": str(folder.resolve())}
    # nbgrader's extensions read nbgrader_config.py from the server's working directory: stay in the course root
    os.execve(sys.executable, [sys.executable, "-m", "jupyter", "lab", *rest], environment)


def write_page_config(folder: Path, mode: str) -> None:
    """Write what JupyterLab leaves out: the news popup, and for students what only instructors need."""
    disabled = [NEWS, *(INSTRUCTORS_PLUGINS if mode == "student" else ())]
    folder.mkdir(parents=True, exist_ok=True)
    content = {"disabledExtensions": dict.fromkeys(disabled, True)}
    (folder / "page_config.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
