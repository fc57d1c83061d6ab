"""Figures and tables from the rows that ``kernels.py`` measured: one figure for each question a learner asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_lab.compare.curves import look
from readme import write_tables

matplotlib.use("Agg")

Row = dict[str, Any]

NAMES = {"eager": "eager", "sdpa": "SDPA", "varlen_attn": "varlen_attn", "flash-attn": "flash-attn"}
PASSES = ("forward", "forward+backward")
HEAD_DIM = 128


def write_all(report: dict[str, Any], folder: Path) -> None:
    """Write the figures to ``figures/`` and the tables into ``README.md``, both in the folder."""
    figures = {
        "kernels-time": time_figure(report),
        "kernels-memory": memory_figure(report),
        "kernels-padding": padding_figure(report),
        "kernels-sdpa": sdpa_figure(report),
    }
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png", dpi=110)
    write_tables(folder / "README.md", "kernels", tables(report))


def select(report: dict[str, Any], **wanted: Any) -> list[Row]:
    """The rows with these fields, in the order of sequence and padding."""
    rows = [row for row in report["rows"] if all(row[name.rstrip("_")] == value for name, value in wanted.items())]
    return sorted(rows, key=lambda row: (row["seq"], row["padding"]))


# ---- figures ---------------------------------------------------------------------------------------------------------


def time_figure(report: dict[str, Any]) -> Figure:
    """How does the time grow with the sequences?"""
    figure = _over_sequences(report, "How does the time grow with the sequences?", "ms")
    figure.axes[0].set_ylabel("milliseconds for 16 384 tokens")
    return figure


def memory_figure(report: dict[str, Any]) -> Figure:
    """How does the memory grow?"""
    figure = _over_sequences(report, "How does the memory grow with the sequences?", "peak_mb")
    figure.axes[0].set_ylabel("megabytes beyond the inputs, at the peak")
    for ax in figure.axes:
        place = {"transform": ax.transAxes, "ha": "center", "va": "bottom", "fontsize": 9}
        ax.text(0.5, 0.16, "the three fused kernels lie on one line", **place)
    return figure


def padding_figure(report: dict[str, Any]) -> Figure:
    """What does padding cost?"""
    subtitle = "causal, head_dim 128, 8 sequences padded to 2 048 tokens"
    figure = _curves(report, "What does padding cost?", subtitle, "padding", "ms", seq=2048)
    figure.axes[0].set_ylabel("milliseconds")
    figure.axes[1].legend(frameon=False, loc="lower left")
    for ax in figure.axes:
        _padding_axis(ax)
    return figure


def sdpa_figure(report: dict[str, Any]) -> Figure:
    """When is SDPA enough?"""
    subtitle = "time of SDPA, in times of flash-attn; head_dim 128. Below the line SDPA is faster"
    figure, axes = _panels(report, "When is SDPA enough?", subtitle)
    styles = {(True, PASSES[0]): "-o", (False, PASSES[0]): "--o", (True, PASSES[1]): "-s", (False, PASSES[1]): "--s"}
    for (causal, passes), style in styles.items():
        color = "#0072B2" if passes == PASSES[0] else "#E69F00"
        label = f"{'causal' if causal else 'bidirectional'}, {passes.replace('+', ' + ')}"
        fields = {"pass_": passes, "causal": causal, "head_dim": HEAD_DIM}
        axes[0].plot(*_ratios(report, "seq", padding=0.0, **fields), style, color=color, label=label)
        axes[1].plot(*_ratios(report, "padding", seq=2048, **fields), style, color=color)
    for ax in axes:
        ax.axhline(1, color="0.4", linewidth=1)
        ax.set_yscale("log")
        ax.set_yticks([0.5, 1, 2, 5, 10], ["½", "1", "2", "5", "10"])
        ax.minorticks_off()
    _sequence_axis(axes[0], report)
    axes[0].set(title="no padding, no mask")
    axes[1].set(title="padded to 2 048 tokens, with a mask")
    _padding_axis(axes[1])
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def _ratios(report: dict[str, Any], along: str, **fields: Any) -> tuple[list[float], list[float]]:
    """Time of SDPA in times of flash-attn's, where both were timed."""
    sdpa, flash = (
        {row[along]: row["ms"] for row in select(report, kernel=k, **fields)} for k in ("sdpa", "flash-attn")
    )
    places = [x for x in sdpa if x in flash]
    return places, [sdpa[x] / flash[x] for x in places]


