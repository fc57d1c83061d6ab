"""``make lab`` and ``make lab-instructor``: JupyterLab in the course root, as a student or as an instructor.

Options after the mode go to JupyterLab: ``python -m attention_grading.authoring.lab student --no-browser``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

# nbgrader's one JupyterLab extension holds them all; Validate stays. The two lists show an exchange, which a learner's
# own machine has none of, and without them nbgrader's menu is empty.
INSTRUCTORS_PLUGINS = (
    "@jupyter/nbgrader:formgrader",
    "@jupyter/nbgrader:create-assignment",
    "@jupyter/nbgrader:course-list",
    "@jupyter/nbgrader:assignment-list",
    "@jupyter/nbgrader:menu",
)
NEWS = "@jupyterlab/apputils-extension:announcements"
START = {"student": "/lab/tree/release", "instructor": "/lab"}

# Validate's own words, "Success! Your notebook passes all the tests.", are fixed in nbgrader's extension
VALIDATE_CAVEAT = (
    "Validate runs the visible checks alone. The hidden ones are judged when your notebook is graded; "
    "this says nothing about them."
)
CUSTOM_CSS = f"""\
.jp-Dialog-body.validation-success::after,
.jp-Dialog-body.validation-failed::after {{
  content: {json.dumps(VALIDATE_CAVEAT)};
  display: block;
  max-width: 40em;
  margin-top: 1em;
}}
"""


def main(arguments: list[str] | None = None) -> int:
    """Replace this process by JupyterLab."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.authoring.lab", description=__doc__)
    parser.add_argument("mode", choices=tuple(START))
    options, rest = parser.parse_known_args(arguments)
    folder = (Path("build") / f"lab-{options.mode}").resolve()
    write_configuration(folder, options.mode)
    # before the user's own configuration, which stays in force for everything else
    paths = [str(folder), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    environment = os.environ | {"JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}
    if options.mode == "instructor":
        # nbgrader goes on with its own rules, unconfined, where nbgrader_config.py fails: then rather no Formgrader
        environment["TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR"] = "1"
    # nbgrader's extensions read nbgrader_config.py from the server's working directory: stay in the course root
    os.execve(sys.executable, [sys.executable, "-m", "jupyter", "lab", *rest], environment)


def write_configuration(folder: Path, mode: str) -> None:
    """Write a folder for ``JUPYTER_CONFIG_PATH``.

    It leaves out JupyterLab's news popup and, for students, what only instructors need; opens JupyterLab where the
    mode's work lies; and lets Validate's dialog say what Validate does not know.

    Args:
        folder: Made where it is missing.
        mode: "student" or "instructor".
    """
    disabled = [NEWS, *(INSTRUCTORS_PLUGINS if mode == "student" else ())]
    server = {
        "ServerApp": {"tornado_settings": {"static_custom_path": [str(folder / "custom")]}},
        "LabApp": {"custom_css": True, "default_url": START[mode]},
    }
    files = {
        "labconfig/page_config.json": _json({"disabledExtensions": dict.fromkeys(disabled, True)}),
        "jupyter_server_config.json": _json(server),
        "custom/custom.css": CUSTOM_CSS,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
