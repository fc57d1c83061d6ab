"""Attention with a cache: all of its hidden cases. No gradients are asked: nobody trains through a cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from attention_grading.judging.case_kinds import (
    HALVES,
    compared,
    devices,
    many_heads,
    option_values,
    remembered,
    unmodified,
    with_option,
    with_zero_keys,
)
from attention_grading.judging.draw import Draw
from attention_lab.checks.calls import Call
from attention_lab.checks.case import Case
from attention_lab.checks.identities.caches import CHUNKS, STANDS, chunk_calls

LENGTHS = "cache_seqlens: how many places of each item's cache hold a token, the new ones counted"
NOT_FINITE = "infinity and NaN in unused places"
NOTHING = "what becomes of places that nobody sees: zero times infinity is NaN, and so is zero times NaN"
LARGE = "a row of large scores: does the softmax stay finite, in the dtype that it is computed in?"
KernelInputs = Callable[[], list[dict[str, Any]]]

ODD_SIZES = (5, 6, 7, 9, 11, 13)
ODD_HEAD_DIMS = (5, 6, 10, 12, 20)


def cached_cases(draw: Draw) -> Iterator[Case]:
    """The cases of ``values``, ``masking`` and ``robustness``."""
    yield from _values(draw)
    yield from _masking(draw)
    yield from _robustness(draw)


def _full(
    draw: Draw, batch: int, length: int, new: int, num_heads: int, head_dim: int, **how: Any
) -> list[dict[str, Any]]:
    """Items of one length in caches that are full."""
    return [draw.cached([length] * batch, new, length, num_heads, head_dim, **how)]


def _values(draw: Draw) -> Iterator[Case]:
    values, full = partial(compared, draw, "values", STANDS), partial(_full, draw)
    yield values("one new token", lambda: full(2, 7, 1, 3, draw.choose(ODD_HEAD_DIMS)), form="positional")
    yield values("several new tokens", lambda: full(2, 9, 4, 3, 5) + full(3, 11, 4, 2, 6))
    yield values("a prefill: all tokens are new", lambda: full(2, 7, 7, 3, 8))
    yield values("other sizes", lambda: full(3, draw.choose(ODD_SIZES), draw.choose((1, 4)), 2, 8))
    yield values("one token", lambda: full(1, 1, 1, 2, 5) + full(3, 1, 1, 2, 4))
    yield values("one head", lambda: full(2, draw.choose(ODD_SIZES), 3, 1, draw.choose(ODD_HEAD_DIMS)))
    yield values(
        "sizes that coincide",
        lambda: (
            full(3, 7, 3, 2, 5)  # batch = new
            + full(2, 5, 3, 5, 4)  # length = key heads
            + full(2, 6, 3, 2, 6)  # length = head_dim
            + full(4, 4, 4, 4, 4)
        ),
    )
    yield values(
        "long caches",
        # past the sizes that buffers are made for: 64, 128, 256, 512, 1024
        lambda: full(2, draw.between(130, 160), 70, 1, 8) + full(1, draw.between(1030, 1060), 2, 3, 4),
    )
    yield values(
        f"chunks of {', '.join(map(str, CHUNKS))}",
        lambda: _cut(chunk_calls(full(4, sum(CHUNKS), sum(CHUNKS), 2, 7)[0])),
    )
    yield compared(draw, "values", LARGE, "large scores", lambda: full(2, 9, 4, 3, 8, q_scale=40.0))
    yield values("zero queries", lambda: full(2, 6, 4, 3, 7, q_scale=0.0))
    yield values("scores of exactly zero", lambda: [with_zero_keys(each) for each in full(2, 8, 4, 3, 6)])
    for layout in ("sliced", "sequence first"):
        yield values(f"non-contiguous inputs ({layout})", lambda: full(2, 7, 4, 3, 8), layout=layout)

    def grouped(**option: Any) -> dict[str, Any]:
        return draw.cached([9] * 5, 4, 9, many_heads(draw.variant), 8, **option)

    for name, value in option_values(draw.variant):
        yield values(f"{name} {value}", partial(with_option, name, value, grouped))


def _cut(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each call's caches, cut to the longest of its items."""
    return [each | {x: each[x][:, : int(each["cache_seqlens"].max())] for x in ("k", "v")} for each in calls]


