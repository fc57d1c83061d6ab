"""Time and memory of the learner's functions, over the length of the sequences."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import matplotlib
import torch

from attention_lab.checks.calls import failure_of
from attention_lab.checks.intermediates import Meter
from attention_lab.checks.run import checked_on
from attention_lab.compare.curves import Curves, Point, draw_curves, handles, panels
from attention_lab.compare.functions import Functions, arguments_for, paired_batches
from attention_lab.flex import uncompiled
from attention_lab.maps.cells import LOOK
from attention_lab.maps.figure import NotebookFigure
from attention_lab.roles import as_called
from attention_lab.variants import VARIANTS, Variant

CPU_LENGTHS = (32, 64, 128, 256, 512)
GPU_LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
BATCH, HEADS, HEAD_DIM = 2, 4, 32
NOTHING = "Nothing to time yet: finish a notebook, then run this cell again."
_LEAST_RUNS, _MOST_RUNS, _SECONDS = 3, 20, 0.15  # of one function at one length


class Cost(NamedTuple):
    """What one call costs.

    Attributes:
        ms: Milliseconds, the median of several calls.
        ms_low: A quarter of the calls were faster.
        ms_high: A quarter of the calls were slower.
        peak_mb: Most megabytes of tensors that lived at once beside the inputs.
    """

    ms: float
    ms_low: float
    ms_high: float
    peak_mb: float


Costs = dict[str, dict[int, Cost]]


def measure(functions: Functions, device: str = "cpu", lengths: Sequence[int] | None = None) -> Costs:
    """Time each function's forward pass on full batches of several lengths.

    Args:
        functions: By variant.
        device: ``"cpu"`` or ``"cuda"``. On a GPU all run in fp16; on a CPU the padded ones run in fp32, where fp16
            is slow.
        lengths: Lengths of the sequences; fitting the device by default.

    Returns:
        By variant and length.
    """
    for name in functions:
        if device == "cpu" and not _runs_on_cpu(VARIANTS[name]):
            print(f"{name} is left out: its kernel runs on the GPU alone")
    functions = {name: f for name, f in functions.items() if device != "cpu" or _runs_on_cpu(VARIANTS[name])}
    costs: Costs = {}
    for length in lengths or (GPU_LENGTHS if device == "cuda" else CPU_LENGTHS):
        for name, cost in _costs_of_batch(functions, (length,) * BATCH, device).items():
            costs.setdefault(name, {})[length] = cost
    return costs


def ragged_costs(functions: Functions, lengths: Sequence[int], device: str = "cpu") -> str:
    """Time each function on one batch of ragged sequences, padded or packed as it wants it.

    Args:
        functions: By variant.
        lengths: Tokens of each sequence.
        device: ``"cpu"`` or ``"cuda"``.

    Returns:
        A table.
    """
    costs = _costs_of_batch(functions, lengths, device)
    if not costs:
        return NOTHING
    return "\n".join(
        f"{name:<20} {'packed' if VARIANTS[name].packed else 'padded':<7} {cost.ms:8.2f} ms {cost.peak_mb:8.2f} MB"
        for name, cost in costs.items()
    )


def _costs_of_batch(functions: Functions, lengths: Sequence[int], device: str) -> dict[str, Cost]:
    """Costs of the functions that run on this batch; the others are named."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    sizes: dict[str, Any] = {"num_heads": HEADS, "head_dim": HEAD_DIM, "device": device, "dtype": dtype}
    batches = paired_batches(lengths, **sizes)
    costs = {}
    for name, function in functions.items():
        arguments = arguments_for(VARIANTS[name], *batches)
        try:
            costs[name] = cost_of(partial(function, **as_called(arguments)), device)
        except Exception as error:  # the learner's own code: whatever it is, the others are still timed
            print(f"{name} stops at {max(lengths)} tokens on {device}: {failure_of(error)}")
    return costs


def cost_of(call: Callable[[], Any], device: str = "cpu") -> Cost:
    """Time a call and follow its memory; a CPU works with one core, however many it has."""
    with torch.no_grad(), uncompiled(), _one_core(device):
        peak = peak_bytes(call, device)  # the first call, which also warms up
        times: list[float] = []
        while len(times) < _LEAST_RUNS or (sum(times) < _SECONDS and len(times) < _MOST_RUNS):
            start = time.perf_counter()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    low, middle, high = statistics.quantiles([1000 * seconds for seconds in times], n=4, method="inclusive")
    return Cost(middle, low, high, peak / 1e6)


@contextlib.contextmanager
def _one_core(device: str) -> Iterator[None]:
    """On a CPU one thread: several wait for each other where the machine is busy, and would be what is timed."""
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def cost_figure(costs: Costs, where: str) -> NotebookFigure:
    """Draw time and memory over the sequences' length.

    Args:
        costs: From ``measure``.
        where: The device's name, for the title.

    Returns:
        The figure; its ``caption`` is its alternative text.

    Raises:
        ValueError: No function was measured.
    """
    if not costs:
        raise ValueError("there is nothing to draw: no function was measured")
    times, memory = ({name: _points(row, field) for name, row in costs.items()} for field in ("ms", "peak_mb"))
    longest = max(length for row in costs.values() for length in row)
    title = f"Time and memory of your functions on {where}"
    sentences = [f"At {longest} tokens: {_listed(times, 'ms')}.", f"Memory: {_listed(memory, 'MB')}."]
    row = {"time, forward": (0.12, 0.35), "memory beside the inputs": (0.63, 0.35)}
    with matplotlib.rc_context(LOOK):
        figure, (left, right) = panels(title, sentences, handles(list(costs)), 2.6, row)
        draw_curves(left, times, "tokens in a sequence", "milliseconds")
        draw_curves(right, memory, "tokens in a sequence", "megabytes at the peak")
    return figure


def _points(row: dict[int, Cost], field: str) -> list[Point]:
    if field == "ms":
        return [Point(length, cost.ms, cost.ms_low, cost.ms_high) for length, cost in row.items()]
    return [Point(length, cost.peak_mb, cost.peak_mb, cost.peak_mb) for length, cost in row.items()]


def _listed(curves: Curves, unit: str) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_three_digits(points[-1].y)} {unit}" for name, points in curves.items()
    )


def _runs_on_cpu(variant: Variant) -> bool:
    """FlexAttention does, wherever it is checked."""
    return variant.kernel == "flex" or checked_on(variant) == "cpu"


def _three_digits(x: float) -> str:
    """``8610.4`` to ``8,610``: rounded, without an exponent."""
    return f"{float(f'{x:.3g}'):,g}"


def peak_bytes(call: Callable[[], Any], device: str = "cpu") -> float:
    """Bytes of tensors at the peak of a call, beside what lived before."""
    if device == "cuda":
        call()  # libraries take their workspaces at the first call
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before)
    with Meter() as meter:
        call()
    return float(meter.seen().peak)
