"""What travels between memory and chip."""

from __future__ import annotations

import pytest
import torch

from attention_lab.compare import traffic_figure
from attention_lab.compare.traffic import Traffic


def test_eager_attention_moves_two_tables_there_and_back():
    traffic = Traffic(seq=10, head_dim=4)
    q = torch.zeros(10, 4, dtype=torch.bfloat16)
    table = torch.zeros(10, 10, dtype=torch.bfloat16)
    assert traffic.inputs_and_output == 4 * q.nbytes
    assert traffic.eager - traffic.inputs_and_output == 4 * table.nbytes
    assert Traffic(20, 4).inputs_and_output == 2 * traffic.inputs_and_output  # the rest grows with the square
    assert Traffic(20, 4).table == 4 * traffic.table


def test_picture_says_where_the_time_goes_and_ends_at_the_exact_output():
    figure = traffic_figure()
    moved, blocks, output = figure.axes
    widths = [bar.get_width() for bar in moved.patches]
    assert sum(widths[:3]) == pytest.approx(Traffic(4096, 128).eager / 1e6)
    assert widths[3] == widths[0]
    table = blocks.images[0].get_array()
    assert [int((table == kind).sum()) for kind in (1, 2, 0)] == [35, 1, 28]  # done, at work, to come
    so_far, exact = (line.get_ydata() for line in output.lines)
    assert so_far[-1] == exact[0] != so_far[-2]
    assert "Arithmetic takes 11 µs on an H200; the traffic of eager attention 29 µs" in figure.caption
    assert figure.get_figwidth() <= 5.64
