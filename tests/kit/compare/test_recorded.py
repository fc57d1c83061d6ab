"""Recorded times, drawn."""

from __future__ import annotations

import pytest

from attention_lab.compare import recorded
from attention_lab.compare.curves import Point


def record() -> dict:
    """Rows of an invented machine, in the form of ``data/kernels.json``."""
    rows = []
    for kernel, factor in (("eager", 8.0), ("sdpa", 1.5), ("flash-attn", 1.0)):
        for seq in (512, 1024, 2048):
            for padding in (0.0, 0.5) if seq == 1024 else (0.0,):
                for passes in ("forward", "forward+backward"):
                    ms = factor * seq / 512 * ({"flash-attn": 0.25, "sdpa": 2.0}.get(kernel, 1.0) if padding else 1.0)
                    row = {"kernel": kernel, "pass": passes, "causal": False, "head_dim": 128, "seq": seq}
                    row |= {"batch": 4096 // seq, "padding": padding, "ms": ms, "ms_low": ms, "ms_high": ms}
                    rows.append(row | {"tflops": 1.0, "peak_mb": seq if kernel == "eager" else 64.0})
    # another head_dim, of which less was recorded, stays out
    rows.insert(0, rows[0] | {"head_dim": 64, "ms": 1000.0, "ms_high": 1000.0})
    return {"machine": "Invented GPU", "versions": {"torch": "9.9"}, "rows": rows}


def test_recorded_figures_answer_the_four_questions():
    figure = recorded.recorded_figure(record())
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["how time grows", "how memory grows", "what padding costs", "when SDPA is enough"]
    assert "Time, from 512 to 2048 tokens a sequence: eager × 4, sdpa × 4, flash-attn × 4." in figure.caption
    assert "Memory: eager × 4, sdpa × 1, flash-attn × 1." in figure.caption
    assert "12 times with 1024 tokens, 50% padding" in figure.caption
    assert "4,096 tokens in every batch, head_dim 128; torch 9.9." in figure.caption
    assert len(figure.axes[3].patches) == 4


def test_recorded_figures_stand_gaps():
    gaps = record()
    gaps["rows"] = [row for row in gaps["rows"] if not (row["kernel"] == "eager" and row["seq"] == 2048)]
    assert "from 512 to 1024 tokens a sequence: eager × 2" in recorded.recorded_figure(gaps).caption
    gaps["rows"] = [row for row in gaps["rows"] if row["padding"] == 0 and row["kernel"] != "flash-attn"]
    assert "packed kernel" not in recorded.recorded_figure(gaps).caption
    with pytest.raises(ValueError, match="nothing was recorded for forward, causal True"):
        recorded.recorded_figure(gaps, causal=True)


def test_recorded_data_of_the_kit_can_be_drawn():
    data = recorded.read_recorded()
    if data is None:
        assert recorded.NOTHING_RECORDED.count(".") == 2  # one sentence, with a file's name
        return
    for passes in ("forward", "forward+backward"):
        for causal in (False, True):
            assert data["machine"] in recorded.recorded_figure(data, passes, causal).caption


def test_points_are_sorted_by_length():
    shuffled = record()
    shuffled["rows"].reverse()
    (line, *_) = recorded.recorded_figure(shuffled).axes[0].lines
    assert list(line.get_xdata()) == sorted(line.get_xdata())
    assert Point(1, 2, 3, 4) < Point(2, 0, 0, 0)
