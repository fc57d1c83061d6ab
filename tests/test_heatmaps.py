"""Heatmaps: which cells are masked and why, leaks, captions, and that a notebook shows a figure once."""

from __future__ import annotations

import dataclasses

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from attention_grading.reference import attend
from attention_lab import attention_map, get_variant, packed_batch, padded_batch
from attention_lab.heatmaps import Reason, attention_heatmap, attention_leaks, mask_heatmap, masked_cells

V, C, P, S = Reason.VISIBLE, Reason.CAUSAL, Reason.PADDING, Reason.OTHER_SEQUENCE
WORDS = (("a", "b", "c"), ("d", "e"))


def weights_of(name, batch):
    variant = get_variant(name)
    return attention_map(lambda **arguments: attend(variant, arguments).to(arguments["q"].dtype), batch)


def test_masked_cells_of_a_bidirectional_batch():
    cells = masked_cells("eager_bidirectional", padded_batch(WORDS))
    assert cells[0].tolist() == [[V] * 3] * 3
    assert cells[1].tolist() == [[V, V, P]] * 3


def test_masked_cells_of_a_causal_batch():
    cells = masked_cells("sdpa_causal", padded_batch(WORDS, padding="left"))
    assert cells[0].tolist() == [[V, C, C], [V, V, C], [V, V, V]]
    assert cells[1].tolist() == [[P, C, C], [P, V, C], [P, V, V]]


def test_masked_cells_of_packed_batches():
    batch = packed_batch(WORDS[::-1])
    assert masked_cells("flash_bidirectional", batch).tolist() == [[V, V, S, S, S]] * 2 + [[S, S, V, V, V]] * 3
    causal = masked_cells("flash_causal", batch).tolist()
    assert causal == [[V, C, S, S, S], [V, V, S, S, S], [S, S, V, C, C], [S, S, V, V, C], [S, S, V, V, V]]


def test_wrong_kind_of_batch_is_refused():
    with pytest.raises(ValueError, match="takes a packed batch"):
        masked_cells("flash_causal", padded_batch())


@pytest.mark.parametrize("item", [0, 1])
def test_right_weights_do_not_leak(item):
    batch = padded_batch(padding="left")
    assert attention_leaks("eager_causal", batch, weights_of("eager_causal", batch), item=item) == []


def test_leaks_name_head_query_key_and_reason():
    batch = padded_batch(WORDS)
    weights = weights_of("eager_bidirectional", batch)
    weights[1, 2, 0, 2] = 0.25
    weights[1, 2, 2, 2] = 0.25  # the row of a padding query: nobody reads it
    (leak,) = attention_leaks("eager_bidirectional", batch, weights, item=1)
    assert (leak.head, leak.query, leak.key, leak.weight, leak.reason) == (2, 0, 2, 0.25, Reason.PADDING)


def test_all_later_tokens_leak_from_a_bidirectional_function():
    batch = packed_batch(WORDS)
    leaks = attention_leaks("flash_causal", batch, weights_of("flash_bidirectional", batch))
    assert {(leak.query, leak.key) for leak in leaks} == {(0, 1), (0, 2), (1, 2), (3, 4)}
    assert {leak.reason for leak in leaks} == {Reason.CAUSAL}


def test_caption_says_what_is_seen():
    batch = padded_batch()
    weights = weights_of("eager_bidirectional", batch)

    def caption(weights, item=1):
        return attention_heatmap("eager_bidirectional", batch, weights, item).caption

    assert "No weight falls on a masked key." in caption(weights)
    assert "Nothing is masked." in caption(weights, item=0)
    assert "Weight leaks into" in caption(weights_of("eager_bidirectional", dataclasses.replace(batch, mask=None)))
    weights[1, 0, 0, 0] = float("nan")
    assert "1 weights are NaN" in caption(weights)


@pytest.mark.parametrize("heads", [1, 3])
def test_one_panel_a_head_beside_the_mask_and_one_colour_bar(heads):
    batch = padded_batch(num_heads=heads)
    figure = attention_heatmap("eager_bidirectional", batch, weights_of("eager_bidirectional", batch))
    assert len(figure.axes) == 1 + heads + 1
    assert figure.get_figwidth() <= 10


def test_wrong_shape_of_the_weights_is_said():
    batch = padded_batch()
    with pytest.raises(ValueError, match=r"weights must be \[2, 3, 6, 6\]"):
        attention_heatmap("eager_bidirectional", batch, torch.zeros(2, 6, 6))
    with pytest.raises(ValueError, match="item must lie between 0 and 1"):
        attention_heatmap("eager_bidirectional", batch, torch.zeros(2, 3, 6, 6), item=2)


def test_notebook_shows_a_figure_once():
    source = "from attention_lab import mask_heatmap, padded_batch\nmask_heatmap('eager_causal', padded_batch())"
    notebook = new_notebook(cells=[new_code_cell(source)])
    NotebookClient(notebook, timeout=60).execute()
    (output,) = notebook.cells[0].outputs
    assert "image/png" in output.data
    assert output.data["text/plain"].startswith("Eager causal attention")
    nbformat.validate(notebook)


def test_picture_is_small_enough_to_save():
    assert 5_000 < len(mask_heatmap("eager_causal", padded_batch())._repr_png_()) < 100_000
