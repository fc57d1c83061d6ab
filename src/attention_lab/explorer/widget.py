"""The mask explorer: a widget in which scores, masks and weights move. Core widgets only, for ipywidgets 7.7 and 8."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets
import traitlets

from attention_lab.explorer.figure import draw, explorer_figure, places_of
from attention_lab.explorer.state import HEADS, MOST_WORDS, TEMPERATURES, ExplorerState, explained_table, settled
from attention_lab.explorer.words import calculation, explain, sizes
from attention_lab.maps.figure import DPI, THEMED
from attention_lab.maps.steps import Drawing, Panel

__all__ = ["EXAMPLES", "ExplorerState", "explore", "explorer_figure"]

EXAMPLES = (
    ("The cat sat on the mat", "Dogs bark at night"),
    ("the dog saw the dog", "Go home"),
    ("She reads old books at night", "He sleeps"),
)
_WITH_SLIDERS = ("words of 1", "words of 2", "temperature")
_SMALLEST = 0.65  # of a picture's full size, where it does not fit; smaller, and its words could not be read
VIEWS = (("one sentence", "steps"), ("padded, packed", "packing"))

# The picture lies below; a cell of the upper layer shows its sentence when it is pointed at. Where the window is too
# narrow, the picture scrolls; where its kernel is gone, JupyterLab marks a widget as disconnected
_STYLE = """<style>
.attention-explorer .widget-html, .attention-explorer .widget-html-content { min-width: 0; max-width: 100%; }
.attention-explorer .explorer-scroller { overflow-x: auto; }
.attention-explorer .explorer-picture { position: relative; line-height: normal; }
.attention-explorer .explorer-picture img { display: block; width: 100%; max-width: none; margin: 0; }
.attention-explorer .explorer-panel { position: absolute; display: grid; }
.attention-explorer .explorer-cell { position: relative; }
.attention-explorer .explorer-cell[data-query] { cursor: pointer; }
.attention-explorer .explorer-cell:hover { outline: 2px solid #111; outline-offset: -2px; }
.attention-explorer .explorer-cell:hover::after { content: attr(data-says); position: absolute; z-index: 9; top: 105%;
  left: 0; width: max-content; max-width: 260px; padding: 4px 8px; border-radius: 3px; background: #111; color: #fff;
  font: 13px/1.35 sans-serif; white-space: normal; pointer-events: none; }
.attention-explorer .explorer-right .explorer-cell:hover::after { left: auto; right: 0; }
.attention-explorer .explorer-explanation p { margin: 4px 0; line-height: 1.4; font-size: 14px; }
.attention-explorer .jupyter-widgets-disconnected::before { content: none; }
.attention-explorer.jupyter-widgets-disconnected::before { padding: 8px 12px; margin-bottom: 8px; color: inherit;
  border-left: 4px solid #d62728; font: 14px/1.4 sans-serif; content: "The kernel was restarted, and these controls \
no longer work. To bring them back, run all cells again."; }
</style>"""

# A click chooses a cell as the two lists below the picture do
_CHOOSE = """
const cell = event.target.closest('.explorer-cell[data-query]');
if (cell) for (const name of ['query', 'key']) {
  const list = this.closest('.attention-explorer').querySelector(`.explorer-${name} select`);
  list.selectedIndex = Number(cell.dataset[name]);
  list.dispatchEvent(new Event('change', { bubbles: true }));
}"""


def explore(state: ExplorerState | None = None) -> Explorer:
    """Open the mask explorer.

    Args:
        state: Where it starts; by default the course's two toy sentences, causal, padded on the right.

    Returns:
        A widget; as a cell's last expression it is shown. Its ``state`` is what it shows at the moment:
        ``explorer_figure(explorer.state)`` draws the same as a picture that stays in a saved notebook.
    """
    return Explorer(state or ExplorerState())


class Explorer(widgets.VBox):
    """The widget: controls, the picture, and a sentence on the chosen cell.

    Attributes:
        state: What it shows.
        controls: The controls by name.
        sliders: Those of three controls, by the same names: sliders have no label that is read out.
        picture: The picture, with a layer of cells that can be pointed at.
        explanation: The sentence on the chosen cell.
    """

    def __init__(self, state: ExplorerState) -> None:
        self.state = settled(state)
        self.controls = _controls(self.state)
        self.sliders = {name: _slider(self.controls[name]) for name in ("first_length", "second_length", "temperature")}
        self.picture = widgets.HTML()
        self.explanation = widgets.HTML()
        # JupyterLab lets one control's change come in, on another thread, while another's is still being drawn
        self._lock = threading.RLock()
        self._writing = False
        for name, control in self.controls.items():
            control.observe(partial(self._changed, name), "value")
        rows = (
            ("view", "example"),
            ("first", "first_length", "item"),
            ("second", "second_length", "causal"),
            ("padding", "temperature", "head"),
            ("query", "key"),
        )
        for name in ("query", "key"):
            self.controls[name].add_class(f"explorer-{name}")
        boxes = [_row([widget for name in row for widget in self._widgets(name)]) for row in rows]
        super().__init__([*boxes[:4], self.picture, boxes[4], self.explanation])
        self.add_class("attention-explorer")
        self._show()

    def _widgets(self, name: str) -> list[widgets.DOMWidget]:
        return [self.controls[name], *([self.sliders[name]] if name in self.sliders else [])]

    def _changed(self, name: str, change: dict[str, Any]) -> None:
        with self._lock:
            if not self._writing:  # this thread holds the lock: nobody but this widget itself is writing
                self.state = moved(self.state, name, change["new"])
                self._show()

    def _show(self) -> None:
        self._writing = True
        try:
            _write(self.controls, self.state)
            self.picture.value = _picture(self.state, draw(self.state))
            self.explanation.value = _explanation(self.state)
        finally:
            self._writing = False


def moved(state: ExplorerState, name: str, value: Any) -> ExplorerState:
    """The state after one control was moved.

    Args:
        state: The state before.
        name: The control's name.
        value: Its new value: for ``"example"`` a pair of sentences, for ``"first"`` and ``"second"`` a sentence.

    Returns:
        The new state; an empty sentence changes nothing.
    """
    place = 1 if name.startswith("second") else 0
    if name == "example":
        sentences = tuple(tuple(sentence.split()) for sentence in value)
        state = replace(state, sentences=sentences, lengths=tuple(map(len, sentences)))
    elif name in ("first", "second"):
        words = tuple(value.split()[:MOST_WORDS]) or state.sentences[place]
        sentences, lengths = _with(state.sentences, place, words), _with(state.lengths, place, len(words))
        state = replace(state, sentences=sentences, lengths=lengths)
    elif name in ("first_length", "second_length"):
        state = replace(state, lengths=_with(state.lengths, place, min(value, len(state.sentences[place]))))
    else:
        state = replace(state, **{name: value})
    return settled(state)


def _with(values: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*values[:place], value, *values[place + 1 :])


# ---- controls --------------------------------------------------------------------------------------------------------


def _controls(state: ExplorerState) -> dict[str, widgets.DOMWidget]:
    sentences = [" ".join(words) for words in state.sentences]
    temperatures = [(f"{temperature:g}", temperature) for temperature in TEMPERATURES]
    return {
        "view": _control(widgets.ToggleButtons, "view", VIEWS),
        "example": _control(widgets.Dropdown, "example", [(" / ".join(pair), pair) for pair in EXAMPLES]),
        "first": _control(widgets.Text, "sentence 1", value=sentences[0], continuous_update=False),
        "second": _control(widgets.Text, "sentence 2", value=sentences[1], continuous_update=False),
        "first_length": _control(widgets.BoundedIntText, "words of 1", min=1, max=MOST_WORDS),
        "second_length": _control(widgets.BoundedIntText, "words of 2", min=0, max=MOST_WORDS),
        "temperature": _control(widgets.Dropdown, "temperature", temperatures, value=1.0),
        "head": _control(widgets.Dropdown, "head", list(range(HEADS))),
        "padding": _control(widgets.Dropdown, "padding", ["right", "left", "holes", "none"]),
        "causal": _control(widgets.Checkbox, "causal"),
        "item": _control(widgets.Dropdown, "shown", [("sentence 1", 0), ("sentence 2", 1)]),
        "query": _control(widgets.Dropdown, "query", [("", 0)]),
        "key": _control(widgets.Dropdown, "key", [("", 0)]),
    }


def _control(kind: Callable[..., Any], label: str, options: Sequence[Any] | None = None, **more: Any) -> Any:
    """A control whose label belongs to it, so that it is read out."""
    width = {"view": "410px", "example": "420px", **dict.fromkeys(_WITH_SLIDERS, "160px")}
    width |= dict.fromkeys(("sentence 1", "sentence 2", "padding", "query"), "285px")  # shows the toy sentences whole
    layout = widgets.Layout(width=width.get(label, "260px"))
    choices = {} if options is None else {"options": options}
    return kind(description=label, layout=layout, style={"description_width": "90px"}, **choices, **more)


def _slider(control: Any) -> Any:
    """A slider that does the same as a control, for those who use a mouse."""
    layout = widgets.Layout(width="100px")
    if isinstance(control, widgets.Dropdown):
        slider = widgets.SelectionSlider(options=control.options, value=control.value, readout=False, layout=layout)
    else:
        slider = widgets.IntSlider(min=control.min, max=control.max, readout=False, layout=layout)
        traitlets.link((control, "max"), (slider, "max"))
    traitlets.link((control, "value"), (slider, "value"))
    return slider


def _row(controls: Sequence[widgets.DOMWidget]) -> widgets.HBox:
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))


def _write(controls: dict[str, Any], state: ExplorerState) -> None:
    """Let the controls show a state, with the words that there are."""
    for name, words, length in zip(("first", "second"), state.sentences, state.lengths, strict=True):
        controls[name].value = " ".join(words)
        controls[f"{name}_length"].max = len(words)
        controls[f"{name}_length"].value = length
    for name in ("view", "padding", "causal", "head", "temperature"):
        controls[name].value = getattr(state, name)
    _offer(controls["item"], [f"sentence {item + 1}" for item in range(len(state.words))], state.item)
    controls["item"].disabled = state.view == "packing"
    for name in ("query", "key"):
        labels = [f"{place}: {token}" for place, token in enumerate(explained_table(state).tokens)]
        _offer(controls[name], labels, getattr(state, name))


def _offer(control: widgets.Dropdown, labels: Sequence[str], place: int) -> None:
    """Let a dropdown offer places by their labels, in one message and only if they are others.

    New options set a dropdown back to its first for a moment: that could undo a choice that is on its way.
    """
    options = tuple((label, place) for place, label in enumerate(labels))
    with control.hold_sync():
        if tuple(control.options) != options:
            control.options = options
        control.value = place


# ---- what is shown ---------------------------------------------------------------------------------------------------


def _picture(state: ExplorerState, drawing: Drawing) -> str:
    png = base64.b64encode(drawing.figure._repr_png_()).decode()
    picture = f'<img src="data:image/png;base64,{png}" alt="{escape(drawing.figure.caption)}">'
    places = places_of(state, drawing.panels)
    panels = "".join(_panel(*both) for both in zip(drawing.panels, places, strict=True))
    width = round(drawing.figure.get_figwidth() * DPI)
    size = f"width:{width}px;max-width:100%;min-width:{round(_SMALLEST * width)}px"
    layers = f'<div class="explorer-picture" style="{size}" onclick="{escape(_CHOOSE)}">{picture}{panels}</div>'
    return f'{THEMED}{_STYLE}<div class="explorer-scroller">{layers}</div>'


def _panel(panel: Panel, places: Sequence[int | None]) -> str:
    """The cells of one panel, laid over the picture; the controls below do the same for a keyboard.

    Args:
        panel: The panel.
        places: At which place of the lists each of its tokens is; ``None`` where it is in none.
    """
    place, tokens = panel.axes.get_position(), range(len(panel.table.tokens))
    side = "explorer-panel explorer-right" if place.x0 > 0.5 else "explorer-panel"
    style = (
        f"left:{place.x0:.2%};top:{1 - place.y1:.2%};width:{place.width:.2%};height:{place.height:.2%};"
        f"grid-template-columns:repeat({len(tokens)},1fr);grid-auto-rows:1fr"
    )
    cells = "".join(_cell(panel, places, query, key) for query in tokens for key in tokens)
    return f'<div class="{side}" style="{style}" aria-hidden="true">{cells}</div>'


def _cell(panel: Panel, places: Sequence[int | None], query: int, key: int) -> str:
    known = None not in (places[query], places[key])
    chosen = f' data-query="{places[query]}" data-key="{places[key]}"' if known else ""
    return (
        f'<span class="explorer-cell"{chosen} data-says="{escape(explain(panel.table, query, key, _quoted))}"></span>'
    )


def _explanation(state: ExplorerState) -> str:
    table = explained_table(state)
    said = explain(table, state.query, state.key, lambda token: f"<em>{escape(token)}</em>")
    lines = [f"<strong>{said[0].upper()}{said[1:]}.</strong>", calculation(state, table, state.query, state.key)]
    if state.view == "packing":
        lines += sizes(state)
    if len(state.words) < len(state.sentences):
        lines.append("Without padding an empty sentence has no row: it is left out.")
    elif state.padding == "none" and len(set(state.lengths)) > 1:
        lines.append(f"Without padding both sentences have the same length: {len(state.words[0])}.")
    if any(len(words) == MOST_WORDS for words in state.sentences):
        lines.append(f"Of a longer sentence the first {MOST_WORDS} words are used.")
    # a live region that is put in anew is read out as an alert, not as a status
    spoken = "".join(f"<p>{line}</p>" for line in lines if line)
    return f'<div class="explorer-explanation" role="alert" aria-live="polite" aria-atomic="true">{spoken}</div>'


def _quoted(token: str) -> str:
    return f"“{token}”"
