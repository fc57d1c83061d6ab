"""Heatmaps: which cells are masked and why, leaks, captions, what is drawn, and that a notebook shows a figure once."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
from html import escape

import matplotlib
import nbformat
import pytest
import torch
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Bbox
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from torch import Tensor

from attention_grading.reference import attend
from attention_lab import (
    VARIANTS,
    PackedBatch,
    PaddedBatch,
    attention_map,
    cached_batch,
    get_variant,
    packed_batch,
    padded_batch,
)
from attention_lab.maps.captions import Leak
from attention_lab.maps.cells import GREY, HATCH, INK, LEAK, SCORE_COLOURS, WEIGHT_COLOURS
from attention_lab.maps.figure import NotebookFigure, blank_figure
from attention_lab.maps.heatmaps import attention_heatmap, attention_leaks, caption, mask_heatmap
from attention_lab.maps.masks import masked_cells
from attention_lab.rules import Reason
from support.batches import small_batch

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
    assert "1 weight is NaN" in caption(weights)


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


@pytest.mark.process
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


# ---- in detail

SHORT = (("The", "cat", "sat"), ("Go",))
LONGER = (("The", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs"), ("She", "reads", "books"))
THREE = (("The", "cat", "sat", "on", "the", "mat"), ("Dogs", "bark", "at", "night"), ("Go", "home", "now"))
RED = "#d62728"


def even_weights(variant: str, batch: PaddedBatch | PackedBatch) -> Tensor:
    """Right weights of zero queries: each query's weight is spread evenly over the keys that it sees."""
    seen = (masked_cells(variant, batch) == Reason.VISIBLE).float()
    weights = seen / seen.sum(-1, keepdim=True).clamp(min=1)
    return weights.unsqueeze(-3).expand(*weights.shape[:-2], batch.num_heads, *weights.shape[-2:]).clone()


def texts(figure: NotebookFigure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def frames(figure: NotebookFigure) -> int:
    """How many cells have a red frame: each is five vertices of one path."""
    red = [patch for axes in figure.axes for patch in axes.patches if to_hex(patch.get_edgecolor()) == RED]
    return sum(len(patch.get_path().vertices) // 5 for patch in red if patch.get_visible())


# ---- masked cells ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("causal", "padding", "second_item"),
    [
        (False, "right", [[0, 2, 2], [0, 2, 2], [0, 2, 2]]),
        (False, "left", [[2, 2, 0], [2, 2, 0], [2, 2, 0]]),
        (True, "right", [[0, 2, 2], [0, 2, 2], [0, 2, 2]]),
        (True, "left", [[2, 2, 1], [2, 2, 1], [2, 2, 0]]),
    ],
)
@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_masked_cells_of_padded_batches(kernel: str, causal: bool, padding: str, second_item: list) -> None:
    variant = f"{kernel}_{'causal' if causal else 'bidirectional'}"
    first_item = [[0, 1, 1], [0, 0, 1], [0, 0, 0]] if causal else [[0, 0, 0]] * 3
    cells = masked_cells(variant, padded_batch(SHORT, padding=padding))
    assert cells.dtype == torch.int8
    assert cells.tolist() == [first_item, second_item]


def test_masked_cells_with_holes_and_causality() -> None:
    batch = padded_batch((("a", "b"), ("c", "d")), padding="holes")  # a <pad> b
    assert masked_cells("eager_causal", batch)[0].tolist() == [[0, 2, 1], [0, 2, 1], [0, 2, 0]]


def test_masked_cells_without_a_mask() -> None:
    batch = padded_batch((("a", "b"),), padding="none")
    assert masked_cells("eager_bidirectional", batch).tolist() == [[[0, 0], [0, 0]]]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("flash_bidirectional", [[0, 3, 3], [3, 0, 0], [3, 0, 0]]),
        ("flash_causal", [[0, 3, 3], [3, 0, 1], [3, 0, 0]]),
    ],
)
def test_masked_cells_of_a_packed_batch_with_an_empty_sequence(variant: str, expected: list) -> None:
    batch = packed_batch((("a",), (), ("b", "c")))  # an empty sequence leaves no cell
    assert masked_cells(variant, batch).tolist() == expected


