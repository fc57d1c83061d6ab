"""The mask explorer's widget, without a browser."""

from __future__ import annotations

import re
import statistics
import threading
import time
from dataclasses import replace
from html import unescape

import ipywidgets
import pytest

from attention_lab.explorer import widget as explorer_module
from attention_lab.explorer.figure import draw
from attention_lab.explorer.state import ExplorerState, explained_table
from attention_lab.explorer.widget import EXAMPLES, explore, moved
from attention_lab.explorer.words import explain
from attention_lab.maps.figure import THEMED

START = ExplorerState()


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


def test_the_picture_follows_a_dark_theme_though_no_other_figure_is_shown() -> None:
    assert explore().picture.value.startswith(THEMED)


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
    assert explorer.state.lengths == (9, 4)
    assert "longer sentence" not in explorer.explanation.value
    explorer.controls["first"].value = "a b c d e f g h i j k l m n"
    assert explorer.controls["first"].value == "a b c d e f g h i j k l"
    assert "Of a longer sentence the first 12 words are used." in explorer.explanation.value


CELL = re.compile(r'<span class="explorer-cell"(?: data-query="(\d+)" data-key="(\d+)")? data-says="([^"]*)"')


@pytest.mark.parametrize("padding", ["left", "holes", "none"])
@pytest.mark.parametrize("view", ["steps", "packing"])
def test_a_clicked_cell_is_the_one_that_its_lists_then_explain(view: str, padding: str) -> None:
    explorer = explore(replace(START, view=view, padding=padding))
    assert {"explorer-query", "explorer-key"} <= {
        name for x in ("query", "key") for name in explorer.controls[x]._dom_classes
    }
    cells = CELL.findall(explorer.picture.value)
    panels = draw(explorer.state).panels
    assert len(cells) == sum(len(panel.table.tokens) ** 2 for panel in panels)
    clickable = [cell for cell in cells if cell[0]]
    assert len(clickable) >= len(explained_table(explorer.state).tokens) ** 2
    for query, key, says in clickable[::7]:
        explorer.controls["query"].value, explorer.controls["key"].value = int(query), int(key)
        said = unescape(re.sub("</?em>", "", explorer.explanation.value)).replace("Query", "query")
        bare = re.sub(r" at place \d+", "", unescape(says).translate({ord(mark): None for mark in "“”"}))
        assert bare.split(":")[0].split(", but")[0] in re.sub(r" at place \d+", "", said)


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


def test_a_move_costs_one_picture_and_its_message_is_small() -> None:
    """As a ratio, measured side by side: a move draws its picture once, and does little else."""
    explorer = explore()
    redraws, pictures = [], []
    for head in (1, 2, 0, 1, 2):
        start = time.process_time()
        explorer.controls["head"].value = head
        redraws.append(time.process_time() - start)
        start = time.process_time()
        draw(replace(START, head=head)).figure._repr_png_()
        pictures.append(time.process_time() - start)
    ratio = statistics.median(redraws) / statistics.median(pictures)
    print(f"ipywidgets {ipywidgets.__version__}: a move takes {ratio:.2f} times its picture's processor time")
    assert ratio < 1.5
    assert len(explorer.picture.value) < 100_000  # JupyterLab's server passes 1 MB/s on
