"""Warm kernels: as good as ordinary ones, faster, each its own, and confined."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import KernelManager
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import KernelProvisionerFactory
from traitlets.config import Config

from attention_grading import provisioner
from attention_grading.provisioner import KernelNotWarm
from attention_lab.variants import VARIANTS

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from warm_kernels import WARM, grade, make_stock_course


@dataclass
class Kernel:
    """A kernel that runs."""

    manager: KernelManager
    client: BlockingKernelClient

    def run(self, code: str) -> dict[str, Any]:
        """Run code; gives its text, the kinds of what it displayed, and its error."""
        got: dict[str, Any] = {"text": "", "shown": [], "error": ""}

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                got["text"] += content["text"]
            elif message["msg_type"] in ("display_data", "execute_result"):
                got["shown"] += sorted(content["data"])
            elif message["msg_type"] == "error":
                got["error"] = f"{content['ename']}: {content['evalue']}"

        # else the next request, sent before the kernel is done with an error, is aborted
        self.client.execute_interactive(code, timeout=60, output_hook=take, stop_on_error=False)
        return got


@pytest.fixture(autouse=True)
def _chosen_by_name(monkeypatch):
    KernelProvisionerFactory.clear_instance()  # jupyter_client reads the name once in a process
    for name, value in WARM.items():
        monkeypatch.setenv(name, value)
    yield
    KernelProvisionerFactory.clear_instance()


@contextmanager
def kernel(**options: Any) -> Iterator[Kernel]:
    """A kernel, shut down at the end."""
    config = Config({"WarmProvisioner": options})
    manager = KernelManager(config=config)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def warm_pid() -> int:
    """The warm process of the confined kernels that these tests start."""
    (server,) = (server for (_, limits, _), server in provisioner._SERVERS.items() if limits is not None)
    return server.pid


def test_stock_nbgrader_gives_the_same_grades_and_outputs_in_a_fraction_of_the_processor_time(tmp_path):
    variant = VARIANTS["eager_causal"]
    make_stock_course(tmp_path, 3, variant)
    stock = grade(tmp_path, variant.stem, {"JUPYTER_DEFAULT_PROVISIONER_NAME": "local-provisioner"})
    warm = grade(tmp_path, variant.stem, WARM)
    right, wrong, blank = (warm.scores[f"student-000{number}"] for number in range(3))
    assert (right, blank) == (10, 0)
    assert 0 < wrong < 10
    assert warm.scores == stock.scores
    assert warm.outputs == stock.outputs
    shown = str(warm.outputs["student-0000"])
    assert "image/png" in shown
    assert "traceback" in str(warm.outputs["student-0002"])
    assert warm.processor < 0.75 * stock.processor  # with 3 submissions the warm process's own start still weighs


def test_every_kernel_has_random_numbers_of_its_own():
    code = "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(1).item())"
    drawn = []
    for _ in range(2):
        with kernel() as warm:
            drawn.append(warm.run(code)["text"].split())
    assert all(len(numbers) == 3 for numbers in drawn)
    assert all(first != second for first, second in zip(*drawn, strict=True))


def test_inline_backend_is_left_to_the_kernel_and_pictures_show_in_their_own_cell():
    with kernel() as warm:
        assert warm.run("import sys; print('matplotlib_inline.backend_inline' in sys.modules)")["text"] == "False\n"
        assert warm.run("import sys; print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)")["text"] == (
            "True True\n"
        )
        assert warm.run("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")["shown"] == ["image/png", "text/plain"]
        assert warm.run("plt.plot([2, 1]);")["shown"] == ["image/png", "text/plain"]


def test_next_kernel_starts_after_the_warm_process_was_killed():
    with kernel() as warm:
        assert warm.run("print(1)")["text"] == "1\n"
        first = warm_pid()
        os.kill(first, 9)
        deadline = time.monotonic() + 30
        while warm.manager.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not warm.manager.is_alive()
    with kernel() as warm:
        assert warm.run("print(2)")["text"] == "2\n"
        assert warm_pid() != first


def test_kernel_starts_at_once_after_the_warm_process_was_killed():
    with kernel():
        first = warm_pid()
    os.kill(first, 9)  # nobody has noticed yet
    with kernel() as warm:
        assert warm.run("print(3)")["text"] == "3\n"
        assert warm_pid() != first


def test_interrupt_ends_the_cell_and_not_the_kernel():
    with kernel() as warm:
        warm.client.execute("while True: pass", stop_on_error=False)
        while warm.client.get_iopub_msg(timeout=30)["msg_type"] != "execute_input":
            pass
        time.sleep(0.5)  # from the announcement to the loop itself
        warm.manager.interrupt_kernel()
        reply = warm.client.get_shell_msg(timeout=30)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert warm.run("print('here')")["text"] == "here\n"


def test_restart_gives_a_fresh_kernel_and_shutdown_leaves_nothing_behind():
    with kernel() as warm:
        warm.run("x = 1")
        before = warm.manager.provisioner.pid
        sockets = warm.manager.provisioner._sockets
        warm.manager.restart_kernel()
        warm.client.wait_for_ready(timeout=60)
        assert warm.run("x")["error"].startswith("NameError")
        assert warm.manager.provisioner.pid != before
        assert sockets.is_dir()
        last, parent = warm.manager.provisioner.pid, warm_pid()
    assert not sockets.exists()
    for pid in (before, last):
        with pytest.raises(ProcessLookupError):  # a zombie would still take signals
            os.kill(pid, 0)
    children = subprocess.run(["ps", "-o", "stat=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    assert "Z" not in children.stdout


def test_killed_kernel_is_seen_to_be_dead():
    with kernel() as warm:
        os.kill(warm.manager.provisioner.pid, 9)
        deadline = time.monotonic() + 10
        while warm.manager.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not warm.manager.is_alive()


FORBIDDEN = {
    "write a file": "open('/tmp/from-a-kernel', 'w')",
    "write into its own folder": "open('new.txt', 'w')",
    "read another folder": "open({secret!r}).read()",
    "list the folder above": "import os; os.listdir('..')",
    "call a UNIX socket": "import socket; socket.socket(socket.AF_UNIX).connect({listener!r})",
    "send to a UNIX socket": "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "open an internet socket": "import socket; socket.socket(socket.AF_INET)",
    "listen elsewhere": "import socket; socket.socket(socket.AF_UNIX).bind({elsewhere!r})",
    "fork": "import os; os.fork()",
    "start a program": "import subprocess; subprocess.run(['true'])",
    "signal the warm process": "import os; os.kill(os.getppid(), 0)",
    "read the reference": "open({reference!r}).read()",
}


@pytest.fixture(scope="module")
def confined(tmp_path_factory) -> Iterator[tuple[Kernel, dict[str, str]]]:
    """A confined kernel in a folder of its own, and the things that it may try to reach."""
    base = tmp_path_factory.mktemp("confined")
    (base / "own").mkdir()
    (base / "own" / "beside.txt").write_text("its own")
    (base / "secret.txt").write_text("secret")
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_SECRET", "of the environment")
        for name, value in WARM.items():
            patch.setenv(name, value)
        patch.chdir(base)
        listener.bind("listener")
        listener.listen()
        patch.chdir(base / "own")
        with kernel() as warm:
            yield (
                warm,
                {
                    "secret": str(base / "secret.txt"),
                    "listener": str(base / "listener"),
                    "elsewhere": str(base / "elsewhere"),
                    "reference": provisioner.__file__.replace("provisioner", "reference"),
                },
            )


@pytest.mark.parametrize("what", list(FORBIDDEN))
def test_confined_kernel_cannot(confined, what):
    warm, places = confined
    assert warm.run(FORBIDDEN[what].format(**places))["error"].startswith(("PermissionError", "OSError")), what


def test_confined_kernel_reads_its_own_folder_and_sees_no_secret_of_the_environment(confined):
    warm, _ = confined
    assert warm.run("print(open('beside.txt').read())")["text"] == "its own\n"
    assert warm.run("import os; print('A_SECRET' in os.environ)")["text"] == "False\n"


def test_unconfined_kernel_is_one_like_any_other(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SETTING", "of the user")
    with kernel(confined=False) as free:
        place = str(tmp_path / "new.txt")
        got = free.run(f"import os; open({place!r}, 'w').write(os.environ['A_SETTING'])\n!echo from a shell")
        assert got["error"] == ""
        assert "from a shell" in got["text"]
    assert (tmp_path / "new.txt").read_text() == "of the user"


def test_kernels_of_other_languages_are_refused_by_name_and_leave_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    manager = KernelManager()
    manager._kernel_spec = KernelSpec(argv=["R", "-e", "IRkernel::main()"], display_name="R", language="R")
    with pytest.raises(KernelNotWarm, match="the kernel 'R' is not started by"):
        manager.start_kernel()
    assert not list(tmp_path.glob("attention-kernel-*"))


def test_module_that_cannot_be_preloaded_is_named():
    with pytest.raises(KernelNotWarm, match="no_such_module"), kernel(preload=["no_such_module"]):
        pass
