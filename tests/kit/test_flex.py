"""FlexAttention in the kit: nothing is compiled, its calls and block masks are understood, and its absence is said."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import warnings
from typing import get_args

import pytest
import torch

from attention_lab import flex
from attention_lab.checks.calls import Setting
from attention_lab.flex import EMPTY, FULL, PARTIAL, block_masks, create_block_mask, flex_attention


@pytest.fixture(autouse=True)
def _compiler_loaded():
    flex.load_compiler()


def inputs(tokens: int, heads: int = 3, head_dim: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, heads, tokens, head_dim, generator=generator) for _ in range(3)]


def causal(b, h, q_idx, kv_idx):
    return kv_idx <= q_idx


def documents(labels: torch.Tensor):
    return lambda b, h, q_idx, kv_idx: (kv_idx <= q_idx) & (labels[q_idx] == labels[kv_idx])


def masked(mask_mod, tokens: int):
    return create_block_mask(mask_mod, None, None, tokens, tokens, device="cpu")


def test_uncompiled_calls_are_not_traced():
    counters = torch._dynamo.utils.counters
    for tokens, context in ((11, flex.uncompiled()), (12, contextlib.nullcontext())):
        counters.clear()
        with context, torch.no_grad():
            output = flex_attention(*inputs(tokens), block_mask=masked(causal, tokens))
        assert bool(counters["stats"]) == isinstance(context, contextlib.nullcontext)
        expected = torch.nn.functional.scaled_dot_product_attention(*inputs(tokens), is_causal=True)
        torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("wants_gradients", [False, True])
def test_indices_in_mask_functions_give_the_same_with_and_without_gradients(wants_gradients):
    labels = torch.tensor([7, 7, 3, 3, 3, 9, 9])
    with torch.set_grad_enabled(wants_gradients), flex.uncompiled():
        output = flex_attention(*inputs(7), block_mask=masked(documents(labels), 7))
    seen = (labels[:, None] == labels) & torch.ones(7, 7, dtype=torch.bool).tril()
    expected = torch.nn.functional.scaled_dot_product_attention(*inputs(7), attn_mask=seen)
    torch.testing.assert_close(output, expected)


def test_a_call_warns_nobody_that_it_is_not_compiled():
    command = (
        "import torch; from attention_lab.flex import flex_attention; x = torch.zeros(1, 1, 2, 8); "
        "flex_attention(x, x, x)"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("setting", get_args(Setting))
def test_calls_of_other_notebooks_import_no_compiler(setting):
    command = (
        "import sys, torch; from attention_lab.checks.calls import Call, perform; "
        "q = torch.ones(2, 3, 4); "
        f"call = Call(dict(q=q, k=q, v=q), setting={setting!r}); "
        "outcome = perform(lambda q, k, v: (q @ k.mT).softmax(-1) @ v, call); assert outcome.failure is None; "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_forward_alone_is_said_where_pytorch_refuses_gradients():
    reason = flex.forward_alone("cpu")
    x = torch.zeros(1, 1, 1, 8, requires_grad=True)
    try:
        flex_attention(x, x, x)
    except NotImplementedError:
        assert reason.endswith("has no backward pass of flex_attention on a CPU")
    else:
        assert reason == ""


def test_without_flex_attention_a_call_says_so_in_one_sentence(monkeypatch):
    monkeypatch.setattr(flex, "_flex", None)
    with pytest.raises(RuntimeError, match=r"^This PyTorch \(.*\) has no flex_attention: this notebook"):
        flex._not_here()
    assert flex.forward_alone.__wrapped__("cpu") == "this PyTorch has no flex_attention"


# ---- its calls -------------------------------------------------------------------------------------------------------


def asked_for(**how) -> flex.FlexCall:
    seen = []

    def show(true, args):
        seen.append(flex.understood(args))
        return true(*args)

    with flex.uncompiled(), flex.shown_as(show), torch.no_grad():
        flex_attention(*inputs(5), **how)
    (call,) = seen
    return call


def test_a_call_is_understood():
    call = asked_for(block_mask=masked(causal, 5), score_mod=lambda score, b, h, i, j: score + 2.0 * h, scale=0.5)
    assert call.visible.shape == (1, 3, 5, 5)
    assert torch.equal(call.visible[0, 1], torch.ones(5, 5, dtype=torch.bool).tril())
    assert call.bias[0, 2, 4, 0].item() == pytest.approx(4.0, abs=1e-5)
    assert call.scale == 0.5
    assert call.by_block_mask


@pytest.mark.parametrize("with_block_mask", [False, True])
def test_what_a_score_mod_hides_no_block_mask_hides(with_block_mask):
    def hides(score, b, h, i, j):
        return torch.where(j <= i, score, -float("inf"))

    block_mask = masked(lambda b, h, i, j: j >= 0, 5) if with_block_mask else None
    call = asked_for(score_mod=hides, block_mask=block_mask)
    assert not call.by_block_mask
    assert torch.equal(call.visible[0, 0], torch.ones(5, 5, dtype=torch.bool).tril())


# ---- its block masks -------------------------------------------------------------------------------------------------


def test_blocks_are_empty_partial_or_full():
    with block_masks() as found, flex.uncompiled(), torch.no_grad():
        flex_attention(*inputs(384, heads=1), block_mask=masked(causal, 384))
    (blocks,) = found
    assert blocks.tolist() == [
        [PARTIAL, EMPTY, EMPTY],
        [FULL, PARTIAL, EMPTY],
        [FULL, FULL, PARTIAL],
    ]


def test_a_length_that_128_does_not_divide_has_one_more_block():
    with block_masks() as found, flex.uncompiled(), torch.no_grad():
        flex_attention(*inputs(130, heads=1), block_mask=masked(causal, 130))
    assert found[0].tolist() == [[PARTIAL, EMPTY], [PARTIAL, PARTIAL]]


def test_afterwards_pytorch_is_as_it_was():
    before = torch.nn.attention.flex_attention.BlockMask.as_tuple
    with block_masks(), flex.shown_as(lambda true, args: true(*args)), flex.any_device(), flex.uncompiled():
        pass
    assert torch.nn.attention.flex_attention.BlockMask.as_tuple is before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with flex.uncompiled():
            flex_attention(*inputs(3))
