"""Run submissions in worker processes, each within its time, and bring their outcomes back."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import IO, Any, Protocol

from torch import Tensor

from attention_grading.execution import codec, frames
from attention_grading.execution.denied import MAX_KEPT
from attention_grading.execution.workers import JUDGE_WORKER
from attention_grading.sandbox.limits import Limits, memory_ceiling
from attention_grading.sandbox.processes import (
    Interrupted,
    Process,
    Watch,
    WorkerFailed,
    fresh_process,
    watched,
)
from attention_grading.sandbox.warm_server import WarmServer
from attention_grading.text import plain
from attention_lab.checks.calls import Call, Failure, Outcome, missing_outcome
from attention_lab.notebook.learner_cells import defines


class KernelFactors(Protocol):
    """What answers the kernel requests of one submission: true results, in marked calls times factors of its own.

    Attributes:
        marks: What was marked since the last ``begin``: each number of a true result with its factor.
        keys: Most numbers of a k or v that SDPA was given since then.
    """

    marks: list[tuple[float, float]]
    keys: int

    def begin(self, marked: bool, inputs: Iterable[Any] = ()) -> None:
        """Start a new call."""

    def __call__(self, kernel: str, arguments: dict[str, Any]) -> Tensor:
        """A kernel's result."""


@dataclass(frozen=True)
class EncodedCalls:
    """The calls of a plan, encoded once for many submissions.

    Attributes:
        calls: The calls.
        frame: The same as bytes, from ``codec.encode_calls``.
        factors: Makes what answers a submission's kernel requests; one for each submission.
        compiler: Whether the function needs PyTorch's compiler, which is then imported once for all submissions.
    """

    calls: tuple[Call, ...]
    frame: bytes
    factors: Callable[[], KernelFactors]
    compiler: bool = False


@dataclass
class Run:
    """What running one submission gave.

    Attributes:
        outcomes: One a call; calls that were not reached have a failure that says why.
        notes: Cells that were skipped, and why.
        found: Whether the function was defined.
        denied: What its code tried and was denied, as it says itself.
        ended: Why the run ended early, in words; empty where it did not.
        raised: Indices of the cells that were skipped.
        is_short: Whether the function had too little memory, or too few threads, which other cells may have taken.
        cell: Index of the cell that ran last before the function was called; ``None`` once it may be called.
    """

    outcomes: list[Outcome | None]
    notes: list[str] = field(default_factory=list)
    found: bool = False
    denied: list[str] = field(default_factory=list)
    ended: str = ""
    raised: set[int] = field(default_factory=set)
    is_short: bool = False
    cell: int | None = None


