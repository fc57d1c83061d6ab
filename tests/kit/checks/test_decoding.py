"""The exercise of one new token at a time: right answers pass, each mistake fails in three lines."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from attention_lab.checks.case import CheckFailed
from attention_lab.checks.decoding import check_decoding
from attention_lab.flash import flash_attn_varlen_func


def heads(x, num_heads, head_dim):
    return x.unflatten(-1, (num_heads, head_dim))


def attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (heads(x, num_heads, head_dim) for x in (q, k, v))
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=True).flatten(1)


def decoding(borders=None, longest=1, causal=True):
    def decode(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
        own = torch.arange(len(q) + 1, dtype=torch.int32, device=q.device)
        of_queries = borders(own, cu_seqlens) if borders else own
        q, k, v = (heads(x, num_heads, head_dim) for x in (q, k, v))
        return flash_attn_varlen_func(q, k, v, of_queries, cu_seqlens, longest, max_seqlen, causal=causal).flatten(1)

    return decode


def by_sdpa(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    rows = []
    for number, (start, end) in enumerate(zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist(), strict=True)):
        parts = (heads(x, num_heads, head_dim).transpose(0, 1) for x in (q[number, None], k[start:end], v[start:end]))
        rows.append(F.scaled_dot_product_attention(*parts, is_causal=True).transpose(0, 1).flatten(1))
    return torch.cat(rows)


def unwritten(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    raise NotImplementedError("Write your solution here. It is not graded.")


@pytest.mark.parametrize("decode", [decoding(), decoding(causal=False), decoding(longest=200)])
def test_right_answers_pass(decode, capsys):
    check_decoding(decode, attention)
    assert capsys.readouterr().out.count("passed: ") == 3


@pytest.mark.parametrize(
    ("decode", "says"),
    [
        (unwritten, "not implemented yet"),
        (decoding(borders=lambda own, keys: keys), "cu_seqlens_q ends at 15, but q has 4 tokens"),
        (by_sdpa, "is not the last row of your function"),
        (decoding(longest=0), "max_seqlen_q is 0"),
        (lambda q, **others: q[:, :8], "wrong shape"),
        (lambda q, **others: q, "is not the last row of your function"),
    ],
)
def test_each_mistake_fails_in_three_lines(decode, says):
    with pytest.raises(CheckFailed) as failed:
        check_decoding(decode, attention)
    assert says in str(failed.value)
    assert len(str(failed.value).split("\n")) == 3


def test_broken_attention_is_not_taken_for_a_yardstick():
    def no_attention(q, **others):
        raise RuntimeError("not today")

    with pytest.raises(CheckFailed, match="not today"):
        check_decoding(decoding(), no_attention)
