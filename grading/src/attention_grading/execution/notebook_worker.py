"""What runs a notebook's cells for their outputs. What comes out is shown, and never graded.

``serve`` is what a warm process does with it: torch, matplotlib and IPython are imported, and each notebook gets a
forked child. It runs the cells in an IPython shell, as a kernel would, and sends each cell's outputs as one JSON frame
as soon as the cell is done. It needs no socket, no port and no folder of its own.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import socket
import sys
import tempfile
from functools import partial
from typing import IO, Any, cast

# before matplotlib is imported, as a kernel has it
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"

import matplotlib.pyplot  # noqa: F401 (so that children need not)
import torch
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from torch import Tensor
from traitlets import Type
from traitlets.config import Config

import attention_lab
from attention_grading.execution import frames, warm
from attention_lab import attention_heatmap, mask_heatmap, packed_batch, padded_batch
from attention_lab.notebook.python_lines import python_lines

# Characters and pictures of one notebook that are kept; the judge counts again
MAX_TEXT = 100_000
MAX_PICTURES = 40
MAX_ERRORS = 200


def serve(control: socket.socket, confined: bool) -> None:
    """Serve judges from a warm process until the last of them is gone.

    Args:
        control: The socket that they ask on.
        confined: Whether notebooks will run confined; it makes no difference here.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="attention-display-") as folder:
        shell = make_shell(folder)
        warm_up(shell)
        warm.lend(control, partial(serve_notebook, shell))


def warm_up(shell: RecordingShell) -> None:
    """Do once what every child would otherwise do itself: imports, a picture of each kind, and a traceback."""
    for door in attention_lab.__all__:
        getattr(attention_lab, door)
    for name, batch in (("eager_causal", padded_batch()), ("flash_causal", packed_batch())):
        sequences = [*batch.q.shape[:-2], batch.num_heads] if name == "eager_causal" else [batch.num_heads]
        tokens = batch.q.shape[-2]
        weights = torch.full((*sequences, tokens, tokens), 1 / tokens)
        for figure in (mask_heatmap(name, batch), attention_heatmap(name, batch, weights)):
            figure._repr_mimebundle_()
    for source in ("1 / 0", "1 + 1", "print('warm')"):
        shell.run_cell(source)
    shell.forget()


# ---- the shell -------------------------------------------------------------------------------------------------------