def test_a_batch_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="eager_causal takes a padded batch, got PackedBatch"):
        masked_cells("eager_causal", packed_batch())
    with pytest.raises(ValueError, match="flash_causal takes a packed batch, got PaddedBatch"):
        mask_heatmap("flash_causal", padded_batch())


# ---- leaks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_even_weights_do_not_leak_in_any_variant(variant: str) -> None:
    batch = small_batch(variant)
    assert attention_leaks(variant, batch, even_weights(variant, batch)) == []


def test_leaks_are_found_in_every_item_with_their_reasons() -> None:
    batch = padded_batch(SHORT)
    weights = even_weights("eager_causal", batch)
    weights[0, 2, 0, 1] = 0.25
    weights[1, 1, 0, 2] = 0.5
    expected = [Leak(2, 0, 1, 0.25, Reason.CAUSAL, item=0), Leak(1, 0, 2, 0.5, Reason.PADDING, item=1)]
    assert attention_leaks("eager_causal", batch, weights) == expected
    assert attention_leaks("eager_causal", batch, weights, item=1) == expected[1:]


def test_a_leak_into_another_sequence_is_found() -> None:
    batch = packed_batch((("a",), ("b",)), num_heads=1)
    weights = torch.tensor([[[0.5, 0.5], [0.0, 1.0]]])
    assert attention_leaks("flash_causal", batch, weights) == [Leak(0, 0, 1, 0.5, Reason.OTHER_SEQUENCE)]


def test_padding_queries_and_weights_up_to_the_tolerance_are_no_leaks() -> None:
    batch = padded_batch(SHORT)
    weights = even_weights("eager_causal", batch)
    weights[1, :, 1:] = 1 / 3  # rows of <pad>
    weights[0, 0, 0, 2] = 0.01
    assert attention_leaks("eager_causal", batch, weights, tolerance=0.02) == []
    assert len(attention_leaks("eager_causal", batch, weights)) == 1


def test_weights_of_the_wrong_shape_are_refused() -> None:
    batch = padded_batch(SHORT)
    with pytest.raises(ValueError, match=r"must be \[2, 3, 3, 3\], .* as attention_map gives it; got \[3, 3, 3\]"):
        attention_heatmap("eager_causal", batch, torch.zeros(3, 3, 3))
    with pytest.raises(ValueError, match="got NoneType"):
        attention_leaks("eager_causal", batch, None)
    with pytest.raises(ValueError, match=r"must be \[3, 10, 10\], a tensor \[num_heads, total_tokens, .*got \[1, 2\]"):
        attention_heatmap("flash_causal", packed_batch(), torch.zeros(1, 2))


def test_an_item_that_is_not_there_is_refused() -> None:
    batch = padded_batch(SHORT)
    with pytest.raises(ValueError, match="item must lie between 0 and 1; got 2"):
        attention_heatmap("eager_causal", batch, even_weights("eager_causal", batch), item=2)
    packed = packed_batch()
    with pytest.raises(ValueError, match="item must be 0, a packed batch is drawn whole; got 1"):
        attention_heatmap("flash_causal", packed, even_weights("flash_causal", packed), item=1)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="the batch has no tokens"):
        mask_heatmap("flash_causal", packed_batch(((),)))


def test_a_leak_into_an_unused_place_is_named_by_its_place() -> None:
    batch = cached_batch()
    weights = even_weights("cached_decode", batch)
    weights[1, 2, 0, 6] = 0.5
    assert attention_leaks("cached_decode", batch, weights) == [Leak(2, 0, 6, 0.5, Reason.UNUSED, item=1)]
    words = caption("cached_decode", batch, weights, item=1)
    assert "'Dogs' puts 0.50 on place 6 of the cache, where nothing is cached yet (head 2)." in words


def test_a_cached_batch_is_labelled_by_the_tokens_that_ask_and_counted() -> None:
    figure = mask_heatmap("cached_decode", cached_batch())
    assert "18 of 28 (item 0), 10 of 28 (item 1)." in figure.caption
    for axes, words in zip(figure.axes, cached_batch().tokens, strict=True):
        shown = [text.get_text() for text in axes.texts]
        used = [word for word in words if word != "–"]
        assert sorted(shown) == sorted([*words, *used[-4:]])  # as keys, and those that ask


def test_a_batch_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="cached_decode takes a cached batch, got PaddedBatch"):
        mask_heatmap("cached_decode", padded_batch())
    with pytest.raises(ValueError, match="eager_causal takes a padded batch, got CachedBatch"):
        mask_heatmap("eager_causal", cached_batch())


