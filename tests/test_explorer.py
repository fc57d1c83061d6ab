"""The mask explorer: its numbers, its sentences, its picture, and the widget without a browser."""

from __future__ import annotations

import itertools
import re
import statistics
import threading
import time
from dataclasses import replace
from html import unescape

import ipywidgets
import pytest
import torch
from matplotlib.transforms import Bbox

from attention_lab.explorer import widget as explorer_module
from attention_lab.explorer.figure import draw, explorer_figure
from attention_lab.explorer.state import (
    HEADS,
    TEMPERATURES,
    ExplorerState,
    explained_table,
    packed_table,
    padded_tables,
    settled,
    vector,
)
from attention_lab.explorer.widget import EXAMPLES, explore, moved
from attention_lab.explorer.words import calculation, explain, sizes
from attention_lab.rules import Reason

START = ExplorerState()
SETTINGS = [
    settled(replace(START, padding=padding, causal=causal, head=head, view=view))
    for padding, causal, (head, view) in itertools.product(
        ("right", "left", "holes", "none"), (True, False), enumerate(("steps", "packing"))
    )
]


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SETTINGS, ids=lambda s: f"{s.padding}-{s.causal}-{s.view}")
def test_weights_are_the_softmax_of_the_scores_that_are_seen(state: ExplorerState) -> None:
    for table in (*padded_tables(state), packed_table(state)):
        seen = table.cells == Reason.VISIBLE
        expected = table.scores.masked_fill(~seen, -torch.inf).softmax(dim=-1).nan_to_num(0.0)
        assert torch.allclose(table.weights, expected, atol=1e-6)


def test_scores_are_the_dot_products_of_the_words_own_vectors() -> None:
    table = padded_tables(START)[0]
    query, key = vector("query", 0, "sat"), vector("key", 0, "cat")
    assert float(table.scores[2, 1]) == sum(a * b for a, b in zip(query, key, strict=True)) / 2
    assert float(padded_tables(replace(START, temperature=0.5))[0].scores[2, 1]) == 2 * float(table.scores[2, 1])


def test_no_vector_of_the_toy_sentences_is_all_zeros() -> None:
    words = [word for sentence in START.sentences for word in sentence]
    assert all(any(vector(role, head, word)) for role in ("query", "key") for head in range(HEADS) for word in words)


def test_where_the_padding_stands_changes_no_weight_between_words() -> None:
    found = []
    for padding in ("right", "left", "holes"):
        table = padded_tables(replace(START, padding=padding, causal=False))[1]
        found.append(table.weights[table.read][:, table.read])
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_padded_and_packed_weights_are_the_same() -> None:
    items, packed = padded_tables(START), packed_table(START)
    for item, start, end in ((0, 0, 6), (1, 6, 10)):
        read = items[item].read
        assert torch.equal(items[item].weights[read][:, read], packed.weights[start:end, start:end])


def test_low_temperatures_pick_one_key_and_high_ones_even_out() -> None:
    cold, hot = (
        padded_tables(replace(START, causal=False, temperature=t))[0].weights[2] for t in (TEMPERATURES[0], 10.0)
    )
    assert float(cold.max()) > 0.99
    assert float(hot.max()) < 0.25


def test_without_padding_sentences_are_cut_to_the_shortest_that_has_words() -> None:
    assert [len(words) for words in replace(START, padding="none").words] == [4, 4]
    assert replace(START, padding="none", lengths=(6, 0)).words == (START.sentences[0],)


def test_an_empty_sentence_repeats_a_border_and_pads_a_whole_row() -> None:
    state = replace(START, lengths=(6, 0))
    assert "cu_seqlens [0, 6, 6]" in sizes(state)[1]
    assert not padded_tables(state)[1].read.any()


def test_places_that_ran_over_the_end_are_moved_back() -> None:
    state = settled(replace(START, view="packing", query=99, key=99))
    assert (state.query, state.key) == (9, 9)
    state = settled(replace(state, view="steps", padding="none", lengths=(2, 0)))
    assert (state.item, state.query, state.key) == (0, 1, 1)