class Supervisor:
    """Runs one submission at a time, in a child of a warm worker.

    Args:
        limits: What one submission may use.
        confined: Whether each child confines itself before it runs anything.
        device: ``"cpu"``, or ``"cuda"``: then every submission gets a fresh, unconfined process.
        warm: Whether to fork from a warm process; by default where the platform can.
    """

    def __init__(self, limits: Limits, *, confined: bool, device: str = "cpu", warm: bool | None = None):
        self._limits = limits
        self._device = device
        self.confined = confined
        self._server = None
        if (hasattr(os, "fork") and device == "cpu") if warm is None else warm:
            self._server = WarmServer(JUDGE_WORKER, limits if confined else None)
        elif confined:
            raise WorkerFailed(
                f"code on the device {device}, or on a platform without fork, runs in a fresh process that cannot be "
                "confined. For code that you trust, say --allow-unconfined "
                "(c.JudgingRules.allow_unconfined = True in nbgrader_config.py)"
            )

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the warm process, which tests its confinement.

        Raises:
            WorkerFailed: Confinement is not available here, or failed its self-test.
        """
        if self._server is not None:
            self._server.start()

    def close(self) -> None:
        """End the warm process."""
        if self._server is not None:
            self._server.close()

    def run(self, cells: Sequence[dict[str, str]], function: str, calls: EncodedCalls, name: str) -> Run:
        """Run one submission.

        Args:
            cells: Objects with ``id`` and ``source``, in order.
            function: Name of the function to judge.
            calls: What to call it with.
            name: ``__name__`` for the code.

        Raises:
            Interrupted: Something else than the submission ended the run.
        """
        kept, until = list(cells), time.monotonic() + self._limits.seconds
        left_out: list[str] = []
        rest: list[str] = []
        while True:
            others = {index for index in range(len(kept)) if _is_dispensable(kept, index, function)}
            run = self._try(kept, others, function, calls, name)
            cut = {run.cell} if run.ended else set()
            culprits = others & (cut | (run.raised if run.is_short else set()))
            if not culprits and not (others and run.is_short):
                run.notes = [*_the_first(left_out), *rest, *run.notes]
                return run
            if not culprits or time.monotonic() > until:
                culprits = others
                rest = ["your other cells take too much time, memory or threads: they were left out"]
            else:
                left_out += [_left_out(kept[index], run.ended) for index in sorted(culprits)]
            kept = [cell for index, cell in enumerate(kept) if index not in culprits]

    def _try(
        self, cells: Sequence[dict[str, str]], dispensable: set[int], function: str, calls: EncodedCalls, name: str
    ) -> Run:
        self.start()
        run = Run([None] * len(calls.calls))
        try:
            with self._process(calls.compiler) as process, memory_ceiling(), watched(process, self._limits) as seen:
                limited = dict.fromkeys(dispensable, self._limits.cell_seconds)
                begin = partial(_begin, run, seen, limited)
                _converse(run, process, cells, function, calls, name, begin, self.confined)
        except (WorkerFailed, OSError) as reason:  # the next try gets another process
            raise Interrupted(f"the grader's own process for it ended: {reason}") from reason
        if run.ended:
            process.require_own_end(seen, self._limits)
            run.ended = seen.hit or (process.how_it_ended(self._limits) if run.ended == _EARLY else run.ended)
            run.outcomes = [outcome or missing_outcome(run.ended) for outcome in run.outcomes]
        run.is_short = run.is_short or seen.crowded
        self._tell_the_memory_limit(run, calls.calls)
        return run

    def _tell_the_memory_limit(self, run: Run, calls: Sequence[Call]) -> None:
        """PyTorch and Python say that memory is short, but not why."""
        if not self.confined:
            return
        words = f" (a submission may use {self._limits.memory_bytes // 2**20} MB)"
        for call, outcome in zip(calls, run.outcomes, strict=True):
            if outcome is None or outcome.failure is None:
                continue
            failure = outcome.failure
            if not _OUT_OF_MEMORY.search(f"{failure.kind} {failure.text}"):
                continue
            if call.setting == SHORT_OF_MEMORY:
                outcome.failure = replace(failure, text=f"{failure.text} (here it may use {SHORT_BYTES // 2**20} MB)")
            else:
                outcome.failure = replace(failure, text=failure.text + words)
                run.is_short = True
        run.notes = [note + words if _OUT_OF_MEMORY.search(note) else note for note in run.notes]

    def _process(self, compiler: bool) -> contextlib.AbstractContextManager[Process]:
        return fresh_process(JUDGE_WORKER, self._device) if self._server is None else self._server.child(compiler)


# A call that has so much address space, all together, beyond what the process began with: two thirds of what all scores
# of its tokens would take. A right function, its imports and the calls before take some 25 MB, and with PyTorch's
# checkpoints, which import its compiler, some 100; where it is much more than usual, the learner's other cells may have
# taken it
SHORT_OF_MEMORY = "short of memory"
SHORT_BYTES = 150 * 2**20
USUAL_BYTES = 45 * 2**20

# Tensors that one submission may send, all together: a right function sends a hundredth of it
MAX_BYTES = 256 * 2**20
_EARLY = "ended early"
_MAX_LEFT_OUT = 5  # notes on cells that were left out
_OUT_OF_MEMORY = re.compile(r"MemoryError|not enough memory|[Cc]annot allocate memory|can't start new thread")


def _is_dispensable(cells: Sequence[dict[str, str]], index: int, function: str) -> bool:
    """Whether the function may be had without this cell."""
    return len(cells) > 1 and not defines(cells[index]["source"], function)


def _left_out(cell: dict[str, str], ended: str) -> str:
    first = plain(cell["source"].strip().partition("\n")[0], 60)
    why = ended or "took what your function needs"
    return f"cell {cell['id']} ({first}) {why} and was left out: your function does without it"


def _the_first(left_out: list[str]) -> list[str]:
    more = len(left_out) - _MAX_LEFT_OUT
    return [*left_out[:_MAX_LEFT_OUT], *([f"{more} more cells were left out in the same way"] if more > 0 else [])]


def _begin(run: Run, seen: Watch, seconds: dict[int, float], cell: int | None) -> None:
    """A cell begins, which may have a limit of its own; ``None``: the function's calls do."""
    run.cell = cell
    seen.begin_step(None if cell is None else seconds.get(cell))