# ---- captions --------------------------------------------------------------------------------------------------------


def test_caption_says_where_a_query_looks() -> None:
    batch = padded_batch(SHORT)
    weights = even_weights("eager_causal", batch)
    weights[0, 1, 2] = torch.tensor([0.3, 0.57, 0.13])
    words = caption("eager_causal", batch, weights)
    assert words == "Query 'sat' looks most at 'cat' (0.57, head 1). No weight falls on a masked key."


def test_caption_tells_equal_words_apart() -> None:
    batch = padded_batch((("the", "cat", "the"),), padding="none", num_heads=1)
    weights = torch.tensor([[[[0.4, 0.3, 0.3], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]]]])
    words = caption("eager_bidirectional", batch, weights)
    assert words == "Query 'cat' looks most at 'the' at place 2 (0.80, head 0). Nothing is masked."


def test_caption_names_the_largest_leak() -> None:
    batch = padded_batch(SHORT)
    weights = even_weights("eager_causal", batch)
    weights[0, 0, 0] = torch.tensor([0.6, 0.09, 0.31])
    words = caption("eager_causal", batch, weights)
    assert words == "Weight leaks into 2 masked cells: 'The' puts 0.31 on the later token 'sat' (head 0)."
    weights = even_weights("eager_causal", batch)
    weights[1, 2, 0] = torch.tensor([0.5, 0.5, 0.0])
    words = caption("eager_causal", batch, weights, item=1)
    assert words == "Weight leaks into 1 masked cell: 'Go' puts 0.50 on the padding at place 1 (head 2)."


def test_caption_names_a_row_that_does_not_sum_to_one() -> None:
    batch = padded_batch(SHORT)
    weights = even_weights("eager_causal", batch)
    weights[0, 1, 2] = torch.tensor([0.2, 0.2, 0.22])
    assert caption("eager_causal", batch, weights) == "The weights of 'sat' sum to 0.62, not to 1 (head 1)."


def test_caption_reports_nan_at_rows_that_see_no_key() -> None:
    batch = padded_batch(SHORT, padding="left")
    weights = even_weights("eager_causal", batch)
    weights[1, :, 0] = torch.nan
    words = caption("eager_causal", batch, weights, item=1)
    assert words == "9 weights are NaN, the first in the row of '<pad>' at place 0 (head 0), which sees no key."
    assert "NaN" not in caption("eager_causal", batch, weights, item=0)


def test_caption_of_a_wholly_padded_item() -> None:
    batch = padded_batch((("a", "b"), ()))
    words = caption("eager_bidirectional", batch, torch.full((2, 3, 2, 2), 0.5), item=1)
    assert words == "Every query here is padding: nobody reads these rows."


def test_mask_caption_counts_cells_and_queries_that_see_nothing() -> None:
    words = mask_heatmap("eager_causal", padded_batch(SHORT, padding="left")).caption
    assert "6 of 9 (item 0), 1 of 9 (item 1). 2 queries see no key at all." in words


# ---- what is drawn ---------------------------------------------------------------------------------------------------


def test_one_panel_for_each_item_or_head_and_one_colour_bar() -> None:
    batch, packed = padded_batch(), packed_batch(THREE)
    assert [axes.get_title() for axes in mask_heatmap("eager_causal", batch).axes] == ["batch item 0", "batch item 1"]
    assert [axes.get_title() for axes in mask_heatmap("flash_causal", packed).axes] == ["packed batch"]
    for variant, drawn in (("eager_causal", batch), ("flash_causal", packed)):
        figure = attention_heatmap(variant, drawn, even_weights(variant, drawn))
        *panels, bar = figure.axes
        assert [axes.get_title() for axes in panels] == ["expected mask", "head 0", "head 1", "head 2"]
        assert bar.get_ylabel() == "attention weight"
        assert [axes.images[0].get_clim() for axes in panels] == [(0, 1)] * 4


