"""Which key head each head reads: what is expected, what a function does, and what is said of it."""

from __future__ import annotations

import pytest
import torch

from attention_lab import attention_heatmap, attention_map, key_head_heatmap, mask_heatmap, padded_batch
from attention_lab.maps.attention_map import NoMap
from attention_lab.maps.captions import group_words
from attention_lab.maps.key_heads import key_head_cells, key_head_shares
from attention_lab.notebook.run_cells import load
from attention_lab.rules import RULES, Reason
from corpus import CORPUS

WORDS = (("a", "b", "c", "d", "e"), ("f", "g", "h"))
SOURCES = {answer.name: answer.source for answer in CORPUS if answer.variant == "grouped_causal"}
V, G = Reason.VISIBLE, Reason.OTHER_GROUP


def answer(name):
    return load([{"id": "file", "source": SOURCES[name]}], "grouped_causal_attention", "__main__")[1]


def batch_of(heads: int, shared: int, **how):
    return padded_batch(WORDS, num_heads=heads, num_kv_heads=shared, head_dim=4, **how)


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_cells_say_which_key_heads_serve_others():
    assert key_head_cells(batch_of(6, 2)).tolist() == [[V, G]] * 3 + [[G, V]] * 3
    assert key_head_cells(batch_of(6, 1)).tolist() == [[V]] * 6
    assert key_head_cells(padded_batch(WORDS, num_heads=2)).tolist() == [[V, G], [G, V]]


@pytest.mark.parametrize(
    "name", [answer.name for answer in CORPUS if answer.variant == "grouped_causal" and answer.right]
)
@pytest.mark.parametrize(("heads", "shared"), [(6, 2), (6, 3), (6, 1), (3, 3)])
def test_heads_of_a_right_answer_follow_their_own_key_head_alone(name, heads, shared):
    batch = batch_of(heads, shared, padding="left")
    for shares in key_head_shares(answer(name), batch):
        assert torch.allclose(shares, (key_head_cells(batch) == V).float(), atol=1e-5)


def test_keys_and_values_are_told_apart():
    batch = batch_of(6, 2)
    for name, wrong in (("keys-in-turn", "keys"), ("values-in-turn", "values")):
        shares = dict(zip(("keys", "values"), key_head_shares(answer(name), batch), strict=True))
        in_turn = torch.tensor([[1.0, 0.0], [0.0, 1.0]] * 3)
        assert torch.allclose(shares.pop(wrong), in_turn, atol=1e-5)
        assert torch.allclose(*shares.values(), (key_head_cells(batch) == V).float(), atol=1e-5)
        figure = key_head_heatmap("grouped_causal", batch, answer(name))
        assert f"Head 1 follows the {wrong} of key head 1; its own is key head 0." in figure.caption
        assert legend(figure) == [RULES["groups"].legend, "a key head of another group"]


def test_what_is_expected_is_drawn_without_an_answer():
    figure = key_head_heatmap("grouped_causal", batch_of(6, 3))
    assert [axes.get_title() for axes in figure.axes] == ["expected"]
    assert legend(figure) == ["not this group: the key head serves other heads"]
    assert "Heads 0 and 1 read key head 0, 2 and 3 key head 1, 4 and 5 key head 2." in figure.caption
    with_answer = key_head_heatmap("grouped_causal", batch_of(6, 3), answer("enable-gqa"))
    assert [axes.get_title() for axes in with_answer.axes] == ["expected", "keys that move it", "values that move it"]
    assert with_answer.caption.endswith("So do yours.")


def test_what_no_picture_tells_is_said():
    batch = batch_of(4, 2)
    zeros = key_head_heatmap("grouped_causal", batch, lambda q, **others: torch.zeros_like(q))
    assert "Head 0 follows the keys of no key head at all." in zeros.caption
    broken = key_head_heatmap("grouped_causal", batch, lambda q, **others: torch.full_like(q, torch.nan))
    assert "is not finite" in broken.caption
    with pytest.raises(NoMap, match="a tensor of shape"):
        key_head_heatmap("grouped_causal", batch, lambda q, **others: q[:1])
    with pytest.raises(ValueError, match="each head has keys of its own"):
        key_head_heatmap("sdpa_causal", batch)


def test_other_maps_name_the_key_heads_too():
    batch = batch_of(4, 2)
    assert "Heads 0 and 1 read key head 0, 2 and 3 key head 1." in mask_heatmap("grouped_causal", batch).caption
    figure = attention_heatmap("grouped_causal", batch, attention_map(answer("enable-gqa"), batch))
    titles = [axes.get_title() for axes in figure.axes][1:5]
    assert titles == ["head 0, key head 0", "head 1, key head 0", "head 2, key head 1", "head 3, key head 1"]
    own = padded_batch(WORDS, num_heads=2, num_kv_heads=2)
    assert "read" not in mask_heatmap("grouped_causal", own).caption


@pytest.mark.parametrize(
    ("heads", "shared", "words"),
    [
        (6, 2, "Heads 0 to 2 read key head 0, 3 to 5 key head 1."),
        (6, 1, "All heads read key head 0."),
        (3, 3, "Each head reads the key head of its own number."),
    ],
)
def test_groups_in_words(heads, shared, words):
    assert group_words(heads, shared) == words
