"""The mask explorer: a widget in which scores, masks and weights move. Core widgets only, for ipywidgets 7.7 and 8."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as widgets

from attention_lab.explorer_figure import Drawing, Panel, draw, explorer_figure
from attention_lab.explorer_state import HEADS, MOST_WORDS, TEMPERATURES, ExplorerState, explained_table, settled
from attention_lab.explorer_words import calculation, explain, sizes

__all__ = ["EXAMPLES", "ExplorerState", "explore", "explorer_figure"]

EXAMPLES = (
    ("The cat sat on the mat", "Dogs bark at night"),
    ("the dog saw the dog", "Go home"),
    ("She reads old books at night", "He sleeps"),
)
VIEWS = (("scores to weights", "steps"), ("padded and packed", "packing"))

# The picture lies below; a cell of the upper layer shows its sentence when it is pointed at
_STYLE = """<style>
.attention-explorer .picture { position: relative; max-width: 1000px; line-height: normal; }
.attention-explorer .picture img { display: block; width: 100%; max-width: none; margin: 0; }
.attention-explorer .panel { position: absolute; display: grid; }
.attention-explorer .cell { position: relative; }
.attention-explorer .cell:hover { outline: 2px solid #111; outline-offset: -2px; }
.attention-explorer .cell:hover::after { content: attr(data-says); position: absolute; z-index: 9; top: 105%; left: 0;
  width: max-content; max-width: 260px; padding: 4px 8px; border-radius: 3px; background: #111; color: #fff;
  font: 13px/1.35 sans-serif; white-space: normal; pointer-events: none; }
.attention-explorer .panel.right .cell:hover::after { left: auto; right: 0; }
.attention-explorer .explanation p { margin: 4px 0; line-height: 1.4; font-size: 14px; }
</style>"""


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
        picture: The picture, with a layer of cells that can be pointed at.
        explanation: The sentence on the chosen cell.
    """

    def __init__(self, state: ExplorerState) -> None:
        self.state = settled(state)
        self.controls = _controls(self.state)
        self.picture = widgets.HTML()
        self.explanation = widgets.HTML()
        self._listening = False
        for name, control in self.controls.items():
            control.observe(self._example_chosen if name == "example" else self._changed, "value")
        rows = (
            ("view", "example", "first", "second"),
            ("first_length", "second_length", "temperature", "head"),
            ("padding", "causal", "item"),
            ("query", "key"),
        )
        boxes = [_row([self.controls[name] for name in row]) for row in rows]
        super().__init__([*boxes[:3], self.picture, boxes[3], self.explanation])
        self.add_class("attention-explorer")
        self._show()

    def _example_chosen(self, change: dict[str, Any]) -> None:
        if not self._listening:
            return
        sentences = tuple(tuple(sentence.split()) for sentence in change["new"])
        self.state = settled(replace(self.state, sentences=sentences, lengths=tuple(map(len, sentences))))
        self._show()

    def _changed(self, change: dict[str, Any]) -> None:
        if self._listening:
            self.state = _read(self.controls, self.state)
            self._show()

    def _show(self) -> None:
        self._listening = False
        try:
            _write(self.controls, self.state)
            self.picture.value = _picture(draw(self.state))
            self.explanation.value = _explanation(self.state)
        finally:
            self._listening = True


# ---- controls --------------------------------------------------------------------------------------------------------


def _controls(state: ExplorerState) -> dict[str, widgets.DOMWidget]:
    sentences = [" ".join(words) for words in state.sentences]
    temperatures = [(f"{temperature:g}", temperature) for temperature in TEMPERATURES]
    return {
        "view": _control(widgets.ToggleButtons, "view", VIEWS),
        "example": _control(widgets.Dropdown, "example", [(" / ".join(pair), pair) for pair in EXAMPLES]),
        "first": _control(widgets.Text, "sentence 1", value=sentences[0], continuous_update=False),
        "second": _control(widgets.Text, "sentence 2", value=sentences[1], continuous_update=False),
        "first_length": _control(widgets.IntSlider, "words of 1", min=1, max=MOST_WORDS),
        "second_length": _control(widgets.IntSlider, "words of 2", min=0, max=MOST_WORDS),
        "temperature": _control(widgets.SelectionSlider, "temperature", temperatures, value=1.0),
        "head": _control(widgets.Dropdown, "head", list(range(HEADS))),
        "padding": _control(widgets.Dropdown, "padding", ["right", "left", "holes", "none"]),
        "causal": _control(widgets.Checkbox, "causal", indent=False),
        "item": _control(widgets.Dropdown, "shown", [("sentence 1", 0), ("sentence 2", 1)]),
        "query": _control(widgets.Dropdown, "query", [("", 0)]),
        "key": _control(widgets.Dropdown, "key", [("", 0)]),
    }


def _control(kind: Callable[..., Any], label: str, options: Sequence[Any] | None = None, **more: Any) -> Any:
    layout = widgets.Layout(width="auto" if kind in (widgets.ToggleButtons, widgets.Checkbox) else "270px")
    choices = {} if options is None else {"options": options}
    return kind(description=label, layout=layout, style={"description_width": "80px"}, **choices, **more)


def _row(controls: Sequence[widgets.DOMWidget]) -> widgets.HBox:
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))


