"""PyTorch's kernel behind the signature of ``flash_attn_varlen_func``."""

from __future__ import annotations

import pytest
import torch

from attention_lab.flash import varlen_attn as flash_varlen_attn
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in
from attention_lab.inputs import running_sum
from support.varlen import varlen_2_10, varlen_2_11


def packed(head_dim: int = 8, heads: int = 2, kv_heads: int = 2, dtype: torch.dtype = torch.bfloat16) -> dict:
    generator = torch.Generator().manual_seed(0)
    lengths = [3, 6, 1]
    sizes = {"q": heads, "k": kv_heads, "v": kv_heads}
    draw = {name: torch.randn(10, size, head_dim, generator=generator) for name, size in sizes.items()}
    borders = {name: running_sum(lengths) for name in ("cu_seqlens_q", "cu_seqlens_k")}
    return {name: x.to(dtype) for name, x in draw.items()} | borders | {"max_seqlen_q": 6, "max_seqlen_k": 6}


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(flash_varlen_attn, "_require_gpu", lambda q: None)


@pytest.mark.parametrize("varlen_attn", [varlen_2_10, varlen_2_11])
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ({}, {}),
        ({}, {"causal": True}),
        ({}, {"window_size": (-1, 0)}),
        ({}, {"window_size": [-1, -1]}),
        ({"head_dim": 20}, {"causal": True}),
        ({"head_dim": 20}, {"softmax_scale": 0.7}),
        ({"heads": 4, "kv_heads": 2}, {"deterministic": True}),
        ({"head_dim": 12}, {"return_attn_probs": True}),
    ],
)
def test_adapter_gives_the_stand_ins_numbers(on_cpu, varlen_attn, sizes, options):
    arguments = packed(**sizes) | options
    got, expected = flash_varlen_attn.adapt(varlen_attn)(**arguments), flash_attn_varlen_stand_in(**arguments)
    for ours, theirs in zip(*((x if isinstance(x, tuple) else (x,)) for x in (got, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)


def test_adapter_takes_gaps_and_no_tokens(on_cpu):
    adapted = flash_varlen_attn.adapt(varlen_2_11)
    arguments = packed()
    gaps = {name: torch.stack([arguments[name]] * 2, dim=-1).flatten(-2)[..., ::2] for name in "qkv"}
    assert torch.equal(adapted(**arguments | gaps), adapted(**arguments))
    none = {name: arguments[name][:0] for name in "qkv"}
    none |= {"cu_seqlens_q": running_sum([0]), "cu_seqlens_k": running_sum([0]), "max_seqlen_q": 0, "max_seqlen_k": 0}
    assert adapted(**arguments | none).shape == (0, 2, 8)


@pytest.mark.parametrize(
    ("varlen_attn", "option"),
    [
        (varlen_2_11, {"dropout_p": 0.1}),
        (varlen_2_11, {"softcap": 2.0}),
        (varlen_2_11, {"alibi_slopes": torch.ones(2)}),
        (varlen_2_11, {"block_table": torch.ones(1, 1)}),
        (varlen_2_10, {"window_size": (3, -1)}),
    ],
)
def test_adapter_refuses_by_name_what_the_kernel_lacks(on_cpu, varlen_attn, option):
    with pytest.raises(NotImplementedError, match=next(iter(option))):
        flash_varlen_attn.adapt(varlen_attn)(**packed() | option)


def test_adapter_says_where_its_inputs_have_to_be():
    with pytest.raises(RuntimeError, match=r"runs on the GPU alone, got q on cpu.*device=.cuda."):
        flash_varlen_attn.adapt(varlen_2_11)(**packed())


@pytest.mark.parametrize("function", [flash_varlen_attn.adapt(varlen_2_11), flash_attn_varlen_stand_in])
@pytest.mark.parametrize("window_size", [3, (3,), (3, 0, 0), (2.5, 0), None])
def test_a_window_that_is_no_pair_of_integers_is_refused_by_its_name(on_cpu, function, window_size):
    with pytest.raises(TypeError, match="window_size must be a pair of integers"):
        function(**packed(), window_size=window_size)


def test_a_window_is_the_same_over_grouped_heads(on_cpu):
    arguments = packed(heads=6, kv_heads=2) | {"window_size": (2, 0)}
    got, expected = flash_varlen_attn.adapt(varlen_2_11)(**arguments), flash_attn_varlen_stand_in(**arguments)
    torch.testing.assert_close(got, expected, atol=2e-2, rtol=2e-2)
