"""A cache's keys and values by role and as a function takes them, and who sees what of them."""

from __future__ import annotations

import pytest
import torch

from attention_grading.execution import codec
from attention_grading.reference import attend
from attention_lab.caches import cached_batch
from attention_lab.checks.calls import Call, is_same, perform
from attention_lab.roles import as_called, by_role, name_of
from attention_lab.rules import Reason, distance, reasons, visible_keys
from attention_lab.variants import get_variant

VARIANT = get_variant("cached_decode")


def test_there_and_back():
    arguments = cached_batch().arguments()
    roles = by_role(arguments)
    assert list(roles) == list(VARIANT.parameters)
    assert roles["k"].shape == (2, 7, 24)
    again = as_called(roles)
    assert list(again) == list(arguments)
    assert torch.equal(again["k_cache"], arguments["k_cache"])
    assert (name_of("k", roles), name_of("q", roles), name_of("k", {"k": 1})) == ("k_cache", "q", "k")


def test_other_arguments_stay_as_they_are():
    arguments = {"q": 1, "k": 2, "v": 3, "mask": None}
    assert as_called(arguments) == by_role(arguments) == arguments


def test_the_triangle_ends_at_each_item_s_last_token():
    arguments = by_role(cached_batch((("a", "b", "c"), ("d", "e")), new=2, max_len=5).arguments())
    assert distance(arguments)[:, 0].tolist() == [[1, 0, -1, -2, -3], [0, -1, -2, -3, -4]]
    v, c, u = Reason.VISIBLE, Reason.CAUSAL, Reason.UNUSED
    expected = [[[v, v, c, u, u], [v, v, v, u, u]], [[v, c, u, u, u], [v, v, u, u, u]]]
    assert reasons(VARIANT.rules, arguments).tolist() == expected


def test_the_reference_is_the_last_rows_of_causal_attention_and_ignores_what_is_unused():
    batch = cached_batch()
    arguments = by_role(batch.arguments())
    output = attend(VARIANT, arguments)
    for item, length in enumerate(batch.cache_seqlens.tolist()):
        used = {x: arguments[x][item : item + 1, :length].unflatten(-1, (3, 8)) for x in ("k", "v")}
        heads = {x: y.repeat_interleave(2, dim=-2).flatten(-2) for x, y in used.items()}
        q = arguments["q"][item : item + 1]
        whole = torch.cat([q.new_zeros(1, length - batch.new, q.shape[-1]), q], dim=1)
        causal = attend(get_variant("eager_causal"), {"q": whole, **heads, "num_heads": 6, "head_dim": 8, "mask": None})
        torch.testing.assert_close(output[item], causal[0, -batch.new :])
    for junk in (torch.nan, torch.inf, 1e30):
        unused = ~visible_keys(VARIANT.rules, arguments).any(1)[..., None]
        other = arguments | {x: arguments[x].masked_fill(unused, junk) for x in ("k", "v")}
        assert torch.equal(attend(VARIANT, other), output)


@pytest.mark.parametrize("name", ["k_cache", "v_cache", "cache_seqlens"])
@pytest.mark.parametrize("form", ["keyword", "positional"])
def test_a_call_says_what_was_modified_by_the_function_s_own_names(name, form):
    call = Call(by_role(cached_batch().arguments()), form)

    def function(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
        assert k_cache.shape == (2, 7, 3, 8)
        {"k_cache": k_cache, "v_cache": v_cache, "cache_seqlens": cache_seqlens}[name][1] = 0
        return q

    outcome = perform(function, call)
    assert outcome.changed == (name,)
    given = as_called(call.arguments)
    sent = {f"after.{key}": value for key, value in given.items() if isinstance(value, torch.Tensor)}
    assert codec.changed_arguments(call, sent) == ()
    sent[f"after.{name}"] = sent[f"after.{name}"] + 1
    assert codec.changed_arguments(call, sent) == (name,)


def test_nan_that_stays_is_no_change_and_nan_that_goes_is_one():
    x = torch.tensor([1.0, torch.nan])
    assert is_same(x.clone(), x)
    assert not is_same(x.nan_to_num(), x)
    assert not is_same(torch.tensor([torch.nan, torch.nan]), x)
