"""Batches as learners meet them: padded, packed, and back."""

from __future__ import annotations

import pytest
import torch

from attention_lab import pack, packed_batch, padded_batch, unpack


@pytest.mark.parametrize(
    ("padding", "mask"),
    [("right", [1, 1, 1, 1, 0, 0]), ("left", [0, 0, 1, 1, 1, 1]), ("holes", [1, 1, 0, 0, 0, 1, 1])],
)
def test_padding_goes_where_it_is_asked(padding, mask):
    batch = padded_batch(padding=padding)
    assert batch.mask[1].int().tolist() == mask
    assert [token == "<pad>" for token in batch.tokens[1]] == [not real for real in mask]
    assert batch.q.shape == (2, len(mask), 24)


def test_padding_none_wants_equal_lengths():
    with pytest.raises(ValueError, match="one length"):
        padded_batch(padding="none")
    assert padded_batch((("a", "b"), ("c", "d")), padding="none").mask is None


def test_cu_seqlens_are_the_running_sum_in_int32():
    batch = packed_batch((("a",) * 2, ("b",) * 3, ("c",) * 4))
    assert batch.cu_seqlens.tolist() == [0, 2, 5, 9]
    assert batch.cu_seqlens.dtype == torch.int32
    assert (batch.max_seqlen, batch.lengths, batch.total_tokens) == (4, (2, 3, 4), 9)


@pytest.mark.parametrize("batch_of", [padded_batch, packed_batch])
def test_keys_may_have_fewer_heads(batch_of):
    batch = batch_of(num_heads=6, num_kv_heads=2, head_dim=5)
    assert (batch.q.shape[-1], batch.k.shape[-1], batch.v.shape[-1]) == (30, 10, 10)
    assert (batch.num_kv_heads, batch.arguments()["num_kv_heads"]) == (2, 2)
    assert batch_of(num_heads=6).num_kv_heads == 6
    assert "num_kv_heads" not in batch_of(num_heads=6).arguments()
    for wrong in (4, 0, 12):
        with pytest.raises(ValueError, match="num_kv_heads must divide num_heads"):
            batch_of(num_heads=6, num_kv_heads=wrong)


def test_unpack_undoes_pack_at_real_tokens():
    batch = padded_batch(padding="holes")
    packed, cu_seqlens, max_seqlen = pack(batch.q, batch.mask)
    assert packed.shape[0] == int(batch.mask.sum()) == int(cu_seqlens[-1])
    assert max_seqlen == 6
    assert torch.equal(unpack(packed, batch.mask), batch.q * batch.mask[..., None])
