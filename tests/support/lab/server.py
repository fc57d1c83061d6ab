"""JupyterLab as ``make lab`` and ``make lab-instructor`` start it, for the browser tests."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 90
STOP_SECONDS = 20
# Outputs outside the window are empty unless every cell is drawn
SETTINGS = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}


@dataclass(frozen=True)
class LabServer:
    """A running JupyterLab.

    Attributes:
        root: The course root that it serves.
        address: Where it listens, with a slash at the end.
        token: What the first request must bring.
        log: What it prints.
    """

    root: Path
    address: str
    token: str
    log: Path


@contextmanager
def lab_server(root: Path, mode: str, home: Path, port: int | None = None) -> Iterator[LabServer]:
    """Start JupyterLab in a course root, with a home of its own; stop it and its kernels at the end.

    Args:
        root: The course root.
        mode: "student" or "instructor".
        home: An empty folder: nobody's own settings reach the tests.
        port: Where to listen; without it, where nobody listens now.
    """
    config, runtime, log = home / "config", home / "runtime", home / "lab.log"
    (config / "labconfig").mkdir(parents=True)
    (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    token = secrets.token_hex(16)
    module = {"student": ("attention_lab.cli", "start"), "instructor": ("attention_grading.authoring.lab",)}[mode]
    command = [sys.executable, "-m", *module, "--no-browser", "--allow-root"]
    command += [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port or free_port()}",
        f"--IdentityProvider.token={token}",
    ]
    command += ["--LabApp.expose_app_in_browser=True"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    environment |= {"HOME": str(home), "JUPYTER_CONFIG_PATH": str(config), "JUPYTER_RUNTIME_DIR": str(runtime)}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield LabServer(root, _address(process, runtime, log), token, log)
    finally:
        process.send_signal(signal.SIGTERM)  # it shuts its kernels down first
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _address(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Wait for the file that says where the server listens, since it took another port if its own was gone, and for
    an answer there: the file comes a moment earlier."""
    file = runtime / f"jpserver-{process.pid}.json"
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            port = json.loads(file.read_text())["port"]
            socket.create_connection(("127.0.0.1", port)).close()
            return f"http://127.0.0.1:{port}/"
        except (OSError, ValueError):  # not there yet, half written, not listening yet
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")