def _converse(
    run: Run,
    process: Process,
    cells: Sequence[dict[str, str]],
    function: str,
    calls: EncodedCalls,
    name: str,
    begin: Callable[[int | None], None],
    confined: bool,
) -> None:
    """Send the submission, answer its kernel requests, and gather its outcomes until it ends."""
    service = calls.factors()
    begun, current, room = -1, -1, MAX_BYTES
    before, held = process.address_space(), 0
    try:
        frames.send(process.writer, {"type": "submission", "cells": list(cells), "function": function, "name": name})
        process.writer.write(calls.frame)
        process.writer.flush()
        while True:
            header, tensors = frames.receive(process.reader, room)
            room -= sum(tensor.nbytes for tensor in tensors.values())
            kind = header.get("type")
            said = header.get("denied", [])[: MAX_KEPT - len(run.denied)]
            run.denied += [plain(words, 300) for words in said]
            if kind == "cell" and begun < header["index"] < len(cells) and not run.found:
                begun = header["index"]
                begin(begun)
            elif kind == "loaded" and not run.found:
                begin(None)
                run.notes = [plain(note, 500) for note in header.get("notes", [])[:50]]
                run.raised = {int(index) for index in header.get("raised", [])[: len(cells)]}
                run.found = bool(header.get("found"))
                if not run.found:
                    return
            elif kind == "call" and header["index"] == current + 1 < len(run.outcomes):
                current += 1
                asked = calls.calls[current]
                service.begin(asked.setting == "marked", asked.arguments.values())
                if asked.setting == SHORT_OF_MEMORY:
                    held = process.address_space() - before
                    run.is_short = held > USUAL_BYTES
                    if confined:
                        process.limit_address_space(before + SHORT_BYTES)
                    frames.send(process.writer, {"type": "go"})
            elif kind == "kernel" and current >= 0:
                _answer(process.writer, service, header, tensors)
            elif kind == "outcome" and header["index"] == current:
                outcome = codec.outcome_of(header, tensors)
                outcome.changed = codec.changed_arguments(calls.calls[current], tensors)
                outcome.marks, outcome.keys = tuple(service.marks), service.keys
                if confined and calls.calls[current].setting == SHORT_OF_MEMORY and held > SHORT_BYTES:
                    # a limit does not take back what was mapped before
                    outcome.failure = Failure("MemoryError", f"{held // 2**20} MB were held before the call")
                run.outcomes[current] = outcome
            elif kind == "done":
                if None in run.outcomes:
                    raise frames.BrokenFrame("it said that it was done, and was not")
                return
            else:
                raise frames.BrokenFrame("an answer came that was not asked for")
    except (EOFError, OSError):
        run.ended = _EARLY
    except Exception as error:  # whatever it sent, the judge goes on
        run.cell = None  # no accident of a cell's
        run.ended = plain(f"sent the grader something that is no answer ({type(error).__name__}: {error})", 200)


def _answer(writer: IO[bytes], service: KernelFactors, header: dict[str, Any], tensors: dict[str, Any]) -> None:
    try:
        result = service(header["kernel"], header["arguments"] | tensors)
    except Exception as error:  # whatever the learner asked for, the judge goes on
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        frames.send(writer, {"type": "result", "refused": f"{kind}{error}"[:300]})
    else:
        frames.send(writer, {"type": "result"}, {"result": result})
