"""What the kit's model was trained on, and that what was recorded is what the scripts record."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import record_heads
import train_repeater
from attention_lab.models.causal import WORDS
from attention_lab.real_heads import RECORDED


def test_scored_words_are_those_that_an_earlier_stretch_says():
    ids, known = train_repeater.draw(torch.Generator().manual_seed(3))
    assert ids.shape == known.shape == (train_repeater.TEXTS, train_repeater.LENGTH)
    assert 0.3 < known.float().mean() < 0.8
    for text, scored in zip(ids.tolist(), known.tolist(), strict=True):
        pairs = list(itertools.pairwise(text))
        assert all(pairs[place - 1] in pairs[: place - 1] for place, one in enumerate(scored) if one)


def test_most_scored_words_can_be_known_in_no_other_way():
    ids, known = train_repeater.draw(torch.Generator().manual_seed(3))
    assert len(set(ids.flatten().tolist())) == len(WORDS)
    fixed = ids == ids.roll(1, 0)  # the same word at the same place of another text
    assert fixed.float().mean() < 0.05
    assert known.float().mean(dim=0)[:4].max() == 0  # no stretch is over by then


@pytest.mark.slow
def test_training_is_repeatable_and_lowers_the_loss(capsys):
    first, second = train_repeater.train(40, seed=1), train_repeater.train(40, seed=1)
    assert all(torch.equal(x, second.state_dict()[name]) for name, x in first.state_dict().items())
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[1] < losses[0] - 0.1


def recorded(kind: str) -> dict[str, np.ndarray]:
    with np.load(RECORDED, allow_pickle=False) as data:
        return {name.removeprefix(f"{kind}."): data[name] for name in data.files if name.startswith(f"{kind}.")}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert set(one) == set(other)
    for name, x in one.items():
        assert np.allclose(x, other[name], atol=5e-3) if x.dtype == np.float16 else (x == other[name]).all(), name


def test_causal_heads_are_the_kit_s_own_model_s():
    assert_same(record_heads.causal_heads(), recorded("causal"))


@pytest.mark.needs("models")
def test_bidirectional_heads_are_the_encoder_s():
    assert_same(record_heads.encoder_heads(), recorded("bidirectional"))
