"""Time attention kernels on this machine's GPU, or record what was timed.

    python benchmarks/kernels.py --out kernels.json [--seconds 400]     run it again until it says that all is there
    python benchmarks/kernels.py --record kernels.json                  figures, tables, and what lesson L1 shows

Each function is timed as a learner writes it, from ``[..., hidden_dim]`` to ``[..., hidden_dim]``, in bf16, at a
constant number of tokens. Every row is written as soon as it is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor

from attention_lab.environment.packages import version_of
from attention_lab.flash import route as routes
from attention_lab.inputs import running_sum

TOKENS = 16384
HIDDEN_DIM = 2048
SEQUENCES = (512, 1024, 2048, 4096, 8192, 16384)
HEAD_DIMS = (64, 128)
PADDED_SEQ = 2048
PADDINGS = (0.25, 0.5, 0.75)
RECORDED = Path(__file__).parents[1] / "src/attention_lab/data/kernels.json"
PASSES = ("forward", "forward+backward")
KERNELS = ("flash-attn", "varlen_attn", "sdpa", "eager")
SAMPLES, SECONDS_A_ROW = 50, 0.6


@dataclass(frozen=True)
class Setting:
    """What is timed.

    Attributes:
        kernel: One of ``KERNELS``.
        passes: ``forward`` or ``forward+backward``.
        causal: Whether query i sees only keys j <= i.
        head_dim: Size of one head; hidden_dim stays the same.
        seq: Length of the padded sequences.
        batch: Number of sequences; ``batch * seq`` stays the same.
        padding: Share of the padded batch that is padding. The packed kernels get the real tokens alone.
    """

    kernel: str
    passes: str
    causal: bool
    head_dim: int
    seq: int
    batch: int
    padding: float

    @property
    def num_heads(self) -> int:
        return HIDDEN_DIM // self.head_dim

    @property
    def lengths(self) -> list[int]:
        """Real tokens of each sequence: evenly spread around their mean, the longest fills the row."""
        if self.padding == 0:
            return [self.seq] * self.batch
        mean = (1 - self.padding) * self.seq
        reach = min(self.seq - mean, mean - 1)
        return [round(mean + reach * (2 * i / (self.batch - 1) - 1)) for i in range(self.batch)]

    @property
    def flops(self) -> float:
        """Floating-point operations that the real tokens need: two matrix products forward, five more backward.

        Source of the count: the FlashAttention-2 paper, section 4.1.
        """
        pairs = sum(length * length for length in self.lengths) / (2 if self.causal else 1)
        forward = 4 * pairs * HIDDEN_DIM
        return forward * (3.5 if self.passes == "forward+backward" else 1)


def settings() -> Iterator[Setting]:
    """All that is timed; what takes long comes last."""
    for kernel in KERNELS:
        for seq, head_dim, causal, passes in product(SEQUENCES, HEAD_DIMS, (False, True), PASSES):
            yield Setting(kernel, passes, causal, head_dim, seq, TOKENS // seq, 0.0)
        for padding, causal, passes in product(PADDINGS, (False, True), PASSES):
            yield Setting(kernel, passes, causal, 128, PADDED_SEQ, TOKENS // PADDED_SEQ, padding)


# ---- the functions ---------------------------------------------------------------------------------------------------


def padded_heads(setting: Setting, *tensors: Tensor) -> Iterator[Tensor]:
    """``[batch, seq, hidden_dim]`` to ``[batch, num_heads, seq, head_dim]``."""
    return (x.unflatten(-1, (setting.num_heads, setting.head_dim)).transpose(1, 2) for x in tensors)


def eager(setting: Setting, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    q, k, v = padded_heads(setting, q, k, v)
    scores = q @ k.transpose(-2, -1) / setting.head_dim**0.5
    allowed = visible(setting, q, mask)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(-2)


def sdpa(setting: Setting, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    q, k, v = padded_heads(setting, q, k, v)
    how = {"is_causal": setting.causal} if mask is None else {"attn_mask": visible(setting, q, mask)}
    return F.scaled_dot_product_attention(q, k, v, **how).transpose(1, 2).flatten(-2)


def visible(setting: Setting, q: Tensor, mask: Tensor | None) -> Tensor | None:
    """bool, broadcastable to ``[batch, num_heads, seq, seq]``."""
    allowed = None if mask is None else mask[:, None, None, :]
    if setting.causal:
        triangle = torch.ones(setting.seq, setting.seq, dtype=torch.bool, device=q.device).tril()
        allowed = triangle if allowed is None else allowed & triangle
    return allowed


def flash(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The packed function over a kernel with flash-attn's signature."""

    def attend(setting: Setting, q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor) -> Tensor:
        q, k, v = (x.unflatten(-1, (setting.num_heads, setting.head_dim)) for x in (q, k, v))
        longest = max(setting.lengths)
        return kernel(q, k, v, cu_seqlens, cu_seqlens, longest, longest, causal=setting.causal).flatten(-2)

    return attend