def test_each_reason_has_a_hatch_of_its_own_in_the_legend() -> None:
    figures = {
        "causal": mask_heatmap("eager_causal", padded_batch((("a", "b"),), padding="none")),
        "padding": mask_heatmap("eager_bidirectional", padded_batch()),
        "another sequence": mask_heatmap("flash_bidirectional", packed_batch()),
        "nothing is cached": mask_heatmap("cached_decode", cached_batch((("a",),), new=1, max_len=2)),
    }
    hatches = set()
    for word, figure in figures.items():
        (legend,) = figure.legends
        (handle,), (label,) = legend.legend_handles, legend.get_texts()
        assert word in label.get_text()
        assert handle.get_hatch() in {patch.get_hatch() for patch in figure.axes[-1].patches if patch.get_visible()}
        hatches.add(handle.get_hatch())
    assert len(hatches) == 4


def test_numbers_up_to_eight_tokens() -> None:
    batch = padded_batch(LONGER, num_heads=1)
    weights = even_weights("eager_causal", batch)
    shown = texts(attention_heatmap("eager_causal", batch, weights))
    assert (shown.count("1"), shown.count(".50"), shown.count(".33"), shown.count(".12")) == (1, 2, 3, 8)
    nine = padded_batch((tuple("abcdefghi"),), padding="none", num_heads=1)
    shown = texts(attention_heatmap("eager_causal", nine, even_weights("eager_causal", nine)))
    assert not any(text.startswith((".", "1")) for text in shown)


def test_numbers_stand_out_from_every_colour() -> None:
    batch = padded_batch((("a", "b", "c"),), padding="none", num_heads=1)
    weights = torch.tensor([0.02, 0.97, 2.5]).expand(1, 1, 3, 3)
    panel = attention_heatmap("eager_bidirectional", batch, weights).axes[1]
    colours = {text.get_text(): text.get_color() for text in panel.texts}
    assert (colours[".02"], colours[".97"], colours["2.5"]) == ("black", "white", "white")


def test_leaks_get_a_red_frame_and_their_number() -> None:
    batch = padded_batch(SHORT)
    weights = even_weights("eager_causal", batch)
    assert frames(attention_heatmap("eager_causal", batch, weights)) == 0
    weights[0, 1, 0, 1:] = torch.tensor([0.43, 0.21])
    figure = attention_heatmap("eager_causal", batch, weights)
    assert frames(figure) == 2
    assert {".43", ".21"} <= set(texts(figure))
    assert "weight leaks into a masked cell" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_nan_is_drawn_as_such_at_padding_queries_too() -> None:
    batch = padded_batch(padding="left")
    weights = even_weights("eager_causal", batch)
    weights[1, 0, 0] = torch.nan
    figure = attention_heatmap("eager_causal", batch, weights, item=1)
    assert texts(figure).count("NaN") == 6
    assert "6 weights are NaN" in figure.caption


def test_nan_is_a_cross_in_large_maps() -> None:
    batch = packed_batch(THREE)
    weights = even_weights("flash_causal", batch)
    weights[1, 4] = torch.nan
    figure = attention_heatmap("flash_causal", batch, weights)
    crosses = [sum(len(line.get_xdata()) for line in axes.lines) for axes in figure.axes[1:4]]
    assert crosses == [0, 13, 0]
    assert "NaN or infinite" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_padding_queries_have_no_numbers() -> None:
    batch = padded_batch(SHORT, num_heads=1)
    figure = attention_heatmap("eager_bidirectional", batch, even_weights("eager_bidirectional", batch), item=1)
    assert texts(figure).count("1") == 1  # 'Go' alone, not the two rows of <pad>


def test_sequence_borders_are_drawn_and_an_empty_sequence_has_none() -> None:
    figure = mask_heatmap("flash_causal", packed_batch((("a",), (), ("b", "c"), ())))
    *_, borders = figure.axes[0].collections
    assert len(borders.get_segments()) == 2  # one border, across and down


