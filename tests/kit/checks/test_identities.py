"""What the notebook's second cell asks besides: each identity fails on the mistakes it is there for, by its name."""

from __future__ import annotations

import pytest
import torch

from attention_lab import CheckFailed, check
from attention_lab.checks.identities.cases import invariant_and_identity_cases
from attention_lab.checks.invariants import invariant_cases
from attention_lab.flex import forward_alone
from attention_lab.notebook.run_cells import load
from attention_lab.variants import VARIANTS, Option, Variant, get_variant
from corpus import CORPUS
from corpus.answer import changed
from support.answers import RIGHT

SDPA, FLASH = "F.scaled_dot_product_attention does the work", "flash_attn_varlen_func does the work"
FLEX = "flex_attention with a block mask does the work"
# By case: answers of the corpus that pass all before it, each with a variant
CAUGHT = {
    "the same call twice": ("eager_causal dropout", "sdpa_bidirectional dropout", "flash_causal dropout"),
    "other inputs": ("eager_bidirectional output-cached", "flash_causal zeros"),
    "four times the head_dim": (
        "eager_bidirectional missing-scale",
        "eager_causal scale-head-dim",
        "eager_causal scale-multiplied",
        "eager_causal scale-fixed",
        "sdpa_causal scale-twice",
        "flash_bidirectional scale-one",
    ),
    "values of ones": (
        "eager_causal softmax-missing",
        "eager_bidirectional softmax-rounded",
        "flash_causal kv-swapped",
    ),
    "values three times as large": ("eager_bidirectional half-inside", "sdpa_causal half-inside"),
    "one head alone": ("eager_causal scale-hidden-dim", "flash_causal scale-hidden-dim", "sdpa_causal fixed-heads"),
    "a sequence alone": ("eager_causal fixed-sizes", "flash_causal border-forgotten", "flash_causal borders-cached"),
    "a longer sequence alone": ("flash_bidirectional wrong-for-many",),
    "a sequence of no tokens": ("flash_causal empty-sequence-crashes",),
    "a query that matches one key": (
        "eager_causal softmax-overflows",
        "eager_bidirectional scores-clamped",
        "flash_causal softcap",
    ),
    "chunks of 5, 1 and 3": ("cached_decode fixed-room",),
    "an item alone, in a cache that is full": ("cached_decode first-length", "cached_decode shortest-length"),
    "huge numbers in unused places": ("cached_decode bias-1e9-raw",),
    "infinity and NaN in unused places": ("cached_decode values-as-they-lie", "cached_decode times-zero"),
    "low scores, padding": ("eager_causal constant-100", "eager_bidirectional fill-1000", "sdpa_causal constant-100"),
    "1040 tokens": ("eager_bidirectional limit-1024", "sdpa_causal wrong-beyond-64", "flash_causal max-1024"),
    "causal, 80 tokens": ("eager_causal causal-first-64", "sdpa_causal causal-first-64"),
    "80 tokens: the farthest visible value matters": ("eager_causal window-of-four",),
    "rows that see no key": (
        "eager_causal minus-infinity",
        "eager_bidirectional bias-then-nan-to-num",
        "sdpa_bidirectional rows-made-nan",
    ),
    "gradients": (
        "eager_causal weights-detached",
        "eager_causal gradient-doubled",
        "eager_causal written-without-mask",
        "sdpa_causal detached-in-fp16",
        "grouped_causal gradient-averaged",
        "grouped_causal gradient-of-first-head",
        "flash_causal values-data",
        "flash_causal written-at-empty",
    ),
    "SDPA's MATH backend": ("sdpa_causal mask-with-is-causal",),
    "plain tensor operations": ("eager_causal fused-by-vmap", "eager_bidirectional flash-unseen-in-bf16"),
    "documents that start elsewhere": (
        "packed_positions drops-only",
        "packed_positions jumps-missed",
        "packed_positions positions-in-16-bits",
    ),
    "another block_size": ("tiled_causal rescaled-backwards", "tiled_causal last-tile-always-lost"),
    "all scores shifted": ("tiled_causal maximum-zero",),
    "memory": ("tiled_causal block-size-64", "tiled_causal scores-cut-up"),
    "memory, with gradients wanted": ("tiled_causal plain-for-training",),
    "each key head and its group": (
        "grouped_causal repeat",
        "grouped_causal values-in-turn",
        "grouped_causal keys-in-turn",
        "grouped_causal key-heads-reversed",
        "grouped_causal mean-of-key-heads",
    ),
    SDPA: (
        "grouped_causal copied",
        "grouped_causal keys-copied-alone",
        "sdpa_causal decoy",
        "sdpa_causal own-times-ratio",
        "sdpa_bidirectional own-heads",
    ),
    "a window of 4": ("window_causal missing-in-fp16",),
    "a window of 4: the oldest visible value matters": ("window_causal fixed-at-two",),
    "a window of 10": ("window_causal all-too-early",),
    "a window of 10: the oldest visible value matters": ("window_causal pieces", "window_causal window-remembered"),
    "a window of 11: the oldest visible value matters": ("window_causal capped-below",),
    "a window of 1": ("window_causal window-at-least-two",),
    "windows that hold every key": ("window_causal modulo",),
    "window, 80 tokens": ("window_causal missing-at-some-lengths",),
    FLASH: ("flash_causal eager", "flash_bidirectional sdpa"),
    FLEX: ("flex_document eager", "flex_document no-block-mask", "flex_document block-mask-of-everything"),
    "causal, with a window": ("flex_document window-both-ways",),
    "neighbours, with a window": ("flex_document window-alone",),
    "the oldest value in a window matters": ("flex_document window-one-less",),
}
if reason := forward_alone("cpu"):
    CAUGHT[f"forward alone, as {reason}"] = ("flex_document unscaled-in-fp16",)
