"""Run a notebook's cells in a process apart and keep what they show: text and PNG, made harmless and capped."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from nbformat import NotebookNode
from nbformat.v4 import new_output
from torch import Tensor

from attention_grading.execution import frames
from attention_grading.execution.workers import NOTEBOOK_WORKER
from attention_grading.sandbox.limits import Limits, OutputLimits, memory_ceiling
from attention_grading.sandbox.processes import Watch, WorkerFailed, watched
from attention_grading.sandbox.warm_server import WarmServer
from attention_grading.text import plain


@dataclass
class Shown:
    """What running the cells gave.

    Attributes:
        outputs: One list a cell, in nbformat's terms; empty for cells that were not reached.
        ended: Why the run ended early, in words; empty where it did not.
    """

    outputs: list[list[NotebookNode]] = field(default_factory=list)
    ended: str = ""


class Display:
    """Runs one notebook at a time, in a child of a warm process.

    Args:
        limits: What one notebook may use.
        confined: Whether each child confines itself before it runs anything.
        output_limits: How much of the outputs is kept.
    """

    def __init__(self, limits: Limits, *, confined: bool, output_limits: OutputLimits | None = None):
        self._limits = limits
        self._output_limits = output_limits or OutputLimits()
        self._room = 2 * self._output_limits.pictures * self._output_limits.picture_bytes + 2**20  # bytes of pictures
        self._server = WarmServer(NOTEBOOK_WORKER, limits if confined else None)
        self._before: dict[tuple[str, ...], list[_Frame]] = {}

    def close(self) -> None:
        """End the warm process."""
        self._server.close()

    def run(self, cells: Sequence[str], before: int = 0) -> Shown:
        """Run cells in order; one that raises does not stop the others.

        Args:
            cells: Source of each.
            before: How many of the first are the instructor's, before any of the learner's. What they show is the same
                in every submission: it is drawn once, in a child that runs nothing else.

        Raises:
            WorkerFailed: The warm process would not start.
        """
        same = tuple(cells[:before])
        if same and same not in self._before:
            shown, came = self._run(same, [])
            if len(self._before) == MAX_NOTEBOOKS:
                self._before.clear()
            if not shown.ended:
                self._before[same] = came
        return self._run(cells, self._before.get(same, []))[0]

    def _run(self, cells: Sequence[str], known: Sequence[_Frame]) -> tuple[Shown, list[_Frame]]:
        """Run cells; of the first it is known what they show. Gives back what was shown, and the same as it came."""
        self._server.start()
        came: list[_Frame] = []
        shown = Shown([[] for _ in cells])
        keeper = _Keeper(self._output_limits)
        number, room, how = 0, self._room, ""
        seen = Watch()
        try:
            # what imports PyTorch's compiler at its first call has it imported once for all
            compiler = any("flex_attention" in cell for cell in cells)
            with self._server.child(compiler) as process, memory_ceiling(), watched(process, self._limits) as seen:
                frames.send(process.writer, {"cells": list(cells), "known": len(known)})
                for number in range(len(cells)):
                    header, pictures = frames.receive(process.reader, room)
                    room -= sum(picture.nbytes for picture in pictures.values())
                    header, pictures = known[number] if number < len(known) else (header, pictures)
                    came.append((header, pictures))
                    shown.outputs[number] = [
                        kept for output in header["outputs"] for kept in keeper.keep(output, pictures)
                    ]
        except EOFError:
            how = process.how_it_ended(self._limits)
        except (WorkerFailed, OSError):
            how = "lost the grader's warm process"
        except Exception as error:  # whatever it sent, the judge goes on
            how = plain(f"sent the grader something that is no output ({type(error).__name__}: {error})", 200)
        if how and cells:
            shown.ended = seen.hit or how
            shown.outputs[number] = [_note(f"This cell's process {shown.ended}; the cells below it did not run.\n")]
        return shown, came


_Frame = tuple[dict[str, Any], dict[str, Tensor]]  # what a cell shows, as its process describes it
MAX_NOTEBOOKS = 32  # of which it is kept


class _Keeper:
    """Takes outputs as long as there is room."""

    def __init__(self, limits: OutputLimits):
        self._limits = limits
        self._characters, self._pictures, self._outputs = limits.characters, limits.pictures, MAX_OUTPUTS
        self._told = False

    def keep(self, output: dict[str, Any], pictures: dict[str, Tensor]) -> list[NotebookNode]:
        """The output as nbformat has it, or nothing, or a note where the room ends here.

        Args:
            output: As the display process describes it.
            pictures: What it refers to, as bytes.
        """
        if self._outputs <= 0:
            return []
        kind = output["output_type"]
        if kind == "stream":
            text = self._text("".join(str(part) for part in output["text"]))
            kept = [new_output("stream", name=_one_of(output["name"], "stdout", "stderr"), text=text)] if text else []
        elif kind == "error":
            lines = [self._text(str(line)) for line in output["traceback"][:100]]
            kept = [
                new_output(
                    "error", ename=plain(output["ename"], 200), evalue=plain(output["evalue"], 2000), traceback=lines
                )
            ]
        else:
            kept = self._data(_one_of(kind, "display_data", "execute_result"), output, pictures)
        self._outputs -= 1
        if (self._characters > 0 and self._pictures > 0 and self._outputs > 0) or self._told:
            return kept
        self._told = True
        limits = self._limits
        return [
            *kept,
            _note(f"Output was cut: {limits.characters} characters and {limits.pictures} pictures are kept.\n"),
        ]

    def _text(self, text: str) -> str:
        text = plain(text, max(0, self._characters), lines=True) if self._characters > 0 else ""
        self._characters -= len(text)
        return text

    def _data(self, kind: str, output: dict[str, Any], pictures: dict[str, Tensor]) -> list[NotebookNode]:
        data, metadata = {}, {}
        if "text/plain" in output["data"] and (text := self._text(str(output["data"]["text/plain"]))):
            data["text/plain"] = text
        picture = pictures.get(str(output["data"].get("image/png")))
        if picture is not None and self._pictures > 0 and (png := self._png(picture)):
            self._pictures -= 1
            data["image/png"] = png
            if alt := plain(output.get("alt", ""), 600).translate(_NO_MARKUP):
                metadata["image/png"] = {"alt": alt}
        return [new_output(kind, data, metadata=metadata)] if data else []

    def _png(self, picture: Tensor) -> str:
        """The picture in base64; empty where it is no PNG or too large."""
        if picture.nbytes > self._limits.picture_bytes or picture.dtype != torch.uint8:
            return ""
        content = picture.numpy().tobytes()
        if not content.startswith(_PNG_START) or len(content) < 24:
            return ""
        width, height = struct.unpack(">II", content[16:24])  # a small file can hold a picture that fills a memory
        return base64.b64encode(content).decode() if 0 < width * height <= MAX_PIXELS else ""


_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
MAX_PIXELS = 20_000_000
MAX_OUTPUTS = 500  # of one notebook

# an attribute's value must not end the attribute
_NO_MARKUP = str.maketrans({"<": "‹", ">": "›", '"': "'", "&": "+"})


def _one_of(value: object, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"{plain(value, 40)} is none of {', '.join(allowed)}")
    return str(value)


def _note(text: str) -> NotebookNode:
    note: NotebookNode = new_output("stream", name="stdout", text=text)
    return note
