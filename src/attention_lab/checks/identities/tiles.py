"""Attention tile by tile: the size of a tile changes nothing but what a function holds at once.

That grows with the tokens, and not with their square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.intermediates import Intermediates
from attention_lab.checks.require import Told, require_alike, require_result
from attention_lab.checks.toy import drawn_arguments
from attention_lab.rules import real_tokens
from attention_lab.variants import Variant

# What is linear grows as much as the tokens do, within this; what is square grows by that factor twice
GROWTH = 1.5
# One more column beside a tile's
BESIDE = 1
SCORES = "how many scores exist at the same time: those of one tile, or those of all keys?"


def block_size_case(variant: Variant) -> Case:
    """Tiles of one key and of all, and any in between, give the same."""
    name = "another block_size"
    plain = drawn_arguments(variant, 22, (11, 11, 11))
    steep = plain | {"q": 4 * plain["q"]}  # the maximum grows from tile to tile
    calls = [
        Call(arguments | {"block_size": block_size, "mask": mask})
        for arguments, mask in ((plain, None), (steep, None), (steep, _TILES_OF_PADDING))
        for block_size in (20, 1, 2, 4, 10, 11)
    ]

    def verify(outcomes: Sequence[Outcome]) -> None:
        outputs = outputs_of(name, calls, outcomes)
        hint = "what goes on from tile to tile: which keys are in it, and what becomes of what was gathered before?"
        for start in range(0, len(calls), 6):
            read = real_tokens(calls[start].arguments)[..., None]
            for call, output in zip(calls[start + 1 : start + 6], outputs[start + 1 : start + 6], strict=True):
                problem = f"is another one in tiles of {call.arguments['block_size']} than in one tile"
                require_alike(name, call, output, outputs[start], read, Told(problem, "as in one tile", hint))

    return Case("invariants", name, tuple(calls), verify)


# Padding on the left, on the right and in between, for several tiles
_TILES_OF_PADDING = torch.tensor([[0] * 5 + [1] * 6, [1] * 6 + [0] * 5, [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]]).bool()


def shifted_case(variant: Variant) -> Case:
    """All scores higher or lower by one number: the weights stay, wherever the maximum begins."""
    name = "all scores shifted"
    arguments = drawn_arguments(variant, 23, (11, 11)) | {"block_size": 4}
    head_dim, heads = arguments["head_dim"], arguments["num_heads"]
    last = torch.arange(1, heads + 1) * head_dim - 1  # of each head: the same in all queries and in all keys
    arguments["q"][..., last], arguments["k"][..., last] = 1.0, 0.0
    calls = [Call(arguments)]
    for shift in (-256.0, 256.0):  # fp32 rounds scores of that size a hundred times as coarsely
        other = arguments["k"].clone()
        other[..., last] = shift * head_dim**0.5
        calls.append(Call(arguments | {"k": other}))

    def verify(outcomes: Sequence[Outcome]) -> None:
        plain, *shifted = outputs_of(name, calls, outcomes)
        hint = "the maximum: what is it before the first tile, and is it subtracted from every score?"
        for call, output, words in zip(calls[1:], shifted, ("lower", "higher"), strict=True):
            told = Told(f"is another one when all scores are {words} by 256", "as before", hint)
            require_alike(name, call, output, plain, torch.ones((), dtype=torch.bool), told, slack=100)

    return Case("invariants", name, tuple(calls), verify)


def memory_cases(variant: Variant) -> Iterator[Case]:
    """Few tokens and many, in tiles of one size; in the forward pass of training, too."""
    for name, block_size, lengths in (("memory", 20, (150, 420)), ("memory, with gradients wanted", 13, (70, 190))):
        inputs = [drawn_arguments(variant, 21, [length], heads=2) for length in lengths]
        calls = measured([each | {"block_size": block_size} for each in inputs], wants_gradients="gradients" in name)
        yield Case("invariants", name, calls, partial(require_tiles, variant, name, calls))


def measured(inputs: Sequence[dict[str, Any]], *, wants_gradients: bool) -> tuple[Call, ...]:
    """Calls whose intermediates are followed."""
    return tuple(
        Call(each, setting="measured", cotangent=torch.ones_like(each["q"]) if wants_gradients else None)
        for each in inputs
    )


def require_tiles(variant: Variant, name: str, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
    """No tensor of seq × seq, no softmax over whole rows, and all work in tiles of ``block_size`` keys.

    Args:
        variant: One that has a ``block_size``.
        name: Of the case.
        calls: Two of one batch, heads and block_size; the second has several times as many tokens.
        outcomes: What they gave.

    Raises:
        CheckFailed: One did not run, or holds more than tiles.
    """
    seen = []
    for call, outcome in zip(calls, outcomes, strict=True):
        require_result(name, call, outcome, own_dtype=False)
        seen.append(outcome.intermediates or Intermediates(0, 0, 0, 0))
        _require_tile(variant, name, call, seen[-1])
    more = calls[1].arguments["q"].shape[-2] / calls[0].arguments["q"].shape[-2]
    kept = [("largest", "the largest tensor", "numbers", "whole-scores", SCORES)]
    if calls[0].cotangent is None:  # autograd keeps every tile
        hint = "what outlives its tile: is there a list of scores, or of outputs, that grows with every tile?"
        kept.append(("peak", "all that lives at once", "bytes", "tiles-kept", hint))
    for what, words, unit, code, hint in kept:
        few, many = (getattr(each, what) for each in seen)
        if many > GROWTH * more * few:
            raise CheckFailed(
                name,
                f"{words} grows with the square of the tokens",
                f"expected about {more:.1f} times as much for {more:.1f} times the tokens, "
                f"got {many / few:.1f} times ({few:,} and {many:,} {unit})",
                hint,
                code,
                {"few": few, "many": many},
            )


def _require_tile(variant: Variant, name: str, call: Call, seen: Intermediates) -> None:
    batch, seq, _ = call.arguments["q"].shape
    heads, block_size = call.arguments["num_heads"], variant.value_of("block_size", call.arguments)
    sizes = f"{seq} tokens, num_heads {heads}, block_size {block_size}"
    if max(block_size, call.arguments["head_dim"]) + BESIDE < seen.longest_sum < seq / 2:
        raise CheckFailed(
            name,
            "the tiles are not of block_size keys",
            f"expected {block_size} keys at a time, got {seen.longest_sum} ({sizes})",
            "where a tile begins and ends: does its size come from block_size, in every call?",
            "block-size-ignored",
            {"terms": seen.longest_sum},
        )
    if seen.largest >= seq * seq / 2:
        raise CheckFailed(
            name,
            f"a tensor holds {seen.largest:,} numbers at once",
            f"expected about seq × block_size in each head ({heads * seq * block_size:,}), got as much as seq × seq "
            f"({seq * seq:,}; {sizes})",
            SCORES,
            "whole-scores",
            {"largest": seen.largest},
        )
    if seen.longest_sum >= seq / 2:
        raise CheckFailed(
            name,
            "a softmax, a sum or a product runs over all keys at once",
            f"expected {block_size} keys at a time, got {seen.longest_sum} ({sizes})",
            "each row of scores: does it come in tiles of keys, or does the function wait until the row is complete?",
            "whole-rows",
            {"terms": seen.longest_sum},
        )
    if seen.work < batch * heads * seq * seq / 2:
        raise CheckFailed(
            name,
            "most of the work happens where nobody sees it",
            f"expected tensor operations on at least half of all scores ({batch * heads * seq * seq // 2:,}), "
            f"got {seen.work:,} numbers ({sizes})",
            "who computes the scores: PyTorch's operations in your own function, or something else?",
            "work-unseen",
            {"work": seen.work},
        )