SOURCES = {f"{answer.variant} {answer.name}": answer.source for answer in CORPUS}


def function_of(source: str, name: str):
    notes, function = load([{"id": "file", "source": source}], get_variant(name).function_name, "__main__")
    assert not notes
    return function


def failure(name: str | Variant, function) -> CheckFailed:
    with pytest.raises(CheckFailed) as failed:
        check(name, "invariants", function)
    assert len(str(failed.value).split("\n")) == 3
    return failed.value


@pytest.mark.parametrize(("case", "answer"), [(case, answer) for case, answers in CAUGHT.items() for answer in answers])
def test_mistake_fails_the_identity_that_it_breaks(case, answer):
    name = answer.partition(" ")[0]
    function = function_of(SOURCES[answer], name)
    assert failure(name, function).case == case


TRIANGLE = "    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()\n"
FILL = "scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)"
ZERO_FILL = "scores.masked_fill(scores == 0, torch.finfo(scores.dtype).min)"
# By case: the right answer, spoiled in a way that the corpus has not
SPOILED = {
    "a key that is there twice": (("math.sqrt(head_dim)", "(1.1 * math.sqrt(head_dim))"),),
    "low scores, causal": (
        (TRIANGLE, f"{TRIANGLE}    scores = scores.masked_fill(~allowed, -200.0)\n    allowed[:] = 1\n"),
    ),
    "scores of zero, padding": ((FILL, f"{FILL[:6]} * allowed\n    scores = {ZERO_FILL}"),),
    "scores of zero, causal": (
        (TRIANGLE, f"    scores = scores.tril()\n    scores = {ZERO_FILL}\n{TRIANGLE}    allowed[:] = 1\n"),
        (FILL, "scores.masked_fill(~allowed, -math.inf)"),
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_answer_fails_the_identity_that_it_breaks(case):
    assert failure("eager_causal", function_of(changed(RIGHT, SPOILED[case]), "eager_causal")).case == case


@pytest.mark.parametrize("name", VARIANTS)
def test_each_identity_has_been_seen_to_fail(name):
    variant = VARIANTS[name]
    asked = {case.name for case in invariant_and_identity_cases(variant)} - {
        case.name for case in invariant_cases(variant)
    }
    assert asked <= {*CAUGHT, *SPOILED}
    assert len(asked) >= 9


# A variant that nobody has written yet: what its checks ask follows from its rules
WINDOW = Variant(
    13, "eager_window", "", "eager", "padded", ("causal", "window", "padding"), (Option("window", toy=3, drawn=(3,)),)
)


def windowed(width: str):
    source = RIGHT.replace("head_dim, mask", "head_dim, window, mask").replace(".tril()", f".tril().triu({width})")
    return function_of(source, "eager_causal")


def test_new_variant_gets_the_identities_from_its_rules():
    check(WINDOW, "invariants", windowed("1 - window"))
    assert failure(WINDOW, windowed("-window")).case == "window"
    assert failure(WINDOW, windowed("2 - window")).case == "a visible key matters"
    forgotten_for_many = windowed("1 - window if q.shape[-2] in range(50) or q.shape[-2] > 1000 else -9999")
    assert failure(WINDOW, forgotten_for_many).case == "window, 80 tokens"


# ... and so do heads that share keys
SHARED = Variant(
    13,
    "eager_shared",
    "",
    "eager",
    "padded",
    ("causal", "padding"),
    (Option("num_kv_heads", toy=3, drawn=(1, 2, 6), before="head_dim"),),
)


def shared(to_all: str):
    source = RIGHT.replace("head_dim, mask", "num_kv_heads, head_dim, mask")
    keys = "    k, v = (x.unflatten(-1, (num_kv_heads, head_dim)) for x in (k, v))\n"
    keys += f"    k, v = (x.{to_all}.flatten(-2) for x in (k, v))\n"
    return function_of(source.replace("    q, k, v = ", keys + "    q, k, v = ", 1), "eager_causal")


def test_new_variant_may_have_fewer_key_heads():
    assert SHARED.parameters == ("q", "k", "v", "num_heads", "num_kv_heads", "head_dim", "mask")
    check(SHARED, "contract", shared("repeat_interleave(num_heads // num_kv_heads, dim=2)"))
    check(SHARED, "invariants", shared("repeat_interleave(num_heads // num_kv_heads, dim=2)"))
    assert failure(SHARED, shared("repeat(1, 1, num_heads // num_kv_heads, 1)")).case == "each key head and its group"
    cut = shared("repeat_interleave(num_heads // num_kv_heads, dim=2).detach()")
    assert failure(SHARED, cut).case == "gradients"


def test_gradients_of_shared_keys_are_summed_over_their_group():
    """Each query head's share of a gradient alone, as if it had keys of its own."""
    function = shared("repeat_interleave(num_heads // num_kv_heads, dim=2)")

    class OneShare(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient / 4  # a mean over the four of the group

    def averaged(*arguments, **named):
        return function(**named | {name: OneShare.apply(named[name]) for name in "kv"})

    assert failure(SHARED, averaged).problem == "the gradient of v does not fit the output in head 0"


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if not variant.packed])
def test_two_numbers_that_differ_look_different(name):
    function = function_of(next(a.source for a in CORPUS if a.variant == name and a.right), name)

    def slightly_off(*arguments, **named):
        output = function(*arguments, **named)
        return (
            output * (1 + 3e-5 * (arguments or tuple(named.values()))[3]) if output.dtype == torch.float32 else output
        )

    detail = failure(name, slightly_off).detail
    expected, got = detail.split("expected ")[1].split(" ")[0], detail.split("got ")[1].split(" ")[0]
    assert expected != got
    assert "float32" in detail
