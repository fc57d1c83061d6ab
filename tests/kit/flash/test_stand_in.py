"""What the stand-in costs: each sequence alone, and no table of its scores; ``tests/gpu`` asks its numbers."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from attention_lab.checks.intermediates import Meter
from attention_lab.compare.functions import paired_batches
from attention_lab.compare.waste import Waste
from attention_lab.flash.stand_in import BLOCK, flash_attn_varlen_stand_in
from gpu.flash_contract import call, reference

HEADS, HEAD_DIM = 2, 16


def arguments(lengths: tuple[int, ...]) -> dict:
    batch = paired_batches(lengths, num_heads=HEADS, head_dim=HEAD_DIM)[1]
    qkv = {name: getattr(batch, name).unflatten(-1, (HEADS, HEAD_DIM)) for name in "qkv"}
    borders = {f"cu_seqlens_{name}": batch.cu_seqlens for name in "qk"}
    return qkv | borders | {f"max_seqlen_{name}": max(lengths) for name in "qk"}


def operations(lengths: tuple[int, ...], **options) -> int:
    with FlopCounterMode(display=False) as counter:
        flash_attn_varlen_stand_in(**arguments(lengths), **options)
    return counter.get_total_flops()


def peak_bytes(lengths: tuple[int, ...]) -> int:
    given = arguments(lengths)
    with torch.no_grad(), Meter() as meter:
        flash_attn_varlen_stand_in(**given)
    return meter.seen().peak


def test_it_computes_the_scores_of_each_sequence_with_itself_and_no_others():
    lengths = (60, 7, 33, 0, 150)
    assert operations(lengths) == Waste(lengths, HEADS * HEAD_DIM).packed_flops


@pytest.mark.parametrize("options", [{"causal": True}, {"window_size": (64, 64)}])
def test_it_skips_blocks_that_no_query_of_theirs_sees(options):
    assert operations((1024,), **options) < 0.6 * operations((1024,))


def test_its_memory_grows_with_the_tokens_and_not_with_their_square():
    assert peak_bytes((1024,)) < 2.2 * peak_bytes((512,))
    assert peak_bytes((256,) * 4) < 2.2 * peak_bytes((256,) * 2)


def test_it_calls_no_fused_kernel_that_a_grader_would_take_for_the_callers_own():
    ran = []

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            ran.append(str(func))
            return func(*args, **(kwargs or {}))

    with Spy():
        flash_attn_varlen_stand_in(**arguments((3, 5)), causal=True)
    assert ran
    assert not [name for name in ran if "attention" in name]


@pytest.mark.parametrize(
    ("lengths", "keys", "options"),
    [
        ((BLOCK, 3 * BLOCK + 5), None, {"window_size": (BLOCK + 3, 7)}),
        ((2 * BLOCK + 1, 0, 9), None, {"causal": True, "window_size": (5, 5)}),
        ((3 * BLOCK, 4), (BLOCK // 2, 2), {"causal": True}),  # whole blocks of queries see no key
        ((BLOCK // 2, 1), (3 * BLOCK, 0), {"causal": True}),
    ],
)
def test_blocks_give_the_numbers_of_the_whole(lengths, keys, options):
    arguments = call(lengths, heads=4, kv_heads=2, head_dim=16, dtype=torch.float16, keys=keys) | options
    leaves = {name: arguments[name].requires_grad_() for name in "qkv"}
    exact = {name: x.detach().double().requires_grad_() for name, x in leaves.items()}
    output, lse, _ = flash_attn_varlen_stand_in(**arguments, return_attn_probs=True)
    expected, expected_lse = reference(**arguments | exact)
    torch.testing.assert_close(output.double(), expected, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(lse.double(), expected_lse, atol=1e-3, rtol=1e-3)
    cotangent = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).half()
    ours = torch.autograd.grad(output, list(leaves.values()), cotangent)
    theirs = torch.autograd.grad(expected, list(exact.values()), cotangent.double())
    for got, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got.double(), wanted, atol=4e-3, rtol=4e-3)
