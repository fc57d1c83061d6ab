"""The picture of the steps from scores to weights."""

from __future__ import annotations

from attention_lab.maps.steps import steps_figure


def test_steps_say_why_a_cell_is_masked():
    visible = [[True, False, False], [True, True, False], [True, True, False]]
    figure = steps_figure(["a", "b", "<pad>"], [[0.0] * 3] * 3, visible, [[0.0] * 3] * 3)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.split(":")[0] for label in labels] == ["causal", "padding", "pale"]
