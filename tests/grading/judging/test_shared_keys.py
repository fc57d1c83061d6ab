"""Heads that share keys: what is drawn, what the kernel is seen to get, and what mistakes are called."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from attention_grading.execution.kernel_hooks import marked_kernels
from attention_grading.judging.cases import plan
from attention_grading.judging.kernel_factors import MarkedKernels, true_sdpa
from attention_grading.reference import attend
from attention_lab import get_variant
from attention_lab.checks.run import visible_cases
from attention_lab.checks.scaled_kernels import ScaledKernels, held
from attention_lab.checks.toy import toy_arguments
from attention_lab.inputs import key_heads

VARIANT = get_variant("grouped_causal")
SEEDS = ("one", "another", "a third")


def sizes(arguments) -> list[int]:
    return [*arguments["q"].shape[:2], arguments["num_heads"], key_heads(arguments), arguments["head_dim"]]


def calls(seed: str, check: str):
    return [call.arguments for case in plan(VARIANT.name, seed) if case.check == check for call in case.calls]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_drawn_call_has_the_widths_of_its_heads(seed):
    for check in VARIANT.points:
        for arguments in calls(seed, check):
            heads, shared, head_dim = arguments["num_heads"], arguments["num_kv_heads"], arguments["head_dim"]
            assert heads % shared == 0
            assert [arguments[name].shape[-1] for name in "qkv"] == [heads * head_dim, *[shared * head_dim] * 2]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("check", ["values", "masking", "robustness"])
def test_all_kinds_of_sharing_are_asked_where_no_two_sizes_coincide(seed, check):
    uneven = {
        (arguments["num_heads"], arguments["num_kv_heads"])
        for arguments in calls(seed, check)
        if len(set(sizes(arguments))) == 5 or arguments["num_heads"] == arguments["num_kv_heads"]
    }
    assert {(6, 1), (6, 2), (6, 3), (6, 6)} <= uneven


def test_no_two_sizes_of_the_toy_inputs_coincide():
    arguments = toy_arguments(VARIANT, seed=1)
    group = arguments["num_heads"] // arguments["num_kv_heads"]
    assert len({*sizes(arguments), group}) == 6
    assert all(sizes(call.arguments) == sizes(arguments) for case in visible_cases(VARIANT) for call in case.calls)


def test_reference_is_that_of_copied_keys():
    arguments = next(each for each in calls("one", "values") if sizes(each)[2:4] == [6, 3])
    heads, shared, head_dim = (arguments[name] for name in ("num_heads", "num_kv_heads", "head_dim"))
    copies = {}
    for name in ("k", "v"):
        own = arguments[name].split(head_dim, dim=-1)
        copies[name] = torch.cat([own[head // (heads // shared)] for head in range(heads)], dim=-1)
    plain = {name: x for name, x in arguments.items() if name != "num_kv_heads"} | copies
    torch.testing.assert_close(attend(VARIANT, arguments), attend(get_variant("sdpa_causal"), plain))


# ---- what the kernel gets --------------------------------------------------------------------------------------------

Q, K = torch.randn(2, 6, 5, 4), torch.randn(2, 3, 5, 4)
COPY = K.repeat_interleave(2, 1)
# By name: the kernel's arguments, and how many numbers of k and v there are in memory
GIVEN = {
    "as they are": (Q, K, K, {"enable_gqa": True}, K.numel()),
    "copied": (Q, COPY, COPY, {}, COPY.numel()),
    "values copied": (Q, K, COPY, {"enable_gqa": True}, COPY.numel()),
    "an expanded view": (
        Q.unflatten(1, (3, 2)),
        K[:, :, None].expand(-1, -1, 2, -1, -1),
        K[:, :, None].expand(-1, -1, 2, -1, -1),
        {},
        K.numel(),
    ),
    "an axis of size 1": (Q.unflatten(1, (3, 2)), K[:, :, None], K[:, :, None], {}, K.numel()),
    "one key head, expanded": (Q, K[:, :1].expand(-1, 6, -1, -1), K[:, :1].expand(-1, 6, -1, -1), {}, K[:, :1].numel()),
    "one key head, expanded and shared": (
        Q,
        K[:, :1].expand(-1, 3, -1, -1),
        K[:, :1].expand(-1, 3, -1, -1),
        {"enable_gqa": True},
        K[:, :1].numel(),
    ),
    "more sequences than queries": (Q[:1], K[:1].expand(2, -1, -1, -1), K, {"enable_gqa": True}, 2 * K[:1].numel()),
}


@pytest.mark.parametrize("how", GIVEN)
def test_numbers_in_memory_are_counted_and_the_result_is_as_before(how):
    q, k, v, options, numbers = GIVEN[how]
    expected = F.scaled_dot_product_attention(q, k, v, **options)
    service = MarkedKernels(("sdpa",))
    service.begin(False)
    with marked_kernels(service):
        torch.testing.assert_close(F.scaled_dot_product_attention(q, k, v, **options), expected)
    assert service.keys == numbers
    service.begin(False)
    assert service.keys == 0


@pytest.mark.parametrize("how", [how for how in GIVEN if how != "more sequences than queries"])
def test_visible_checks_count_the_same(how):
    q, k, v, options, numbers = GIVEN[how]
    with ScaledKernels() as kernels:
        F.scaled_dot_product_attention(q, k, value=v, **options)
    assert kernels.keys == numbers
    assert max(held(k), held(v)) == numbers


def test_what_is_expanded_is_expanded_in_the_judge_too():
    torch.testing.assert_close(
        true_sdpa(Q, K[:, :1], K[:, :1], enable_gqa=True), true_sdpa(Q, *[K[:, :1].expand(-1, 6, -1, -1)] * 2)
    )


def test_an_empty_tensor_holds_nothing():
    assert held(torch.zeros(2, 0, 4)) == 0
    assert held(torch.zeros(())) == 1
