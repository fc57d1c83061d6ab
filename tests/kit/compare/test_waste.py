"""What padding wastes, in tokens and operations."""

from __future__ import annotations

from attention_lab.compare import waste


def test_waste_is_counted():
    counted = waste.Waste((2, 4), hidden_dim=8)
    assert (counted.padded_tokens, counted.packed_tokens) == (8, 6)
    assert (counted.padded_flops, counted.packed_flops) == (4 * 8 * 32, 4 * 8 * 20)
    assert str(counted).endswith("Padding wastes 25% of the tokens and 38% of the operations.")


def test_lengths_are_ragged_and_hold_the_longest():
    lengths = waste.ragged_lengths(batch=16, longest=256)
    assert len(lengths) == 16
    assert max(lengths) == 256
    assert min(lengths) >= 1
    assert sorted(lengths)[8] < 128