PICTURES = {
    "mask": lambda: mask_heatmap("eager_causal", padded_batch(padding="left")),
    "mask, eight tokens": lambda: mask_heatmap("eager_causal", padded_batch(LONGER)),
    "packed mask": lambda: mask_heatmap("flash_causal", packed_batch(THREE)),
    "three heads, eight tokens": lambda: drawn("eager_causal", padded_batch(LONGER), item=1),
    "packed, thirteen tokens": lambda: drawn("flash_causal", packed_batch(THREE)),
    "long words": lambda: drawn("eager_causal", padded_batch((("Incomprehensibilities", "$x^2$", "W" * 30),) * 2)),
    "leaks everywhere": lambda: attention_heatmap(
        "eager_causal", padded_batch(LONGER), torch.full((2, 3, 8, 8), 1 / 8)
    ),
    "NaN in eight tokens": lambda: broken(num_heads=3),
    "NaN in many heads": lambda: broken(num_heads=5),
    "a title wider than its panels": lambda: drawn(
        "sdpa_bidirectional", padded_batch((("a", "b"),), padding="none", num_heads=1)
    ),
    "a cache": lambda: mask_heatmap("cached_decode", cached_batch()),
    "heads of a cache": lambda: drawn("cached_decode", cached_batch(), item=0),
    "one head, two tokens": lambda: drawn("flash_causal", packed_batch((("a",), ("b",)), num_heads=1)),
}


def drawn(variant: str, batch: PaddedBatch | PackedBatch, item: int = 0) -> NotebookFigure:
    return attention_heatmap(variant, batch, even_weights(variant, batch), item=item)


def broken(num_heads: int) -> NotebookFigure:
    batch = padded_batch(LONGER, padding="left", num_heads=num_heads)
    weights = even_weights("eager_causal", batch)
    weights[1, :, :5] = torch.nan
    return attention_heatmap("eager_causal", batch, weights, item=1)


@pytest.mark.parametrize("name", PICTURES)
def test_texts_are_inside_apart_and_not_tiny(name: str) -> None:
    figure = PICTURES[name]()
    figure.canvas.draw()
    words = (
        [text for axes in figure.axes for text in axes.texts]
        + figure.texts
        + [text for legend in figure.legends for text in legend.get_texts()]
    )
    boxes = [(text, text.get_window_extent()) for text in words if text.get_text()]
    assert len(boxes) > 5
    for text, box in boxes:
        assert text.get_fontsize() >= 7, text
        assert Bbox.intersection(box, figure.bbox).bounds == box.bounds, text
    for (text, box), (other, other_box) in itertools.combinations(boxes, 2):
        # slanted labels lie side by side although their boxes overlap
        if not text.get_rotation() == other.get_rotation() == 45:
            assert not box.overlaps(other_box), (text, other)
    for legend in figure.legends:
        assert not any(axes.get_window_extent().overlaps(legend.get_window_extent()) for axes in figure.axes)
    assert figure.get_figwidth() <= 10


def test_numbers_of_eight_tokens_stand_inside_the_red_frames() -> None:
    figure = PICTURES["leaks everywhere"]()
    figure.canvas.draw()
    panel = figure.axes[1]
    inside = 0.86 * panel.get_window_extent().width / 8  # a cell between its frame's inner edges
    numbers = [text for text in panel.texts if text.get_text() == ".12"]
    assert len(numbers) == 64
    assert max(text.get_window_extent().width for text in numbers) < inside


def test_maps_of_the_same_tokens_share_the_queries_labels_of_a_row() -> None:
    panels = PICTURES["three heads, eight tokens"]().axes[:4]
    assert [sum(text.get_text() == "reads" for text in panel.texts) for panel in panels] == [2, 1, 2, 1]
    assert len({panel.get_position().y0 for panel in panels}) == 2


@pytest.mark.parametrize("name", ["three heads, eight tokens", "packed, thirteen tokens", "leaks everywhere"])
def test_pictures_are_small_opaque_and_described(name: str) -> None:
    figure = PICTURES[name]()
    data, metadata = figure._repr_mimebundle_()
    png = base64.b64decode(data["image/png"])
    assert len(png) < 45_000
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.info["Description"] == figure.caption == figure.get_label()
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
        assert picture.width <= 564  # what JupyterLab leaves to it in a window of 700 pixels
    assert metadata["image/png"]["alt"] == data["text/plain"] == figure.caption
    # JupyterLab knows no alternative text for a PNG, and shows the HTML
    image = f'<img src="data:image/png;base64,{data["image/png"]}" alt="{escape(figure.caption)}">'
    assert data["text/html"].endswith(f'<div class="attention-figure">{image}</div>')


def test_a_dark_matplotlib_style_changes_nothing() -> None:
    batch = padded_batch()
    plain = mask_heatmap("eager_causal", batch)._repr_mimebundle_()[0]["image/png"]
    with matplotlib.rc_context({"text.color": "white", "axes.facecolor": "black", "axes.grid": True}):
        dark = mask_heatmap("eager_causal", batch)._repr_mimebundle_()[0]["image/png"]
    assert dark == plain


