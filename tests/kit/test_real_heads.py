"""Batches of trained heads: as the variants take them, and what the heads do."""

from __future__ import annotations

import pytest
import torch

from attention_grading.reference import attend
from attention_lab import VARIANTS, PackedBatch, attention_map, real_batch
from attention_lab.maps.heatmaps import caption
from attention_lab.real_heads import RECORDED
from attention_lab.roles import by_role

PREVIOUS, AFTER = "the previous token", "what followed the same word earlier"


def weights_of(variant, batch):
    return attention_map(lambda **arguments: attend(variant, by_role(arguments)).to(arguments["q"].dtype), batch)


def test_the_recorded_file_is_small():
    assert RECORDED.stat().st_size < 40_000


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_gets_its_kind_of_batch(name):
    batch, variant = real_batch(name), VARIANTS[name]
    assert isinstance(batch, PackedBatch) == variant.packed
    assert batch.q.dtype == (torch.float16 if variant.packed else torch.float32)
    arguments = by_role(batch.arguments())
    assert {arguments[x].shape[-1] for x in ("q", "k", "v")} == {96}
    assert (batch.num_heads, batch.head_dim) == (3, 32)
    assert set(arguments) == set(variant.parameters)


@pytest.mark.parametrize("padding", ["right", "left", "holes"])
@pytest.mark.parametrize("names", [("eager_bidirectional", "flash_bidirectional"), ("sdpa_causal", "flash_causal")])
def test_padded_and_packed_hold_the_same_numbers(names, padding):
    padded, packed = real_batch(names[0], padding=padding), real_batch(names[1])
    assert torch.equal(padded.q[padded.mask].half(), packed.q)
    assert not padded.k[~padded.mask].any()
    words = [word for row in padded.tokens for word in row if word != "<pad>"]
    assert tuple(words) == packed.tokens


@pytest.mark.parametrize("name", VARIANTS)
def test_captions_say_what_trained_heads_do(name):
    batch, variant = real_batch(name), VARIANTS[name]
    weights = weights_of(variant, batch)
    targets = (PREVIOUS, AFTER, AFTER) if variant.causal else (PREVIOUS, "the next token", "the first token")
    for item in range(1 if variant.packed else 2):
        words = caption(variant, batch, weights, item)
        for head, target in enumerate(targets):
            assert f"Head {head} puts" in words
            assert words.split(f"Head {head} puts")[1].split(".")[1].endswith(f"of its weight on {target}, on average")


def test_captions_say_nothing_of_heads_whose_weights_show_nothing():
    batch = real_batch("eager_bidirectional")
    even = torch.full((2, 3, 8, 8), 1 / 8)
    assert "Head" not in caption("eager_bidirectional", batch, even)


def test_padding_none_is_refused():
    with pytest.raises(ValueError, match="one length"):
        real_batch("eager_causal", padding="none")
