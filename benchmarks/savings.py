"""Time what a sliding window and fewer key heads save on this machine's GPU, or record what was timed.

    python benchmarks/savings.py --out savings.json        a minute
    python benchmarks/savings.py --record savings.json     figures and tables

All in bf16, 16 heads of head_dim 128. A window: one causal sequence of 16,384 tokens. Key heads: such a sequence, and
eight new tokens, each with 16,384 keys and values in a cache.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from attention_lab.flash import route as routes
from attention_lab.inputs import running_sum
from kernels import PASSES, TOKENS, one_row_a_line, timed, versions

HEADS, HEAD_DIM, NEW = 16, 128, 8
WINDOWS = (256, 1024, 4096, TOKENS)
KEY_HEADS = (16, 8, 4, 2, 1)
KERNELS = ("flash-attn", "varlen_attn", "sdpa")
RECORDED = Path(__file__).with_name("savings.json")

What = Literal["window", "prefill", "decode"]
Attend = Callable[..., Tensor]


@dataclass(frozen=True)
class Setting:
    """What is timed.

    Attributes:
        what: ``window``; ``prefill``: fewer key heads, all tokens at once; ``decode``: fewer key heads, new tokens.
        kernel: One of ``KERNELS``.
        passes: ``forward`` or ``forward+backward``.
        size: Keys in the window, the query's own included, or the number of key heads.
    """

    what: What
    kernel: str
    passes: str
    size: int

    @property
    def key_heads(self) -> int:
        return HEADS if self.what == "window" else self.size

    @property
    def left(self) -> int:
        """How many keys before its own a query sees; -1 where it sees them all, as without a window."""
        return self.size - 1 if self.what == "window" and self.size < TOKENS else -1

    @property
    def queries(self) -> list[int]:
        """Of each sequence."""
        return [1] * NEW if self.what == "decode" else [TOKENS]

    @property
    def keys(self) -> list[int]:
        """Of each sequence."""
        return [TOKENS] * len(self.queries)


def settings() -> Iterator[Setting]:
    """All that is timed. SDPA's fused kernels have no window."""
    for kernel, window, passes in product(KERNELS[:2], WINDOWS, PASSES):
        yield Setting("window", kernel, passes, window)
    what: What
    for what in ("prefill", "decode"):
        for kernel, heads in product(KERNELS, KEY_HEADS):
            yield Setting(what, kernel, PASSES[0], heads)


# ---- the functions ---------------------------------------------------------------------------------------------------


def packed(kernel: Attend, setting: Setting, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A kernel with flash-attn's signature.

    Args:
        kernel: The kernel.
        setting: What is asked.
        q: Queries ``[all queries, heads, head_dim]``.
        k: Keys ``[all keys, key heads, head_dim]``.
        v: Values, same shape.
    """
    return kernel(q, k, v, *_borders(setting, q.device), window_size=(setting.left, 0))


def grouped(varlen_attn: Attend, setting: Setting, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's own, which reads each key head once for its group: behind flash-attn's signature it is copied first."""
    return varlen_attn(q, k, v, *_borders(setting, q.device), window_size=(setting.left, 0), enable_gqa=True)


def _borders(setting: Setting, device: torch.device) -> tuple[Any, ...]:
    both = (setting.queries, setting.keys)
    return (*(running_sum(lengths, device) for lengths in both), *map(max, both))


def sdpa(setting: Setting, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same tensors, a sequence an item; a single query needs no triangle."""
    batch = len(setting.queries)
    q, k, v = (x.unflatten(0, (batch, -1)).transpose(1, 2) for x in (q, k, v))
    output = F.scaled_dot_product_attention(q, k, v, is_causal=setting.what != "decode", enable_gqa=True)
    return output.transpose(1, 2).flatten(0, 1)


def function_for(setting: Setting, kernels: dict[str, Attend | Exception]) -> Attend | str:
    """The function that is timed, or why it cannot be timed here.

    Args:
        setting: What is asked.
        kernels: flash-attn's function and PyTorch's ``varlen_attn``, or why they do not run.
    """
    if setting.kernel == "sdpa":
        return partial(sdpa, setting)
    kernel = kernels[setting.kernel]
    if not callable(kernel):
        return f"{setting.kernel} does not run here: {kernel}"
    if setting.kernel == "flash-attn":
        return partial(packed, kernel, setting)
    wanted = "window_size" if setting.what == "window" else "enable_gqa"
    if wanted not in inspect.signature(kernel).parameters:
        return f"varlen_attn of PyTorch {torch.__version__} has no {wanted}"
    if setting.what == "window":
        return partial(packed, routes._adapted(kernel), setting)
    return partial(grouped, kernel, setting)


# ---- timing ----------------------------------------------------------------------------------------------------------


def inputs_of(setting: Setting, device: str) -> list[Tensor]:
    """q, k and v, packed, in bf16."""
    torch.manual_seed(0)
    shapes = [(sum(setting.queries), HEADS), *[(sum(setting.keys), setting.key_heads)] * 2]
    return [torch.randn(*shape, HEAD_DIM, dtype=torch.bfloat16, device=device) for shape in shapes]


def measure(setting: Setting, function: Attend) -> dict[str, float]:
    """Median, tenth and ninetieth percentile in milliseconds, and the megabytes of keys and values."""
    inputs = inputs_of(setting, "cuda")
    backward = setting.passes == PASSES[1]
    cotangent = torch.randn_like(inputs[0])
    for x in inputs:
        x.requires_grad_(backward)

    def run() -> None:
        with torch.set_grad_enabled(backward):
            output = function(*inputs)
            if backward:
                torch.autograd.grad(output, inputs, cotangent)

    kept = sum(x.numel() * x.element_size() for x in inputs[1:])
    return timed(run) | {"keys_and_values_mb": kept / 1e6}


def run(out: Path, console: Console) -> None:
    """Measure all that runs here; what does not is named, in the file too."""
    kernels: dict[str, Attend | Exception] = {
        "flash-attn": routes.working(routes._flash_attn),
        "varlen_attn": routes.working(routes._varlen_attn, signature=routes._adapted),
    }
    report: dict[str, Any] = {"machine": torch.cuda.get_device_name(), "versions": versions()}
    report |= {"left_out": [], "rows": []}
    for setting in settings():
        function = function_for(setting, kernels)
        if callable(function):
            report["rows"].append(asdict(setting) | measure(setting, function))
        elif function not in report["left_out"]:
            report["left_out"].append(function)
            console.print(f"left out: {function}", markup=False)
        torch.cuda.empty_cache()
    out.write_text(json.dumps(report))
    console.print(f"{len(report['rows'])} rows are in {out}")


def main() -> int:
    """Measure or record; returns 0, or 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--out", type=Path, help="measure, and write the rows to this file")
    mode.add_argument("--record", type=Path, help="draw figures and tables from this file, and keep it beside them")
    options = parser.parse_args()
    console = Console(highlight=False)
    if options.record:
        from saving_figures import write_all

        report = json.loads(options.record.read_text())
        kept = one_row_a_line(report)
        write_all(json.loads(kept), Path(__file__).parent)
        RECORDED.write_text(kept)
        return 0
    if not torch.cuda.is_available():
        console.print("There is no CUDA GPU here; draw recorded rows with --record.")
        return 2
    run(options.out, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