@pytest.mark.parametrize(
    "changes", [{"lengths": (0, 0)}, {"lengths": (1,)}, {"head": 3}, {"temperature": 0.0}], ids=str
)
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match=r"the explorer wants|head must|temperature must"):
        replace(START, **changes)


# ---- sentences -------------------------------------------------------------------------------------------------------


def test_each_reason_has_its_sentence() -> None:
    first, second = padded_tables(replace(START, causal=True))
    assert explain(first, 2, 5) == "query *sat* may not see *mat*: it comes later"
    assert explain(second, 0, 4) == "query *Dogs* may not see *<pad>*: it is padding"
    assert explain(packed_table(START), 7, 1) == "query *bark* may not see *cat*: it belongs to another sequence"
    assert explain(first, 2, 1) == "query *sat* puts 0.69 on *cat*"
    assert explain(second, 4, 0).endswith("on *Dogs*, but it is padding: nobody reads its row")


def test_a_row_without_keys_is_explained() -> None:
    table = padded_tables(replace(START, padding="left"))[1]
    for key in range(6):
        assert explain(table, 0, key).startswith("query *<pad>* sees no key at all: all its scores are −∞")


def test_equal_words_are_told_apart() -> None:
    state = replace(START, sentences=(("a", "b", "a"), ("c",)), lengths=(3, 1), causal=False)
    assert explain(padded_tables(state)[0], 0, 2).endswith("on *a* at place 2")


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_calculation_adds_up(temperature: float) -> None:
    state = replace(START, temperature=temperature)
    table = padded_tables(state)[1]
    words = calculation(state, table, 3, 1)
    query, key, product = re.match(r"\((.*?)\) · \((.*?)\) = (\S+)\. ", words).groups()
    vectors = [[int(n.replace("−", "-")) for n in numbers.split(", ")] for numbers in (query, key)]
    product = float(product.replace("−", "-"))
    assert sum(a * b for a, b in zip(*vectors, strict=True)) == product
    score = float(re.search(r"the score (\S+)\.", words).group(1).replace("−", "-"))
    assert score == pytest.approx(product / 2 / temperature)
    above, below, weight = map(float, re.search(r"and (\S+) / (\S+) = (\S+)\.$", words).groups())
    assert above / below == pytest.approx(weight, abs=0.01)
    assert weight == pytest.approx(float(table.weights[3, 1]), abs=0.005)


def test_a_masked_cell_has_no_calculation() -> None:
    assert calculation(START, padded_tables(START)[0], 0, 5) == ""


def test_sizes_count_rows_and_scores() -> None:
    assert sizes(START) == [
        "Padded: 2 × 6 = 12 rows, 2 · 6² = 72 scores.",
        "Packed: 10 rows, 6² + 4² = 52 scores. cu_seqlens [0, 6, 10], max_seqlen 6.",
    ]


# ---- the picture -----------------------------------------------------------------------------------------------------

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
    assert figure.get_figwidth() <= 10


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


# ---- the widget ------------------------------------------------------------------------------------------------------


def test_every_control_is_a_core_widget_and_has_a_label() -> None:
    explorer = explore()
    for name, control in explorer.controls.items():
        assert type(control).__module__.startswith("ipywidgets."), name
        assert control.description, name
    assert explorer._dom_classes[-1:] == ("attention-explorer",)


MOVES = {
    "view": "packing",
    "example": EXAMPLES[1],
    "first": "Cats sleep",
    "second": "She reads",
    "first_length": 3,
    "second_length": 2,
    "temperature": 0.5,
    "head": 2,
    "padding": "left",
    "causal": False,
    "item": 0,
    "query": 0,
    "key": 0,
}


@pytest.mark.parametrize("name", MOVES)
def test_moving_a_control_changes_the_picture(name: str) -> None:
    explorer = explore()
    before = explorer.picture.value
    explorer.controls[name].value = MOVES[name]
    assert explorer.picture.value != before
    assert explorer.state == moved(START, name, MOVES[name])
    assert set(MOVES) == set(explorer.controls)