def _panels(report: dict[str, Any], title: str, subtitle: str) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    figure.suptitle(f"{title}\n", fontsize=14)
    figure.text(0.5, 0.9, f"{subtitle} · bf16 · {report['machine']}", ha="center", fontsize=9, color="0.35")
    for ax in axes:
        ax.grid(color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _curves(report: dict[str, Any], title: str, subtitle: str, x: str, y: str, **fields: Any) -> Figure:
    """Forward pass on the left, with the backward pass on the right: a line a kernel."""
    figure, axes = _panels(report, title, subtitle)
    for ax, passes in zip(axes, PASSES, strict=True):
        for kernel, name in sorted(NAMES.items()):  # flash-attn's broad line below varlen_attn's
            rows = select(report, kernel=kernel, pass_=passes, causal=True, head_dim=HEAD_DIM, **fields)
            if not rows:
                continue
            places = [row[x] for row in rows]
            ax.plot(places, [row[y] for row in rows], label=name, **look(kernel))
            if y == "ms":
                low, high = ([row[name] for row in rows] for name in ("ms_low", "ms_high"))
                ax.fill_between(places, low, high, color=look(kernel)["color"], alpha=0.2, linewidth=0)
        ax.set(title=passes.replace("+", " + "), yscale="log")
    return figure


def _over_sequences(report: dict[str, Any], title: str, y: str) -> Figure:
    figure = _curves(report, title, "causal, head_dim 128, no padding", "seq", y, padding=0.0)
    figure.axes[0].legend(frameon=False)
    for ax in figure.axes:
        _sequence_axis(ax, report)
    return figure


def _sequence_axis(ax: Axes, report: dict[str, Any]) -> None:
    seqs = sorted({row["seq"] for row in report["rows"]})
    ax.set_xscale("log", base=2)
    ax.set_xticks(seqs, [f"{seq:,}".replace(",", " ") for seq in seqs], minor=False)
    ax.set_xlabel("tokens in each sequence")


def _padding_axis(ax: Axes) -> None:
    ax.set_xticks([0, 0.25, 0.5, 0.75], ["0", "25", "50", "75"])
    ax.set_xlabel("share of the batch that is padding, %")


# ---- tables ----------------------------------------------------------------------------------------------------------


def tables(report: dict[str, Any]) -> str:
    """The Markdown of ``benchmarks/README.md``, section "Kernels"."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        f"{report['machine']}; {versions}.",
        "bf16, 16 384 tokens, hidden_dim 2 048; the GPU's own time, median with the tenth and ninetieth percentile.",
        f"A bf16 matrix product of 8 192³ ran at {report['matmul_tflops']:.0f} TFLOP/s in the same run: *share* is",
        "a kernel's part of that rate, by the operations that the real tokens need. *Memory* is the peak beyond the",
        "inputs.",
        "",
        "Causal, head_dim 128, no padding:",
        "",
        *_table_over_sequences(report),
        "",
        "Forward pass, causal, head_dim 128, 8 sequences padded to 2 048 tokens; milliseconds:",
        "",
        *_table_over_padding(report),
        "",
        *_out_of_memory(report),
        *_wrapper(report),
    ]
    return "\n".join(lines) + "\n"


def _table_over_sequences(report: dict[str, Any]) -> Iterator[str]:
    yield "| tokens | kernel | forward, ms | TFLOP/s | share | memory, MB | with backward, ms | TFLOP/s | memory, MB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for seq in sorted({row["seq"] for row in report["rows"]}):
        for kernel in NAMES:
            fields = {"kernel": kernel, "causal": True, "head_dim": HEAD_DIM, "seq": seq, "padding": 0.0}
            forward, both = (select(report, pass_=passes, **fields) for passes in PASSES)
            if not forward:
                continue
            row = forward[0]
            share = row["tflops"] / report["matmul_tflops"]
            cells = [f"{seq:,}".replace(",", " "), NAMES[kernel], _spread(row), f"{row['tflops']:.0f}", f"{share:.0%}"]
            cells.append(f"{row['peak_mb']:.0f}")
            cells += [_spread(both[0]), f"{both[0]['tflops']:.0f}", f"{both[0]['peak_mb']:.0f}"] if both else ["–"] * 3
            yield f"| {' | '.join(cells)} |"


def _table_over_padding(report: dict[str, Any]) -> Iterator[str]:
    paddings = sorted({row["padding"] for row in report["rows"]})
    yield "| kernel | " + " | ".join(f"{padding:.0%} padding" for padding in paddings) + " |"
    yield "|---" * (len(paddings) + 1) + "|"
    for kernel in NAMES:
        rows = select(report, kernel=kernel, pass_="forward", causal=True, head_dim=HEAD_DIM, seq=2048)
        yield f"| {NAMES[kernel]} | " + " | ".join(_spread(row) for row in rows) + " |"


def _out_of_memory(report: dict[str, Any]) -> Iterator[str]:
    for row in report["out_of_memory"]:
        kind = "causal" if row["causal"] else "bidirectional"
        what = f"{NAMES[row['kernel']]}, {row['pass']}, {kind}, head_dim {row['head_dim']}, {row['seq']} tokens"
        yield f"Out of memory: {what}."
    if report["out_of_memory"]:
        yield ""


def _wrapper(report: dict[str, Any]) -> Iterator[str]:
    for row in report["wrapper"]:
        direct, wrapped = (
            f"{row[f'{name}_ms']:.3f} ms ({row[f'{name}_ms_low']:.3f} to {row[f'{name}_ms_high']:.3f})"
            for name in ("direct", "wrapped")
        )
        yield (
            f"From call to result on sequences of {row['seq']} tokens, `varlen_attn` takes {direct} directly\n"
            f"and {wrapped} behind flash-attn's signature: {row['ratio'] - 1:+.1%}.\n"
        )


def _spread(row: Row) -> str:
    digits = 2 if row["ms"] >= 1 else 3
    return f"{row['ms']:.{digits}f} ({row['ms_low']:.{digits}f} to {row['ms_high']:.{digits}f})"
