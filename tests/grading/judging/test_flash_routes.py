"""Marks reach each flash route's kernel, and no other form of it."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.in_kernel import perform_here
from attention_grading.judging.outcomes import judge_outcomes
from attention_grading.judging.seed import PUBLIC_SEED
from attention_lab import flash
from attention_lab.flash import varlen_attn as flash_varlen_attn
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in
from attention_lab.variants import get_variant
from support.varlen import varlen_2_11


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(flash_varlen_attn, "_require_gpu", lambda q: None)


@pytest.fixture
def installed_flash_attn(monkeypatch):
    """A package built as the real one: each form reaches its kernel through an autograd function of its own."""
    interface = types.ModuleType("flash_attn.flash_attn_interface")

    class Kernel:
        @staticmethod
        def apply(*arguments):
            with torch._C.DisableTorchFunction():
                return flash_attn_varlen_stand_in(*arguments[:16])

    interface.FlashAttnVarlenFunc, interface.FlashAttnVarlenKVPackedFunc = Kernel, Kernel

    def flash_attn_varlen_func(q, k, v, cu_q, cu_k, max_q, max_k, dropout_p=0.0, softmax_scale=None, causal=False):
        rest = (dropout_p, softmax_scale, causal, (-1, -1), 0.0, None, False, False, None, torch.is_grad_enabled())
        return interface.FlashAttnVarlenFunc.apply(q, k, v, cu_q, cu_k, max_q, max_k, *rest)

    def flash_attn_varlen_kvpacked_func(q, kv, cu_q, cu_k, max_q, max_k, causal=False):
        rest = (0.0, None, causal, (-1, -1), 0.0, None, False, False, None, torch.is_grad_enabled())
        return interface.FlashAttnVarlenKVPackedFunc.apply(q, *kv.unbind(1), cu_q, cu_k, max_q, max_k, *rest)

    monkeypatch.setitem(sys.modules, "flash_attn.flash_attn_interface", interface)
    return flash_attn_varlen_func, flash_attn_varlen_kvpacked_func


def kernel_points(attend) -> int:
    variant = get_variant("flash_causal")

    def function(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
        q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
        return attend(q, k, v, cu_seqlens, max_seqlen).flatten(-2)

    calls = flat_calls(plan(variant.name, PUBLIC_SEED))
    verdict = judge_outcomes(variant, PUBLIC_SEED, perform_here(variant, function, calls, "cpu"))
    assert all(check.passed for check in verdict.checks if check.name != "kernel"), verdict
    return verdict.check("kernel").earned


def test_marks_reach_the_real_flash_attn_and_no_other_of_its_forms(installed_flash_attn):
    varlen, kvpacked = installed_flash_attn
    assert kernel_points(lambda q, k, v, cu, longest: varlen(q, k, v, cu, cu, longest, longest, causal=True)) == 1
    other = lambda q, k, v, cu, longest: kvpacked(q, torch.stack([k, v], 1), cu, cu, longest, longest, causal=True)  # noqa: E731
    assert kernel_points(other) == 0


def test_marks_reach_varlen_attn_behind_the_signature(on_cpu):
    adapted = flash_varlen_attn.adapt(varlen_2_11)
    assert kernel_points(lambda q, k, v, cu, longest: adapted(q, k, v, cu, cu, longest, longest, causal=True)) == 1
    assert flash.flash_route().name in ("stand-in", "varlen_attn", "flash-attn")
