"""``make lab-instructor``: JupyterLab in the course root, with Formgrader and Create Assignment.

Options go to JupyterLab: ``python -m attention_grading.authoring.lab --no-browser``.
"""

from __future__ import annotations

import os
import sys

from attention_lab.environment.start import NEWS, run_lab


def main(arguments: list[str] | None = None) -> int:
    """Run JupyterLab until it ends."""
    # nbgrader goes on with its own rules, unconfined, where nbgrader_config.py fails: then rather no Formgrader
    os.environ["TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR"] = "1"
    return run_lab((NEWS,), {"LabApp": {"default_url": "/lab"}}, {}, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