@pytest.mark.parametrize("name", ["first_length", "second_length", "temperature"])
def test_a_slider_does_the_same_as_its_control(name: str) -> None:
    explorer = explore()
    explorer.sliders[name].value = MOVES[name]
    assert explorer.controls[name].value == MOVES[name]
    assert explorer.state == moved(START, name, MOVES[name])
    explorer.controls[name].value = {"temperature": 5.0}.get(name, 1)
    assert explorer.sliders[name].value == {"temperature": 5.0}.get(name, 1)


def test_query_and_key_are_explained_below() -> None:
    explorer = explore()
    explorer.controls["view"].value = "packing"
    explorer.controls["query"].value, explorer.controls["key"].value = 7, 1
    assert "Query <em>bark</em> may not see <em>cat</em>: it belongs to another sequence." in explorer.explanation.value
    assert 'aria-live="polite"' in explorer.explanation.value
    assert [label for label, _ in explorer.controls["query"].options][6:8] == ["6: Dogs", "7: bark"]


def test_pointing_at_a_cell_says_what_the_sentence_says() -> None:
    explorer = explore()
    said = [unescape(text) for text in re.findall(r'data-says="([^"]*)"', explorer.picture.value)]
    table = explained_table(START)
    assert len(said) == 3 * len(table.tokens) ** 2
    assert said[:36] == [explain(table, query, key, lambda t: f"“{t}”") for query in range(6) for key in range(6)]


def test_the_layer_of_cells_lies_on_the_panels() -> None:
    state = replace(START, view="packing")
    explorer = explore(state)
    placed = re.findall(r"left:([\d.]+)%;top:([\d.]+)%;width:([\d.]+)%;height:([\d.]+)%", explorer.picture.value)
    panels = [panel.axes.get_position() for panel in draw(state).panels]
    assert len(placed) == len(panels) == 3
    for (left, top, width, height), place in zip(placed, panels, strict=True):
        expected = [100 * place.x0, 100 * (1 - place.y1), 100 * place.width, 100 * place.height]
        assert [float(n) for n in (left, top, width, height)] == pytest.approx(expected, abs=0.01)


def test_typed_words_are_text_and_not_markup() -> None:
    explorer = explore()
    explorer.controls["first"].value = '<script>alert("x")</script> "quoted"'
    explorer.controls["item"].value = 0
    explorer.controls["query"].value = explorer.controls["key"].value = 0
    assert explorer.state.sentences[0] == ('<script>alert("x")</script>', '"quoted"')
    for value in (explorer.picture.value, explorer.explanation.value):
        assert "<script" not in value
    assert "&lt;script&gt;" in explorer.explanation.value


def test_an_emptied_sentence_keeps_its_words_and_a_long_one_is_cut() -> None:
    explorer = explore()
    explorer.controls["first"].value = "   "
    assert explorer.state.sentences == START.sentences
    assert explorer.controls["first"].value == "The cat sat on the mat"
    explorer.controls["first"].value = "one two three four five six seven eight nine"
    assert explorer.state.lengths == (7, 4)


def test_no_change_is_lost_while_another_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = explore()
    drawing, release = threading.Event(), threading.Event()

    def slow_draw(state: ExplorerState):
        drawing.set()
        assert release.wait(20)
        return draw(state)

    monkeypatch.setattr(explorer_module, "draw", slow_draw)
    threads = []
    for name in ("padding", "query"):
        change = threading.Thread(target=setattr, args=(explorer.controls[name], "value", MOVES[name]))
        change.start()
        threads.append(change)
        assert drawing.wait(20)
    release.set()
    for thread in threads:
        thread.join(20)
    assert (explorer.state.padding, explorer.state.query) == ("left", 0)
    assert "padding left" in explorer.picture.value


def test_a_redraw_is_quick_and_its_message_small() -> None:
    explorer = explore()
    times = []
    for head in (1, 2, 0, 1, 2):
        start = time.process_time()
        explorer.controls["head"].value = head
        times.append(time.process_time() - start)
    print(f"ipywidgets {ipywidgets.__version__}: redraw {statistics.median(times):.2f} s of CPU")
    assert statistics.median(times) < 0.3
    assert len(explorer.picture.value) < 100_000  # JupyterLab's server passes 1 MB/s on
