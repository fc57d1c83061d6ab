"""Figures of real kernels, recorded on a GPU: for learners who have none at hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from attention_lab.compare.curves import Curves, Point, draw_curves, handles, look, panels
from attention_lab.maps.cells import INK, LOOK
from attention_lab.maps.figure import NotebookFigure

Row = dict[str, Any]

KERNELS = ("eager", "sdpa", "flash-attn", "varlen_attn")
NOTHING_RECORDED = "This copy of the kit brings no recorded figures: data/kernels.json is not there."


def read_recorded() -> dict[str, Any] | None:
    """The recorded figures: machine, versions and rows; ``None`` where the kit brings none."""
    path = files("attention_lab") / "data" / "kernels.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def recorded_figure(record: dict[str, Any], passes: str = "forward", causal: bool = False) -> NotebookFigure:
    """Draw what attention costs on a GPU: how time and memory grow, what padding costs, and when SDPA is enough.

    Args:
        record: From ``read_recorded``.
        passes: ``"forward"`` or ``"forward+backward"``.
        causal: Whether query i sees only keys j <= i.

    Returns:
        The figure; its ``caption`` is its alternative text.

    Raises:
        ValueError: No row fits.
    """
    rows = [row for row in record["rows"] if row["pass"] == passes and row["causal"] == causal and row.get("ms")]
    if not rows:
        raise ValueError(f"nothing was recorded for {passes}, causal {causal}")
    full, ragged = _full_rows(rows), _ragged_rows(rows)
    time, memory = _curves(full, "seq", "ms"), _curves(full, "seq", "peak_mb")
    padding, ratios = _curves(ragged, "padding", "ms"), _ratios(full, ragged)
    direction = "causal" if causal else "bidirectional"
    title = f"Recorded on {record['machine']}: {direction}, {passes.replace('+', ' and ')}"
    sentences = [*_sentences(time, memory, ratios), _setting(full, ragged, record)]
    names = [kernel for kernel in KERNELS if any(row["kernel"] == kernel for row in rows)]

    upper = {"how time grows": (0.12, 0.35), "how memory grows": (0.63, 0.35)}
    lower = {"what padding costs": (0.12, 0.35), "when SDPA is enough": (0.7, 0.28)}
    with matplotlib.rc_context(LOOK):
        figure, axes = panels(title, sentences, handles(names), 2.3, upper, lower)
        draw_curves(axes[0], time, "tokens in a sequence", "milliseconds")
        draw_curves(axes[1], memory, "tokens in a sequence", "megabytes at the peak")
        draw_curves(axes[2], padding, "share of the batch that is padding", "milliseconds", log=False)
        axes[2].set_ylim(bottom=0)
        _draw_ratios(axes[3], ratios)
    return figure


# ---- rows ------------------------------------------------------------------------------------------------------------


def _full_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows without padding, of the head_dim that most were recorded for; the larger of equals."""
    full = [row for row in rows if row["padding"] == 0]
    chosen = max({row["head_dim"] for row in full}, key=lambda d: (sum(row["head_dim"] == d for row in full), d))
    return [row for row in full if row["head_dim"] == chosen]


def _ragged_rows(rows: Sequence[Row]) -> list[Row]:
    """All paddings of the sizes that were recorded with padding."""
    sizes = {_size(row) for row in rows if row["padding"] > 0}
    return [row for row in rows if _size(row) in sizes]


def _size(row: Row) -> tuple[int, int, int]:
    return row["head_dim"], row["seq"], row["batch"]


def _curves(rows: Sequence[Row], x: str, y: str) -> Curves:
    curves = {}
    for kernel in KERNELS:
        points = [_point(row, x, y) for row in rows if row["kernel"] == kernel and row.get(y)]
        if points:
            curves[kernel] = sorted(points)
    return curves


def _point(row: Row, x: str, y: str) -> Point:
    value: float = row[y]
    return Point(row[x], value, row.get(f"{y}_low", value), row.get(f"{y}_high", value))


def _ratios(full: Sequence[Row], ragged: Sequence[Row]) -> dict[str, float]:
    """How many times as long SDPA takes as the packed kernel, by setting."""
    packed = next((name for name in ("flash-attn", "varlen_attn") if any(r["kernel"] == name for r in full)), None)
    times = {(row["kernel"], row["seq"], row["padding"]): row["ms"] for row in (*full, *ragged)}
    found = {}
    for padding, seq in sorted({(padding, seq) for _, seq, padding in times}):
        if ("sdpa", seq, padding) in times and (packed, seq, padding) in times:
            name = f"{seq} tokens" + (f", {padding:.0%} padding" if padding else "")
            found[name] = times["sdpa", seq, padding] / times[packed, seq, padding]
    return found


# ---- words and bars --------------------------------------------------------------------------------------------------


def _sentences(time: Curves, memory: Curves, ratios: dict[str, float]) -> list[str]:
    shared = sorted(set.intersection(*({point.x for point in points} for points in time.values())))
    sentences = []
    if len(shared) > 1:
        first, last = shared[0], shared[-1]
        times, memories = (
            ", ".join(f"{kernel} {_grown(points, first, last)}" for kernel, points in curves.items())
            for curves in (time, memory)
        )
        sentences = [f"Time, from {first} to {last} tokens a sequence: {times}.", f"Memory: {memories}."]
    if ratios:
        low, high = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
        sentences.append(
            f"SDPA takes {ratios[low]:.2g} times as long as the packed kernel with {low}, "
            f"{ratios[high]:.2g} times with {high}."
        )
    return sentences


def _grown(points: Sequence[Point], first: float, last: float) -> str:
    values = {point.x: point.y for point in points}
    return f"× {values[last] / values[first]:.3g}" if {first, last} <= values.keys() else "not recorded"


def _setting(full: Sequence[Row], ragged: Sequence[Row], record: dict[str, Any]) -> str:
    tokens = {row["seq"] * row["batch"] for row in (*full, *ragged)}
    counted = f"{tokens.pop():,} tokens in every batch, " if len(tokens) == 1 else ""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{counted}head_dim {full[0]['head_dim']}; {versions}."


def _draw_ratios(axes: Axes, ratios: dict[str, float]) -> None:
    places, box = range(len(ratios)), {"facecolor": "white", "edgecolor": "none", "pad": 0}
    axes.barh(places, list(ratios.values()), color=look("sdpa")["color"], height=0.7)
    for place, (name, ratio) in enumerate(ratios.items()):
        axes.text(ratio, place, f" {ratio:.2g}", va="center", fontsize=8, bbox=box)
        axes.text(0, place, f"{name.rpartition(', ')[2]} ", va="center", ha="right", fontsize=7.5)
    axes.axvline(1, color=INK, lw=1, ls=":")
    axes.set(ylim=(len(ratios) - 0.4, -0.6), xlim=(0, max(ratios.values(), default=1) * 1.15), yticks=[])
    axes.set_xlabel("times the packed kernel's time", fontsize=8)
    axes.tick_params(labelsize=7.5, length=2)