def functions() -> dict[str, Callable[..., Tensor] | str]:
    """The function behind each kernel's name, or why it cannot be timed here."""
    flash_attn = routes.working(routes._flash_attn)
    varlen_attn = routes.working(routes._varlen_attn, signature=routes._adapted)
    return {
        "eager": eager,
        "sdpa": sdpa,
        "flash-attn": flash(flash_attn) if callable(flash_attn) else f"{flash_attn}",
        "varlen_attn": flash(routes._adapted(varlen_attn)) if callable(varlen_attn) else f"{varlen_attn}",
    }


# ---- timing ----------------------------------------------------------------------------------------------------------


def measure(setting: Setting, function: Callable[..., Tensor]) -> dict[str, Any]:
    """Median, tenth and ninetieth percentile in milliseconds, TFLOP/s, and memory beyond the inputs.

    Raises:
        torch.OutOfMemoryError: The GPU has too little memory for it.
    """
    inputs, last = inputs_of(setting)
    backward = setting.passes == "forward+backward"
    cotangent = torch.randn_like(inputs[0]) if backward else None
    for x in inputs:
        x.requires_grad_(backward)

    def run() -> None:
        with torch.set_grad_enabled(backward):
            output = function(setting, *inputs, last)
            if backward:
                torch.autograd.grad(output, inputs, cotangent)

    run()  # warm
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() - before
    times = timed(run)
    return times | {"tflops": setting.flops / times["ms"] / 1e9, "peak_mb": peak / 1e6}


def timed(run: Callable[[], Any]) -> dict[str, float]:
    """The GPU's time for a call."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    samples, begin = [], time.perf_counter()
    while len(samples) < 5 or (len(samples) < SAMPLES and time.perf_counter() - begin < SECONDS_A_ROW):
        samples.append(elapsed(run))
    return spread("ms", samples)


def spread(name: str, samples: Sequence[float]) -> dict[str, float]:
    """Median and the tenth and ninetieth percentile."""
    low, median, high = torch.tensor(samples).double().quantile(torch.tensor([0.1, 0.5, 0.9]).double()).tolist()
    return {name: median, f"{name}_low": low, f"{name}_high": high}


def elapsed(run: Callable[[], Any]) -> float:
    """Milliseconds between two events around one call."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    # about two milliseconds of waiting before it, so that all of the call is queued before the GPU gets to it
    torch.cuda._sleep(4_000_000)
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def inputs_of(setting: Setting) -> tuple[list[Tensor], Tensor | None]:
    """q, k, v and the last argument: the mask, or ``None`` without padding; for the packed kernels the borders."""
    torch.manual_seed(0)
    packed = setting.kernel in ("flash-attn", "varlen_attn")
    tokens = (sum(setting.lengths),) if packed else (setting.batch, setting.seq)
    inputs = [torch.randn(*tokens, HIDDEN_DIM, dtype=torch.bfloat16, device="cuda") for _ in range(3)]
    if packed:
        return inputs, running_sum(setting.lengths, "cuda")
    lengths = torch.tensor(setting.lengths, device="cuda")
    return inputs, None if setting.padding == 0 else torch.arange(setting.seq, device="cuda") < lengths[:, None]


