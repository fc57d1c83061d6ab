"""``attention-lab start``: JupyterLab on the course's START page, as students need it."""

from __future__ import annotations

import json
import os
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from attention_lab.environment.packages import MissingPackage, explain

PAGE = "START.md"
NEWS = "@jupyterlab/apputils-extension:announcements"
# nbgrader's one JupyterLab extension holds them all; Validate stays. The two lists show an exchange, which a learner's
# own machine has none of, and without them nbgrader's menu is empty.
INSTRUCTORS_PLUGINS = (
    "@jupyter/nbgrader:formgrader",
    "@jupyter/nbgrader:create-assignment",
    "@jupyter/nbgrader:course-list",
    "@jupyter/nbgrader:assignment-list",
    "@jupyter/nbgrader:menu",
)
# Validate's own words, "Success! Your notebook passes all the tests.", are fixed in nbgrader's extension
VALIDATE_CAVEAT = (
    "Validate ran the whole notebook afresh. It knows the visible checks alone: the hidden ones are judged when your "
    "notebook is graded, and this says nothing about them."
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


def start(folder: Path, options: Sequence[str] = ()) -> int:
    """Open JupyterLab where students work, on its START page, and wait for its end.

    Args:
        folder: The course's folder, or the one in it that students get.
        options: What JupyterLab is told besides, such as ``--no-browser``.

    Raises:
        ValueError: There is no START page; the message says what to do.
        MissingPackage: JupyterLab is not installed.
    """
    places = [place for place in (folder, folder / "release") if (place / PAGE).is_file()]
    if not places:
        raise ValueError(
            f"there is no {PAGE} in {folder.resolve()}, nor in a folder release/ there. "
            "Go to the course's folder, or name it: attention-lab start --folder FOLDER"
        )
    os.chdir(places[0])  # where terminals open
    server = {"ServerApp": {"root_dir": os.getcwd()}, "LabApp": {"default_url": f"/lab/tree/{PAGE}"}}
    # rendered, as it is to be read
    settings = {"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}}}
    return run_lab((NEWS, *INSTRUCTORS_PLUGINS), server, settings, options)


def run_lab(
    disabled: Sequence[str],
    server: Mapping[str, Mapping[str, object]],
    settings: Mapping[str, object],
    options: Sequence[str],
) -> int:
    """Run JupyterLab in this process until it ends, in this folder: Formgrader reads nbgrader's configuration there.

    Args:
        disabled: Its plugins that are left out.
        server: Its server's configuration.
        settings: Settings of its plugins; the user's own come before them.
        options: Its command line.

    Raises:
        MissingPackage: JupyterLab is not installed.
    """
    try:
        from jupyterlab.labapp import LabApp  # takes a second, and not everybody has it
    except ImportError as error:
        raise MissingPackage(" ".join(explain("jupyterlab", error))) from error
    with tempfile.TemporaryDirectory(prefix="attention-lab-") as folder:
        write_configuration(Path(folder), disabled, server, settings)
        # before the user's own configuration, which stays in force for everything else
        _put_first("JUPYTER_CONFIG_PATH", folder)
        # what is installed here is found by name in terminals and in a notebook's `!` commands
        _put_first("PATH", sysconfig.get_path("scripts"))
        LabApp.launch_instance(argv=list(options))
    return 0


def write_configuration(
    folder: Path,
    disabled: Sequence[str],
    server: Mapping[str, Mapping[str, object]],
    settings: Mapping[str, object],
) -> None:
    """Write a folder for ``JUPYTER_CONFIG_PATH``, see ``run_lab``; Validate's dialog says what it does not know."""
    app: dict[str, object] = {"tornado_settings": {"static_custom_path": [str(folder / "custom")]}}
    if os.name == "posix":
        app["terminado_settings"] = {"shell_command": [os.environ.get("SHELL") or "sh"]}  # a login shell resets PATH
    files = {
        "labconfig/page_config.json": _json({"disabledExtensions": dict.fromkeys(disabled, True)}),
        "labconfig/default_setting_overrides.json": _json(settings),
        "jupyter_server_config.json": _json(
            {"ServerApp": app | dict(server.get("ServerApp", {})), "LabApp": {"custom_css": True, **server["LabApp"]}}
        ),
        "custom/custom.css": CUSTOM_CSS,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _put_first(variable: str, value: str) -> None:
    os.environ[variable] = os.pathsep.join([value, *filter(None, [os.environ.get(variable)])])


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1) + "\n"
