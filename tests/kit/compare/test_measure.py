"""Time and memory of functions, and their figure."""

from __future__ import annotations

import pytest
import torch

from attention_lab.compare import functions as compare_functions
from attention_lab.compare import measure
from attention_lab.compare.measure import Cost, cost_figure, cost_of
from attention_lab.compare.waste import ragged_lengths
from support.releases import RIGHT


def test_peak_memory_counts_what_lives_at_once():
    x = torch.zeros(1000, 250)  # 1 MB

    def two_at_once():
        y = x + 1
        y = y.view(500, 500) * 2  # a view holds no memory of its own; y + 1 dies after the product
        return (y * 3).sum()

    assert cost_of(two_at_once).peak_mb == pytest.approx(2.0, abs=0.01)
    assert cost_of(lambda: x.add_(1)).peak_mb == 0.0


def test_memory_of_eager_attention_grows_with_the_square_of_the_length(releases):
    functions = compare_functions.load_functions(releases(**RIGHT)).functions
    costs = measure.measure({"eager_causal": functions["eager_causal"]}, lengths=(64, 256))["eager_causal"]
    scores = 2 * 4 * 256 * 256 * 4 / 1e6  # [batch, num_heads, seq, seq] in fp32
    assert costs[256].peak_mb > 2 * scores
    assert costs[256].peak_mb / costs[64].peak_mb > 10
    assert costs[256].ms_low <= costs[256].ms <= costs[256].ms_high


def test_a_cpu_is_timed_on_one_core_and_gets_its_threads_back():
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        cost_of(lambda: seen.add(torch.get_num_threads()))
        with pytest.raises(ZeroDivisionError):
            cost_of(lambda: 1 / 0)
        assert (seen, torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(before)


def test_packing_wins_where_most_of_a_batch_is_padding(releases):
    functions = compare_functions.load_functions(releases(**RIGHT)).functions
    both = {name: functions[name] for name in ("sdpa_causal", "flash_causal")}
    costs = measure._costs_of_batch(both, ragged_lengths(16, 256), "cpu")
    assert costs["flash_causal"].ms_low < costs["sdpa_causal"].ms_low
    assert costs["flash_causal"].peak_mb < costs["sdpa_causal"].peak_mb


def test_costs_are_drawn_and_said():
    costs = {
        "eager_causal": {64: Cost(1, 0.9, 1.2, 2), 128: Cost(4, 3.5, 5, 8610.4)},
        "flash_causal": {64: Cost(2, 2, 2, 1)},
    }
    figure = cost_figure(costs, "this CPU")
    times, memory = figure.axes
    assert [tuple(line.get_ydata()) for line in times.lines] == [(1, 4), (2,)]
    assert [tuple(line.get_ydata()) for line in memory.lines] == [(2, 8610.4), (1,)]
    assert "At 128 tokens: eager causal 4 ms" in figure.caption
    assert "Memory: eager causal 8,610 MB" in figure.caption
    with pytest.raises(ValueError, match="no function was measured"):
        cost_figure({}, "this CPU")