def _read(controls: dict[str, Any], before: ExplorerState) -> ExplorerState:
    """The state that the controls stand for; where a sentence is empty, the one before stays."""
    typed = [tuple(controls[name].value.split()[:MOST_WORDS]) for name in ("first", "second")]
    sentences = tuple(new or old for new, old in zip(typed, before.sentences, strict=True))
    lengths = [controls[f"{name}_length"].value for name in ("first", "second")]
    simple = {name: controls[name].value for name in ("view", "padding", "causal", "head", "temperature", "item")}
    return settled(
        ExplorerState(
            sentences=sentences,
            lengths=tuple(min(length, len(words)) for length, words in zip(lengths, sentences, strict=True)),
            query=controls["query"].value,
            key=controls["key"].value,
            **simple,
        )
    )


def _write(controls: dict[str, Any], state: ExplorerState) -> None:
    """Let the controls show a state, with the words that there are."""
    for name, words, length in zip(("first", "second"), state.sentences, state.lengths, strict=True):
        controls[name].value = " ".join(words)
        controls[f"{name}_length"].max = len(words)
        controls[f"{name}_length"].value = length
    for name in ("view", "padding", "causal", "head", "temperature"):
        controls[name].value = getattr(state, name)
    controls["item"].options = [(f"sentence {item + 1}", item) for item in range(len(state.words))]
    controls["item"].value = state.item
    controls["item"].disabled = state.view == "packing"
    tokens = explained_table(state).tokens
    for name in ("query", "key"):
        controls[name].options = [(f"{place}: {token}", place) for place, token in enumerate(tokens)]
        controls[name].value = getattr(state, name)


# ---- what is shown ---------------------------------------------------------------------------------------------------


def _picture(drawing: Drawing) -> str:
    png = base64.b64encode(drawing.figure._repr_png_()).decode()
    picture = f'<img src="data:image/png;base64,{png}" alt="{escape(drawing.figure.caption)}">'
    panels = "".join(_panel(panel) for panel in drawing.panels)
    return f'{_STYLE}<div class="picture">{picture}{panels}</div>'


def _panel(panel: Panel) -> str:
    """The cells of one panel, laid over the picture; the controls below do the same for a keyboard."""
    place, tokens = panel.axes.get_position(), range(len(panel.table.tokens))
    side = "panel right" if place.x0 > 0.5 else "panel"
    style = (
        f"left:{place.x0:.2%};top:{1 - place.y1:.2%};width:{place.width:.2%};height:{place.height:.2%};"
        f"grid-template-columns:repeat({len(tokens)},1fr);grid-auto-rows:1fr"
    )
    cells = "".join(
        f'<span class="cell" data-says="{escape(explain(panel.table, query, key, _quoted))}"></span>'
        for query in tokens
        for key in tokens
    )
    return f'<div class="{side}" style="{style}" aria-hidden="true">{cells}</div>'


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
    # a live region that is put in anew is read out as an alert, not as a status
    spoken = "".join(f"<p>{line}</p>" for line in lines if line)
    return f'<div class="explanation" role="alert" aria-live="polite" aria-atomic="true">{spoken}</div>'


def _quoted(token: str) -> str:
    return f"“{token}”"
