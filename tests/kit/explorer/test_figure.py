"""The mask explorer's picture."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from matplotlib.transforms import Bbox

from attention_lab.explorer.figure import draw, explorer_figure
from attention_lab.explorer.state import HEADS, ExplorerState, settled

START = ExplorerState()

SEVEN = ("the", "quick", "fox", "and", "the", "lazy", "dog")
PICTURES = {
    "start": START,
    "eight tokens": replace(START, sentences=(SEVEN, ("Go",)), lengths=(7, 1), padding="holes", item=0),
    "cold": replace(START, temperature=0.1),
    "cold, few words": replace(START, temperature=0.1, lengths=(3, 2)),
    "cold, one word": replace(START, temperature=0.1, lengths=(1, 0), item=0),
    "cold, five words": replace(START, temperature=0.2, lengths=(5, 3)),
    "packed": replace(START, view="packing"),
    "packed, long": replace(START, sentences=(tuple("abcdefg"),) * 2, lengths=(7, 7), padding="holes", view="packing"),
    "packed, one word each": replace(START, lengths=(1, 1), view="packing"),
    "one word": replace(START, lengths=(1, 0)),
    "twelve words": replace(START, sentences=((*SEVEN, *SEVEN[:5]), ("Go",)), lengths=(12, 1), padding="holes", item=0),
    "packed, twelve words": replace(START, sentences=((*SEVEN, *SEVEN[:5]),) * 2, lengths=(12, 12), view="packing"),
    "long words": replace(START, sentences=(("Incomprehensibilities", "$x^2$"), ("W" * 30,)), lengths=(2, 1)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_texts_of_the_picture_are_inside_apart_and_not_tiny(name: str) -> None:
    figure = explorer_figure(PICTURES[name])
    figure.canvas.draw()
    words = [text for axes in figure.axes for text in (*axes.texts, axes.title)] + figure.texts
    words += [text for legend in figure.legends for text in legend.get_texts()]
    boxes = [(text, text.get_window_extent()) for text in words if text.get_text()]
    for text, box in boxes:
        assert text.get_fontsize() >= 7, text
        assert Bbox.intersection(box, figure.bbox).bounds == box.bounds, text
    for (text, box), (other, other_box) in itertools.combinations(boxes, 2):
        if not text.get_rotation() == other.get_rotation() == 45:
            assert not box.overlaps(other_box), (text, other)
    assert figure.get_figwidth() <= 10 or "twelve words" in name or name == "packed, long"


def test_long_sentences_make_the_picture_wider_and_not_its_cells_smaller() -> None:
    drawing = draw(PICTURES["twelve words"])
    pixels = drawing.panels[0].axes.get_window_extent().width / 13
    assert pixels > 25.99
    assert drawing.figure.get_figwidth() > 10
    shown = drawing.figure._repr_mimebundle_()[0]["text/html"]
    assert ' style="overflow-x: auto"><img style="max-width: none"' in shown


@pytest.mark.parametrize("temperature", [0.1, 0.2, 0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("sentences", [START.sentences, (SEVEN, ("Go",))])
def test_no_score_is_off_its_scale(temperature: float, sentences: tuple[tuple[str, ...], ...]) -> None:
    for head in range(HEADS):
        state = replace(START, temperature=temperature, head=head, sentences=sentences, lengths=(6, 1), item=0)
        drawing = draw(state)
        low, high = drawing.figure.axes[0].images[0].get_clim()
        assert -low == high >= float(drawing.panels[0].table.scores.abs().max())
        (bar,) = [axes for axes in drawing.figure.axes if axes.get_ylabel() == "score"]
        assert bar.get_yticks()[-1] == high


def test_three_maps_of_a_sentence_and_two_colour_bars() -> None:
    figure = explorer_figure(START)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.split(":")[0] for title in titles] == ["scores", "masked scores", "weights"]
    limits = [axes.images[0].get_clim() for axes in figure.axes[:3]]
    assert limits == [(-4, 4), (-4, 4), (0, 1)]  # diverging around 0, and the weights' shared scale
    assert [axes.get_ylabel() for axes in figure.axes[3:]] == ["score", "weight"]
    assert figure.caption.endswith("Query 'night' puts 0.56 on 'bark'.")


def test_packed_map_carries_cu_seqlens_at_its_borders() -> None:
    figure = explorer_figure(replace(START, view="packing", lengths=(6, 3)))
    marks = {text.get_text(): text.get_position()[0] for text in figure.axes[2].texts if text.get_text().isdigit()}
    assert marks == {"0": -0.5, "6": 5.5, "9": 8.5}
    assert "cu_seqlens [0, 6, 9]" in figure.caption


def test_the_chosen_cell_is_framed_in_both_views_of_its_sentence() -> None:
    drawing = draw(settled(replace(START, view="packing", query=7, key=6)))
    framed = [
        {tuple(patch.get_path().vertices[0] + 0.5) for patch in panel.axes.patches if patch.get_zorder() == 8}
        for panel in drawing.panels
    ]
    assert [len(cells) for cells in framed] == [0, 1, 1]


def test_the_picture_that_stays_fits_a_narrow_page():
    assert explorer_figure(ExplorerState()).get_figwidth() <= 5.64  # what JupyterLab leaves in a window of 700 pixels