# How a colour looks with one kind of cone missing, in linear RGB. Source: Machado, Oliveira and Fernandes, A
# Physiologically-based Model for Simulation of Color Vision Deficiency (2009), severity 1.
COLOUR_VISION = {
    "all cones": torch.eye(3),
    "protanopia": torch.tensor([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": torch.tensor([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritanopia": torch.tensor([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def seen(colour: str | tuple[float, ...], vision: str) -> Tensor:
    """The colour in linear RGB, as it is seen."""
    rgb = torch.tensor(to_rgb(colour))
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return (COLOUR_VISION[vision] @ linear).clamp(0, 1)


def luminance(colour: str | tuple[float, ...], vision: str) -> float:
    return float(seen(colour, vision) @ torch.tensor([0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("vision", COLOUR_VISION)
def test_colours_are_told_apart_with_colour_vision_loss(vision: str) -> None:
    steps = [luminance(WEIGHT_COLOURS(weight / 10), vision) for weight in range(11)]
    assert steps == sorted(steps, reverse=True)  # more weight is darker
    grey = seen(GREY, vision)
    assert min(float((seen(WEIGHT_COLOURS(weight / 10), vision) - grey).abs().max()) for weight in range(11)) > 0.1
    low, high = (seen(SCORE_COLOURS(place), vision) for place in (0.2, 0.8))
    assert float((low - high).abs().max()) > 0.2  # negative and positive scores
    for colour, ground, contrast in ((LEAK, "white", 3), (HATCH, GREY, 2), (INK, "white", 7)):
        lighter, darker = luminance(ground, vision) + 0.05, luminance(colour, vision) + 0.05
        assert lighter / darker > contrast, colour


def test_a_key_that_may_be_seen_looks_the_same_in_mask_and_map() -> None:
    batch = padded_batch(SHORT)
    weights = torch.zeros_like(even_weights("eager_causal", batch))
    first, second = attention_heatmap("eager_causal", batch, weights).axes[:2]
    shown = [panel.images[0].cmap(panel.images[0].norm(panel.images[0].get_array()))[0, 0] for panel in (first, second)]
    assert shown[0].tolist() == shown[1].tolist()


def test_inputs_are_not_modified() -> None:
    batch = padded_batch()
    weights = even_weights("eager_causal", batch)
    before = weights.clone()
    attention_heatmap("eager_causal", batch, weights, item=1)
    assert torch.equal(weights, before)


# ---- in a kernel -----------------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize(
    "before",
    ["", "import matplotlib.pyplot as plt", "%matplotlib inline\nimport matplotlib.pyplot as plt", "%matplotlib agg"],
    ids=["bare", "pyplot", "inline", "agg"],
)
def test_a_notebook_shows_a_figure_once(before: str) -> None:
    make = "from attention_lab import mask_heatmap, padded_batch\nmask_heatmap('eager_causal', padded_batch())"
    cells = [nbformat.v4.new_code_cell(source) for source in (before, make, "None")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [output for cell in cells for output in cell.outputs]
    assert [output.output_type for output in shown] == ["execute_result"]
    assert shown[0].data["text/plain"].startswith("Eager causal attention: where the mask acts.")
    assert shown[0].metadata["image/png"]["alt"] == shown[0].data["text/plain"]
    png = base64.b64decode(shown[0].data["image/png"])
    assert png.startswith(b"\x89PNG")
    assert len(png) < 45_000


def test_texts_measure_as_matplotlib_measures_them():
    """Whatever was measured before: widths hang on fonts and resolution too."""
    styles = ({}, {"font.sans-serif": ["DejaVu Serif"]}, {"font.sans-serif": ["DejaVu Sans"], "text.hinting": "none"})
    for style in (*styles, *styles):
        for dpi in (100, 50):
            with matplotlib.rc_context(style):
                figure = blank_figure(1, 1, "")
                figure.set_dpi(dpi)
                text = ("Attention, AV", FontProperties(size=8.5), False)
                measured = figure.canvas.get_renderer().get_text_width_height_descent(*text)
                assert measured == RendererAgg(9, 9, dpi).get_text_width_height_descent(*text)
