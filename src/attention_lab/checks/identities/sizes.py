"""The same tokens in calls of other sizes: one head, one sequence, more copies. What comes out must be the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.invariants import Probe, hidden_by, hidden_case, sensitive_case
from attention_lab.checks.require import Told, require_alike
from attention_lab.checks.toy import converted, drawn_arguments, told_lengths, toy_arguments, usual_options
from attention_lab.inputs import key_heads
from attention_lab.rules import real_tokens, visible_keys
from attention_lab.variants import Variant


def one_head_case(variant: Variant) -> Case:
    """Each head is an attention of its own, on its own key head."""
    name = "one head alone"
    arguments = toy_arguments(variant, seed=9)
    heads, shared, head_dim = arguments["num_heads"], key_heads(arguments), arguments["head_dim"]
    head = heads // 2  # of 12 on 3 the seventh: its group has the second key head, in whatever way others are counted
    part, keys = ((..., slice(x * head_dim, (x + 1) * head_dim)) for x in (head, head * shared // heads))
    alone = {"q": arguments["q"][part], "k": arguments["k"][keys], "v": arguments["v"][keys]}
    single_head = {x: value.contiguous() for x, value in alone.items()} | {"num_heads": 1}
    if variant.grouped:
        single_head["num_kv_heads"] = 1
    calls = (Call(arguments), Call(arguments | single_head))

    def verify(outcomes: Sequence[Outcome]) -> None:
        together, single = outputs_of(name, calls, outcomes)
        expected, read = together.clone(), torch.zeros(together.shape, dtype=torch.bool)
        expected[part], read[part] = single, True
        hint = "what a head's scores depend on: is it the size of one head, or of all of them together?"
        told = Told("differs from that of the same head on its own", "as on its own", hint)
        require_alike(name, calls[0], together, expected, read & real_tokens(arguments)[..., None], told)

    return Case("invariants", name, calls, verify)


# ---- tokens of one call in another -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A smaller call with tokens of a larger one.

    Attributes:
        call: The smaller call.
        rows: Where its tokens stand in the larger call's output: int64 indices of its dimensions before the last.
        tokens: Which of the smaller call's tokens these are, by place: int64.
    """

    call: Call
    rows: tuple[Tensor, ...]
    tokens: Tensor


def _part(
    variant: Variant,
    large: dict[str, Any],
    small: dict[str, Any],
    source: Tensor,
    item: int = 0,
    times: Tensor | None = None,
) -> _Part | None:
    """Compare the tokens that must come out the same by the variant's rules; ``None`` where there are none.

    Weights depend on how often a query sees each key, next to the others: a token comes out the same where it sees the
    smaller call's keys, all equally often, and no others.

    Args:
        variant: Says who sees whom.
        large: The larger call's arguments.
        small: The smaller call's, of one sequence.
        source: For each place of the larger call (of one sequence, where padded) the place in the smaller one that
            holds the same token; -1 where there is none.
        item: Which sequence of the larger call, where padded.
        times: How often each key of the smaller call has to be seen, next to the others; by default equally often.
    """
    seen = visible_keys(variant.rules, large)
    alone = visible_keys(variant.rules, small)
    if not variant.packed:
        seen, alone = seen[item], alone[0]
    known = source >= 0
    same_token = torch.nn.functional.one_hot(source.clamp(min=0), len(alone)) * known[:, None]  # [large, small]
    count = seen.float() @ same_token.float()  # how often each query of the larger call sees each token
    wanted = alone[source.clamp(min=0)] * (torch.ones(len(alone)) if times is None else times)
    often = (count / wanted.clamp(min=1)).amax(-1, keepdim=True)
    same = (count == often * wanted).all(-1) & (often[:, 0] > 0) & ~(seen & ~known).any(-1) & known
    if not same.any():
        return None
    places = same.nonzero().squeeze(1)
    rows = (places,) if variant.packed else (torch.full_like(places, item), places)
    return _Part(Call(small), rows, source[places])


def _parts_case(name: str, large: dict[str, Any], parts: Sequence[_Part | None], told: Told) -> Iterator[Case]:
    found = [part for part in parts if part is not None]
    if not found:
        return
    calls = (Call(large), *(part.call for part in found))

    def verify(outcomes: Sequence[Outcome]) -> None:
        together, *alone = outputs_of(name, calls, outcomes)
        expected, read = together.clone(), torch.zeros(together.shape, dtype=torch.bool)
        for part, output in zip(found, alone, strict=True):
            expected[part.rows] = output.flatten(0, -2)[part.tokens]
            read[part.rows] = True
        require_alike(name, calls[0], together, expected, read, told)

    yield Case("invariants", name, calls, verify)


def alone_cases(variant: Variant) -> Iterator[Case]:
    """A sequence of a batch comes out as it does alone, without the others and without its padding."""
    batch = _packed_batch if variant.packed else _padded_batch
    hint = "what a sequence's output depends on: does a neighbour, a size of the batch or an earlier call enter?"
    told = Told("is another one than when its sequence is called alone", "as alone", hint)
    yield from _parts_case("a sequence alone", *batch(variant, (7, 2, 6)), told)
    if variant.packed and variant.kernel != "flex":  # whose calls take long; longer documents come below
        yield from _parts_case("a longer sequence alone", *batch(variant, (30, 9, 33)), told)
        if "cu_seqlens" in variant.parameters:  # positions know no document without tokens
            yield from _parts_case("a sequence of no tokens", *batch(variant, (4, 0, 5)), told)


