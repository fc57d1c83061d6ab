"""Batches as learners meet them: padded, packed and back, and cached."""

from __future__ import annotations

import pytest
import torch

from attention_lab import cached_batch, pack, packed_batch, padded_batch, unpack


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


def test_a_cache_has_room_and_its_last_tokens_ask():
    batch = cached_batch((("a", "b", "c"), ("d", "e")), new=2, max_len=5, num_heads=4, num_kv_heads=1, head_dim=6)
    assert batch.tokens == (("a", "b", "c", "–", "–"), ("d", "e", "–", "–", "–"))
    assert (batch.cache_seqlens.tolist(), batch.cache_seqlens.dtype) == ([3, 2], torch.int32)
    assert batch.q.shape == (2, 2, 24)
    assert batch.k_cache.shape == batch.v_cache.shape == (2, 5, 1, 6)
    assert (batch.batch, batch.new, batch.max_len, batch.hidden_dim) == (2, 2, 5, 24)
    assert batch.k_cache[:, 3:].abs().min() > 0  # unused places hold something
    assert cached_batch(max_len=6).tokens[0] == ("The", "cat", "sat", "on", "the", "mat")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"new": 5}, r"sentences of at least new = 5 words, and new at least 1; got \[6, 4\]"),
        ({"new": 0}, "new at least 1"),
        ({"sentences": ()}, r"got \[\]"),
        ({"max_len": 5}, "6 words does not fit into a cache of max_len = 5 places"),
        ({"num_kv_heads": 4}, "num_kv_heads must divide num_heads"),
    ],
)
def test_a_cache_that_does_not_fit_is_refused(how, words):
    with pytest.raises(ValueError, match=words):
        cached_batch(**how)