def matrix_rate(size: int = 8192) -> float:
    """TFLOP/s of a bf16 matrix product on random numbers."""
    a, b = (torch.randn(size, size, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    return 2 * size**3 / timed(lambda: a @ b)["ms"] / 1e9


def wrapper_cost(seq: int, rounds: int = 300) -> dict[str, float]:
    """``varlen_attn`` directly and behind flash-attn's signature, in turns: from call to result, nothing hidden."""
    direct = routes._varlen_attn()
    wrapped = routes._adapted(direct)
    setting = Setting("varlen_attn", "forward", True, 128, seq, TOKENS // seq, 0.0)
    (q, k, v), borders = inputs_of(setting)
    q, k, v = (x.unflatten(-1, (setting.num_heads, setting.head_dim)) for x in (q, k, v))
    calls = {
        "direct": lambda: direct(q, k, v, borders, borders, seq, seq, scale=128**-0.5, window_size=(-1, 0)),
        "wrapped": lambda: wrapped(q, k, v, borders, borders, seq, seq, causal=True),
    }
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 5):
        for name, call in calls.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            call()
            torch.cuda.synchronize()
            if number >= 5:
                samples[name].append(1e3 * (time.perf_counter() - start))
    row = {"seq": seq} | spread("direct_ms", samples["direct"]) | spread("wrapped_ms", samples["wrapped"])
    return row | {"ratio": row["wrapped_ms"] / row["direct_ms"]}


# ---- the run ---------------------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """What was timed."""
    flash_attn = version_of("flash-attn") or "none"
    return {"torch": torch.__version__, "cuda": torch.version.cuda or "none", "flash-attn": flash_attn}


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What identifies a row."""
    return tuple(row[name] for name in ("kernel", "pass", "causal", "head_dim", "seq", "batch", "padding"))


def run(out: Path, seconds: float, console: Console) -> bool:
    """Measure what ``out`` does not hold yet; returns whether all is there."""
    begin = time.monotonic()
    report = json.loads(out.read_text()) if out.exists() else {}
    if (report.get("machine"), report.get("versions")) != (torch.cuda.get_device_name(), versions()):
        report = {
            "machine": torch.cuda.get_device_name(),
            "versions": versions(),
            "matmul_tflops": matrix_rate(),
            "wrapper": [],
            "rows": [],
            "out_of_memory": [],
        }
    available = functions()
    for name, function in available.items():
        if isinstance(function, str):
            console.print(f"left out: {name}: {function}")
    for seq in (512, TOKENS) if callable(available["varlen_attn"]) else ():
        if seq not in [row["seq"] for row in report["wrapper"]]:
            report["wrapper"].append(wrapper_cost(seq))
            out.write_text(json.dumps(report))
    done = {key(row) for row in (*report["rows"], *report["out_of_memory"])}
    due = [s for s in settings() if callable(available[s.kernel]) and astuple(s) not in done]
    for setting in track(due, "timing", console=console):
        if time.monotonic() - begin > seconds:
            return False
        row = {"pass" if name == "passes" else name: value for name, value in asdict(setting).items()}
        try:
            report["rows"].append(row | measure(setting, available[setting.kernel]))
        except torch.OutOfMemoryError:
            report["out_of_memory"].append(row)
        torch.cuda.empty_cache()
        out.write_text(json.dumps(report))
    return True


def one_row_a_line(report: dict[str, Any]) -> str:
    """The report as JSON that a diff can be read of, with four digits of each measured number."""

    def rounded(value: Any) -> Any:
        return float(f"{value:.4g}") if isinstance(value, float) else value

    parts = []
    for name, value in report.items():
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            rows = ",\n".join("  " + json.dumps({key: rounded(x) for key, x in row.items()}) for row in value)
            parts.append(f'"{name}": [\n{rows}\n ]')
        else:
            parts.append(f'"{name}": {json.dumps(rounded(value))}')
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def main() -> int:
    """Measure or record; returns 0, or 3 where the time ended before the rows did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--out", type=Path, help="measure, and keep the rows in this file")
    mode.add_argument("--record", type=Path, help="draw figures and tables from this file, and keep it for lesson L1")
    parser.add_argument("--seconds", type=float, default=480, help="stop after so many (default: %(default)g)")
    options = parser.parse_args()
    console = Console(highlight=False)
    if options.record:
        from kernel_figures import write_all

        kept = one_row_a_line(json.loads(options.record.read_text()))
        write_all(json.loads(kept), Path(__file__).parent)
        RECORDED.parent.mkdir(exist_ok=True)
        RECORDED.write_text(kept)
        return 0
    if not torch.cuda.is_available():
        console.print("There is no CUDA GPU here; draw recorded rows with --record.")
        return 2
    complete = run(options.out, options.seconds, console)
    console.print(f"{'all' if complete else 'not yet all'} rows are in {options.out}")
    return 0 if complete else 3


if __name__ == "__main__":
    sys.exit(main())