def _packed_batch(variant: Variant, lengths: Sequence[int]) -> tuple[dict[str, Any], list[_Part | None]]:
    large = drawn_arguments(variant, 10, lengths)
    large = converted(large, torch.float16) if variant.half_precision else large
    parts, start = [], 0
    for length in (length for length in lengths if length):
        small = large | {x: large[x][start : start + length] for x in ("q", "k", "v")}
        small |= told_lengths(variant, [length])
        source = torch.arange(sum(lengths)) - start
        source[(source < 0) | (source >= length)] = -1
        parts.append(_part(variant, large, small, source))
        start += length
    return large, parts


def _padded_batch(variant: Variant, lengths: Sequence[int]) -> tuple[dict[str, Any], list[_Part | None]]:
    """The first sequence is padded on the right, the others on the left."""
    longest = max(lengths) + 1
    large = drawn_arguments(variant, 10, [longest] * len(lengths))
    place = torch.arange(longest)
    padding = [place >= lengths[0], *(place < longest - length for length in lengths[1:])]
    mask = ~torch.stack(padding)
    large["mask"] = mask
    parts = []
    for item, real in enumerate(mask):
        small = large | {x: large[x][item : item + 1, real] for x in ("q", "k", "v")} | {"mask": None}
        source = torch.where(real, real.cumsum(0) - 1, -1)
        parts.append(_part(variant, large, small, source, item))
    return large, parts


def twice_cases(variant: Variant) -> Iterator[Case]:
    """A key that stands there twice counts as one whose score, q·k/√head_dim, is larger by log 2."""
    length = 6
    once = drawn_arguments(variant, 20, [length])
    head_dim = once["head_dim"]
    once = converted(once, torch.float16) if variant.half_precision else once
    once["q"][..., head_dim - 1 :: head_dim] = 1.0  # of each head: the same in all queries, so that k alone decides
    source = torch.arange(-1, length).clamp(min=0)
    large = once | {x: once[x].index_select(-2, source) for x in ("q", "k", "v")}
    large |= told_lengths(variant, [length + 1])
    larger = once["k"].clone()
    larger[..., 0, head_dim - 1 :: head_dim] += math.log(2) * math.sqrt(head_dim)
    times = torch.ones(length)
    times[0] = 2
    problem = "is not what a score larger by log 2 gives, although that key is there twice"
    hint = "the way from q·k to the weights: what divides the scores, and what does softmax make of them?"
    told = Told(problem, "as for the larger score", hint)
    part = _part(variant, large, once | {"k": larger}, source, times=times)
    yield from _parts_case("a key that is there twice", large, [part], told)


# ---- many tokens -----------------------------------------------------------------------------------------------------

# Past the sizes that buffers are made for: 64, 128, 256, 512, 1024
MANY = 1040
SOME = 80


def long_cases(variant: Variant) -> Iterator[Case]:
    """What holds for few tokens holds for many."""
    yield from _repeated_tokens(variant)
    arguments = drawn_arguments(variant, 12, [SOME], heads=1)
    query = SOME - 10
    for rule in variant.rules:
        hidden = hidden_by(rule, variant, arguments, query)
        if hidden.any():
            yield hidden_case(variant, Probe(f"{rule}, {SOME} tokens", rule, arguments, hidden))
    yield _far_key(variant, arguments, query)


def _repeated_tokens(variant: Variant) -> Iterator[Case]:
    """The same tokens over and over: a query that sees each as often as the others gets what it gets from one."""
    length = 13
    small = drawn_arguments(variant, 11, [length], heads=1)
    source = torch.arange(MANY) % length
    large = small | {x: small[x].index_select(-2, source) for x in ("q", "k", "v")} | usual_options(variant, MANY)
    large |= told_lengths(variant, [MANY])
    hint = "what depends on the number of tokens: a table of a fixed size, a scale, a limit?"
    told = Told(f"changes when the same {length} tokens are repeated over and over", "as for one copy", hint)
    yield from _parts_case(f"{MANY} tokens", large, [_part(variant, large, small, source)], told)


def _far_key(variant: Variant, arguments: dict[str, Any], query: int) -> Case:
    """The value of the farthest key that a query sees must matter."""
    seen = visible_keys(variant.rules, arguments)
    places = (seen if variant.packed else seen[0])[query].nonzero().squeeze(1)
    key = int(places[(places - query).abs().argmax()])
    item = () if variant.packed else (0,)
    other = arguments | {"v": arguments["v"].clone()}
    other["v"][(*item, key)] += 100.0  # one weight in eighty is small
    calls = (Call(arguments), Call(other))
    return sensitive_case("v", calls, (*item, key), (*item, query), f"{SOME} tokens: the farthest visible value")