def _masking(draw: Draw) -> Iterator[Case]:
    masking, cached = partial(compared, draw, "masking", LENGTHS), draw.cached
    yield masking("room in the cache", lambda: [cached([6, 6], 1, 11, 3, 5), cached([7, 7, 7], 4, 10, 2, 6)])
    yield masking("ragged lengths", lambda: [cached([4, 9, 6], 1, 13, 2, 5), cached([5, 11, 8], 4, 12, 2, 6)])
    yield masking("ragged lengths, one cache full", lambda: [cached([5, 10], 4, 10, 3, 6)])
    yield masking(
        "an item with nothing cached before", lambda: [cached([4, 9], 4, 11, 3, 6), cached([1, 6], 1, 9, 3, 8)]
    )
    yield masking("a prefill, with room", lambda: [cached([6, 6], 6, 11, 3, 5)])
    yield masking(
        "huge numbers in unused places", lambda: [cached([4, 7, 6], new, 9, 2, 8, junk=1e30) for new in (1, 4)]
    )
    yield masking(
        f"chunks of {', '.join(map(str, CHUNKS))}",
        lambda: chunk_calls(cached([9, 12, 10, 11], sum(CHUNKS), 13, 2, 7, junk=8.0)),
    )
    yield masking("a batch of one", lambda: [cached([5], 2, 9, 3, 4, junk=8.0)])
    yield masking(
        "sizes that coincide",
        lambda: [
            cached([4, 7, 5], 3, 8, 2, 5, junk=8.0),  # batch = new
            cached([5, 4], 4, 6, 3, 6, junk=8.0),  # max_len = head_dim
            cached([4, 3, 2, 4], 2, 4, 4, 4, junk=8.0),  # batch = max_len = key heads = head_dim
        ],
    )
    yield masking(
        "long caches",
        lambda: [cached([75, 130], 66, 140, 1, 8, junk=8.0), cached([530, 270, 1030], 1, 1040, 2, 4, junk=8.0)],
    )
    strong = "how strongly an unused place is taken away: no score, however large, may bring it back"
    yield compared(
        draw,
        "masking",
        strong,
        "low scores at tokens, high ones at unused places",
        lambda: [draw.lifted_cache([5, 7], new, 9, 3) for new in (1, 5)],
    )
    yield masking("scores of exactly zero", lambda: [with_zero_keys(cached([8, 7], 4, 10, 3, 5, junk=8.0))])
    for layout in ("sliced", "sequence first"):
        yield masking(
            f"non-contiguous inputs ({layout})", lambda: [cached([5, 7], 4, 9, 3, 8, junk=8.0)], layout=layout
        )
    yield masking("positional arguments", lambda: [cached([6, 5], 4, 8, 3, 7)], form="positional")


def _robustness(draw: Draw) -> Iterator[Case]:
    cached = draw.cached
    of_dtype = partial(compared, draw, "robustness", "what depends on the dtype: constants, conversions, new tensors")
    yield of_dtype(
        "dtypes (fp64, fp16, bf16)",
        lambda: [
            cached([9, 11], 4, 13, 3, 8, dtype=torch.float64),
            cached([18, 19, 7, 12], 7, 20, 5, 8, dtype=torch.float16),  # many numbers: one shows that bf16 was inside
            cached([9, 11], 4, 13, 3, 8, dtype=torch.bfloat16),
            cached([9, 11], 1, 13, 3, 8, dtype=torch.float16, junk=1e4),
        ],
    )
    yield compared(
        draw,
        "robustness",
        LARGE,
        "large scores in fp16 and bf16",
        lambda: [cached([9, 7], 4, 9, 3, 8, q_scale=8.0, dtype=dtype) for dtype in HALVES],
    )
    math_backend = partial(compared, draw, "robustness", setting="math")
    yield math_backend(STANDS, "SDPA's MATH backend", lambda: [cached([7, 7], 4, 7, 3, 8), cached([5, 7], 1, 9, 3, 8)])
    finite = partial(compared, draw, "robustness", NOTHING)
    for words, junk in (("NaN", math.nan), ("infinity", math.inf)):
        yield finite(f"{NOT_FINITE}: {words}", partial(_not_finite, draw, junk))
    yield finite(f"{NOT_FINITE}, under SDPA's MATH backend", partial(_not_finite, draw, math.nan), setting="math")
    draw.reseed("memory")
    first = cached([6, 5], 4, 8, 3, 7)
    yield remembered(
        draw,
        [
            first,
            cached([4, 8], 4, 8, 3, 7),  # the same shape, other lengths
            cached([8, 8], 4, 8, 3, 7),
            cached([4, 6, 9], 1, 10, 2, 5),  # another shape
            first,
        ],
    )
    draw.reseed("inputs")
    yield unmodified(
        Call(cached([5, 5], 4, 5, 3, 6)),
        Call(cached([4, 6], 1, 8, 3, 5, dtype=torch.float16), "positional"),
        Call(cached([4, 6], 4, 7, 3, 5, dtype=torch.bfloat16, junk=1e4)),
        Call(cached([6, 4], 4, 9, 3, 5, dtype=torch.float64), layout="sliced"),
        Call(cached([6, 4], 4, 9, 3, 5, junk=math.nan)),
    )
    yield devices([cached([6, 6], 4, 6, 3, 5), cached([5, 6], 4, 8, 3, 7)])


def _not_finite(draw: Draw, junk: float) -> list[dict[str, Any]]:
    return [
        draw.cached([4, 7, 6], new, 9, 2, 8, dtype=dtype, junk=junk)
        for dtype in (torch.float32, *HALVES)
        for new in (1, 4)
    ]


def cached_kernel_inputs(draw: Draw) -> dict[str, KernelInputs]:
    """What the check ``kernel`` calls the function with."""
    cached = draw.cached
    return {
        "one new token, and several": lambda: [cached([6, 6], 1, 6, 3, 8), cached([5, 7], 4, 9, 3, 8)],
        "a prefill": lambda: [cached([6, 6], 6, 6, 3, 8)],
        "room in the cache": lambda: [cached([6, 6], 4, 9, 3, 5)],
        "fp16": lambda: [cached([4, 7], 1, 9, 3, 8, dtype=torch.float16)],
        "bf16": lambda: [cached([6, 6], 4, 6, 3, 8, dtype=torch.bfloat16)],
        "a long cache": lambda: [cached([draw.between(66, 80)], 4, 90, 3, 8)],
    }
