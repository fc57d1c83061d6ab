"""Pictures of what models say: captions hold the numbers."""

from __future__ import annotations

import pytest
import torch

from attention_lab.models.pictures import chances_figure, similarity_figure

ONE = torch.tensor([[1.0, 0.7, 0.0], [0.7, 1.0, 0.1], [0.0, 0.1, 1.0]])
OTHER = torch.tensor([[1.0, 0.6, 0.4], [0.6, 1.0, 0.1], [0.4, 0.1, 1.0]])
SENTENCES = ("Cats sleep.", "A cat naps.", "Shares fell.")


def test_similarities_are_described_with_what_changes_most():
    figure = similarity_figure({"mine": ONE, "broken": OTHER}, SENTENCES)
    assert "3: Shares fell." in figure.caption
    assert "mine: 1 and 2 are most alike (0.70)." in figure.caption
    assert "broken: 1 and 3 change most, from 0.00 to 0.40." in figure.caption
    assert [axes.get_title() for axes in figure.axes] == ["mine", "broken"]
    assert [text.get_text() for text in figure.axes[1].texts][2] == "0.40"


def test_one_sentence_is_drawn_too():
    assert similarity_figure({"mine": torch.ones(1, 1)}, ["Cats sleep."]).caption.endswith("1: Cats sleep.")


def test_chances_are_bars_and_counted_for_new_words_and_old():
    chances = {"mine": torch.tensor([0.1, 0.2, 0.9]), "ahead": torch.tensor([0.8, 0.7, 0.9])}
    figure = chances_figure("a b c b", chances)
    assert "mine: of 2 new words 0 had more than 0.5, of 1 that come again 1 had." in figure.caption
    assert "ahead: of 2 new words 2 had more than 0.5, of 1 that come again 1 had." in figure.caption
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([0.1, 0.2, 0.9, 0.8, 0.7, 0.9])
    centres = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    assert [round(x) for x in centres] == [1, 2, 3, 1, 2, 3]  # nothing is expected of the first word
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c", "b"]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="nothing to draw"):
        similarity_figure({}, SENTENCES)
    with pytest.raises(ValueError, match="two words or more"):
        chances_figure("a", {"mine": torch.zeros(0)})
    with pytest.raises(ValueError, match="one or 2 functions"):
        chances_figure("a b", dict.fromkeys("xyz", torch.zeros(1)))