class OutputRecorder:
    """The outputs of the cell that runs, in nbformat's terms and in their order.

    Attributes:
        is_known: Whether the judge knows already what the cell shows.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start a notebook: nothing is kept yet, and there is room for all that it may show."""
        self.outputs: list[dict[str, Any]] = []
        self.pictures: dict[str, bytes] = {}
        self.is_known = False
        self._text, self._pictures, self._errors = MAX_TEXT, MAX_PICTURES, MAX_ERRORS

    def take(self) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """The outputs since the last call, and the pictures that they name, as bytes."""
        outputs, self.outputs = self.outputs, []
        pictures, self.pictures = self.pictures, {}
        if self.is_known:
            return [], {}
        return outputs, {name: torch.frombuffer(bytearray(png), dtype=torch.uint8) for name, png in pictures.items()}

    def stream(self, name: str, text: str) -> None:
        """Add what was printed; what is more than the notebook's share is dropped."""
        if self._text <= 0:
            return
        text = text[: self._text]
        self._text -= len(text)
        last = self.outputs[-1] if self.outputs else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"].append(text)
        else:
            self.outputs.append({"output_type": "stream", "name": name, "text": [text]})

    def data(self, kind: str, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Add a display or a result: text and PNG."""
        kept: dict[str, Any] = {}
        if isinstance(text := data.get("text/plain"), str) and self._text > 0:
            kept["text/plain"] = text[: self._text]
            self._text -= len(kept["text/plain"])
        picture = data.get("image/png")
        if isinstance(picture, str):
            picture = base64.b64decode(picture)
        if picture and self._pictures > 0:
            kept["image/png"] = f"{self._pictures}"
            self.pictures[f"{self._pictures}"] = bytes(picture)
            self._pictures -= 1
        if kept:
            about = metadata.get("image/png") if isinstance(metadata, dict) else None
            alt = about.get("alt") if isinstance(about, dict) else None
            self.outputs.append({"output_type": kind, "data": kept, "alt": alt if isinstance(alt, str) else ""})

    def error(self, kind: str, text: str, traceback: list[str]) -> None:
        """Add an exception."""
        if self._errors > 0:
            self._errors -= 1
            lines = [line[:2000] for line in traceback[:100]]
            self.outputs.append({"output_type": "error", "ename": kind, "evalue": text[:2000], "traceback": lines})


RECORDER = OutputRecorder()


class _Stream(io.TextIOBase):
    """Standard output or error of the cells."""

    encoding = "utf-8"

    def __init__(self, name: str):
        self._name = name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        RECORDER.stream(self._name, str(text))
        return len(text)


class _Publisher(DisplayPublisher):
    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: bool = False,
        **options: Any,
    ) -> None:
        RECORDER.data("display_data", data, metadata or {})

    def clear_output(self, wait: bool = False) -> None:
        RECORDER.take()


class _Hook(DisplayHook):
    def write_output_prompt(self) -> None:
        """A notebook has no prompts in its outputs."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        RECORDER.data("execute_result", format_dict, md_dict or {})


class _Formatter(DisplayFormatter):
    """Draws nothing while it is known what would come out."""

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        return ({}, {}) if RECORDER.is_known else super().format(obj, include=include, exclude=exclude)


class RecordingShell(InteractiveShell):
    """An IPython shell that records outputs instead of printing them."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        lines = stb if isinstance(stb, list) else [str(stb)]
        RECORDER.error(getattr(etype, "__name__", str(etype)), str(evalue), [str(line) for line in lines])

    def init_display_formatter(self) -> None:
        self.display_formatter = _Formatter(parent=self)
        self.configurables.append(cast(Any, self.display_formatter))

    def enable_gui(self, gui: Any = None) -> None:
        """There is no event loop to join."""

    def forget(self) -> None:
        """Take back what the warm-up left behind."""
        RECORDER.begin()
        self.reset(new_session=False)
        self.execution_count = 1


def make_shell(folder: str) -> RecordingShell:
    """The one shell of this process; its folders are empty ones, so that no user's settings come in."""
    os.environ["IPYTHONDIR"] = folder
    config = Config()
    config.HistoryManager.enabled = False  # its thread must not exist before the fork
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.autoindent = False
    shell = RecordingShell.instance(config=config)
    sys.stdout, sys.stderr = _Stream("stdout"), _Stream("stderr")
    return shell


# ---- one notebook ----------------------------------------------------------------------------------------------------


def serve_notebook(shell: RecordingShell, reader: IO[bytes], writer: IO[bytes]) -> None:
    """Run the cells of one notebook, and send the outputs of each as it ends."""
    request, _ = frames.receive(reader)
    for number, source in enumerate(request["cells"]):
        RECORDER.is_known = number < request["known"]
        try:
            shell.run_cell(python_lines(source), store_history=True)
        except BaseException as error:  # a submission that takes the shell apart
            RECORDER.error(type(error).__name__, str(error), [f"{type(error).__name__}: {error}"])
        if "matplotlib_inline.backend_inline" in sys.modules:
            _flush_figures(shell)
        outputs, pictures = RECORDER.take()
        frames.send(writer, {"type": "cell", "index": number, "outputs": outputs}, pictures)
    frames.send(writer, {"type": "done"})


def _flush_figures(shell: RecordingShell) -> None:
    """Show what pyplot still holds where the inline backend came too late to register itself for this cell."""
    try:
        sys.modules["matplotlib_inline.backend_inline"].flush_figures()
    except Exception as error:
        RECORDER.error(type(error).__name__, str(error), [f"{type(error).__name__}: {error}"])


assert importlib.util.find_spec("matplotlib_inline") is not None, "matplotlib-inline comes with ipykernel"
