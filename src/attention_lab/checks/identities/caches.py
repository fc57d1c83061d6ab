"""Attention with a cache: how the tokens came into it, how much room it has, and what lies in the rest of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.require import Told, require_alike
from attention_lab.checks.toy import cached_arguments, converted, toy_arguments
from attention_lab.variants import Variant

# New tokens of each call; together they are one prefill
CHUNKS = (5, 1, 3)
STANDS = "where each query stands in its item's cache, and which places it sees from there"
ALL = torch.ones((), dtype=torch.bool)


def chunk_calls(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The tokens of one call in ``CHUNKS``, one call after the other.

    Args:
        arguments: With as many queries as all chunks together; later tokens lie in the cache from the first call on.
    """
    calls, end = [], 0
    for size in CHUNKS:
        start, end = end, end + size
        later = sum(CHUNKS) - end
        lengths = arguments["cache_seqlens"] - later
        calls.append(arguments | {"q": arguments["q"][:, start:end].contiguous(), "cache_seqlens": lengths})
    return calls


def chunks_case(variant: Variant) -> Case:
    """In chunks or at once: each token gets the same."""
    name = f"chunks of {', '.join(map(str, CHUNKS[:-1]))} and {CHUNKS[-1]}"
    whole = cached_arguments(variant, 24, lengths=(9, 11), new=sum(CHUNKS), max_len=12)
    calls = [Call(each) for each in (whole, *chunk_calls(whole))]

    def verify(outcomes: Sequence[Outcome]) -> None:
        together, *chunks = outputs_of(name, calls, outcomes)
        expected = together.split(CHUNKS, dim=1)
        for call, chunk, part in zip(calls[1:], chunks, expected, strict=True):
            new = call.arguments["q"].shape[1]
            problem = (
                f"is another one when {new} new {'token comes' if new == 1 else 'tokens come'} than in one prefill"
            )
            require_alike(name, call, chunk, part, ALL, Told(problem, "as in one prefill", STANDS))

    return Case("invariants", name, tuple(calls), verify)


def alone_case(variant: Variant) -> Case:
    """Each item gets what it gets alone, in a cache that its tokens fill."""
    name = "an item alone, in a cache that is full"
    together = toy_arguments(variant, 25)
    calls = [Call(together)]
    for item, length in enumerate(together["cache_seqlens"].tolist()):
        one = {x: together[x][item : item + 1] for x in ("q", "k", "v", "cache_seqlens")}
        calls.append(Call(together | one | {x: one[x][:, :length].contiguous() for x in ("k", "v")}))

    def verify(outcomes: Sequence[Outcome]) -> None:
        output, *alone = outputs_of(name, calls, outcomes)
        hint = "what an item's output depends on: do the others enter, or the room in the cache?"
        told = Told("is another one than when its item is called alone", "as alone", hint)
        require_alike(name, calls[0], output, torch.cat(alone), ALL, told)

    return Case("invariants", name, tuple(calls), verify)


def garbage_cases(variant: Variant) -> Iterator[Case]:
    """What lies in unused places is no number of anybody's: it may be anything."""
    hint = "what becomes of a place that nobody sees: what is zero times infinity, and zero times NaN?"
    seen = "which places of the cache come into the softmax: is any score low enough to take one away?"
    yield _garbage(variant, "huge numbers in unused places", {torch.float16: (3e4,)}, (1e30,), seen)
    yield _garbage(variant, "infinity and NaN in unused places", {}, (math.nan, math.inf, -math.inf), hint)


def _garbage(
    variant: Variant, name: str, of_dtype: Mapping[torch.dtype, Sequence[float]], numbers: Sequence[float], hint: str
) -> Case:
    """With these numbers in all unused places, in some dtypes with others, the same comes out as with 0."""
    calls = []
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        clean = converted(toy_arguments(variant, 26), dtype)
        calls += [Call(filled(clean, number)) for number in (0.0, *of_dtype.get(dtype, numbers))]

    def verify(outcomes: Sequence[Outcome]) -> None:
        outputs, step = outputs_of(name, calls, outcomes), 1 + len(numbers)
        for start in range(0, len(calls), step):
            for call, output in zip(calls[start + 1 : start + step], outputs[start + 1 : start + step], strict=True):
                number = float(call.arguments["k"][0, -1, 0])
                told = Told(f"is another one with {number:g} in the unused places than with 0", "as with 0", hint)
                require_alike(name, call, output, outputs[start], ALL, told)

    return Case("invariants", name, tuple(calls), verify)


def filled(arguments: dict[str, Any], number: float) -> dict[str, Any]:
    """The same with one number in all unused places of the caches."""
    unused = unused_places(arguments)[..., None]
    return arguments | {x: arguments[x].masked_fill(unused, number) for x in ("k", "v")}


def unused_places(arguments: dict[str, Any]) -> Tensor:
    """Places of the caches that hold no token: bool ``[batch, max_len]``."""
    unused: Tensor = torch.arange(arguments["k"].shape[1]) >= arguments["cache_seqlens"][:, None]
    return unused
