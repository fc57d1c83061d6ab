"""Figures and tables from the rows that ``savings.py`` measured: what a window saves, and what fewer key heads save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_lab.compare.curves import look
from kernel_figures import NAMES, PASSES
from readme import write_tables

Row = dict[str, Any]
NOT_RECORDED = "Not recorded yet.\n"


def write_all(report: dict[str, Any], folder: Path) -> None:
    """Write the figures to ``figures/`` and the tables into ``README.md``, both in the folder."""
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in {"savings-window": window_figure(report), "savings-key-heads": heads_figure(report)}.items():
        figure.savefig(folder / "figures" / f"{name}.png", dpi=110)
    write_tables(folder / "README.md", "savings", tables(report))


def select(report: dict[str, Any], **wanted: Any) -> list[Row]:
    """The rows with these fields, from the smallest size to the largest."""
    rows = [row for row in report["rows"] if all(row[name] == value for name, value in wanted.items())]
    return sorted(rows, key=lambda row: row["size"])


# ---- figures ---------------------------------------------------------------------------------------------------------


def window_figure(report: dict[str, Any]) -> Figure:
    """What does a window save?"""
    panels = {passes.replace("+", " + "): {"what": "window", "passes": passes} for passes in PASSES}
    figure, axes = _panels(report, "What does a window save?", "one causal sequence of 16 384 tokens", panels)
    for ax in axes:
        _size_axis(ax, report, "window", "keys in the window (16 384: all of them)")
    return figure


def heads_figure(report: dict[str, Any]) -> Figure:
    """What do fewer key heads save?"""
    panels = {
        "a sequence of 16 384 tokens": {"what": "prefill"},
        "8 new tokens, each with 16 384 in a cache": {"what": "decode"},
    }
    figure, axes = _panels(report, "What do fewer key heads save?", "16 query heads, forward pass", panels)
    for ax, what in zip(axes, ("prefill", "decode"), strict=True):
        _size_axis(ax, report, what, "key heads")
    return figure


def _panels(
    report: dict[str, Any], title: str, subtitle: str, panels: dict[str, dict[str, str]]
) -> tuple[Figure, Sequence[Axes]]:
    """A panel for each selection of rows, a line a kernel; times on axes of their own, which begin at 0."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, 2)
    figure.suptitle(f"{title}\n", fontsize=14)
    figure.text(
        0.5, 0.9, f"{subtitle} · bf16, head_dim 128 · {report['machine']}", ha="center", fontsize=9, color="0.35"
    )
    for ax, (name, fields) in zip(axes, panels.items(), strict=True):
        for kernel, label in NAMES.items():
            rows = select(report, kernel=kernel, **fields)
            if not rows:
                continue
            places = [row["size"] for row in rows]
            ax.plot(places, [row["ms"] for row in rows], label=label, **look(kernel))
            low, high = ([row[end] for row in rows] for end in ("ms_low", "ms_high"))
            ax.fill_between(places, low, high, color=look(kernel)["color"], alpha=0.2, linewidth=0)
        ax.grid(color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
        ax.set(title=name, ylabel="milliseconds")
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False)
    return figure, axes


def _size_axis(ax: Axes, report: dict[str, Any], what: str, label: str) -> None:
    sizes = sorted({row["size"] for row in select(report, what=what)})
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [_thousands(size) for size in sizes], minor=False)
    ax.set_xlabel(label)


# ---- tables ----------------------------------------------------------------------------------------------------------


def tables(report: dict[str, Any]) -> str:
    """The Markdown of ``benchmarks/README.md``, section "What a window and fewer key heads save"."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        f"{report['machine']}; {versions}.",
        "bf16, 16 heads of head_dim 128; the GPU's own time in milliseconds, median with the tenth and ninetieth",
        "percentile.",
        *(f"Left out: {reason}." for reason in report["left_out"]),
        "",
        "![Milliseconds over the size of the window](figures/savings-window.png)",
        "",
        "One causal sequence of 16 384 tokens:",
        "",
        *_windows(report),
        "",
        "![Milliseconds over the number of key heads](figures/savings-key-heads.png)",
        "",
        "Forward pass with fewer key heads: the same sequence, and 8 new tokens with 16 384 in a cache each:",
        "",
        *_key_heads(report),
    ]
    return "\n".join(lines) + "\n"


def _windows(report: dict[str, Any]) -> Iterator[str]:
    yield "| keys in the window | kernel | forward | times as fast as without | with backward | times as fast |"
    yield "|---|---|---|---|---|---|"
    for size in sorted({row["size"] for row in select(report, what="window")}):
        for kernel, name in NAMES.items():
            cells = [_thousands(size), name]
            for passes in PASSES:
                rows = select(report, what="window", kernel=kernel, passes=passes)
                row = next((row for row in rows if row["size"] == size), None)
                cells += ["–", "–"] if row is None else [_spread(row), f"{rows[-1]['ms'] / row['ms']:.1f}"]
            if cells[2:] != ["–"] * 4:
                yield f"| {' | '.join(cells)} |"


def _key_heads(report: dict[str, Any]) -> Iterator[str]:
    yield "| key heads | kernel | the sequence | new tokens | keys and values in the cache, MB |"
    yield "|---|---|---|---|---|"
    for size in sorted({row["size"] for row in select(report, what="decode")}, reverse=True):
        for kernel, name in NAMES.items():
            whole, new = (select(report, what=what, kernel=kernel, size=size) for what in ("prefill", "decode"))
            if whole and new:
                cells = [f"{size}", name, _spread(whole[0]), _spread(new[0]), f"{new[0]['keys_and_values_mb']:.0f}"]
                yield f"| {' | '.join(cells)} |"


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _spread(row: Row) -> str:
    digits = 2 if row["ms"] >= 1 else 3
    return f"{row['ms']:.{digits}f} ({row['ms_low']:.{digits}f} to {row['ms_high']:.{digits}f})"
