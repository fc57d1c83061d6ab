"""Attention tile by tile: sizes of tiles, scores that rise and fall from tile to tile, and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.case_kinds import FLOATS, HALVES, compared, gradients
from attention_grading.judging.comparison import relative_error
from attention_grading.judging.draw import Draw, left_mask, right_mask
from attention_grading.reference import attend
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.identities.tiles import SCORES, measured, require_tiles
from attention_lab.checks.require import require_result
from attention_lab.variants import Variant

TILES = "the tiles: which keys does each of them hold, and which places do these have in the sequence?"
RESCALED = "what a new tile's larger maximum does to the sum and to the output so far"
FIRST = "the maximum before the first tile: is it lower than any score, or a score that a row may have?"
EMPTY = "a tile in which a row sees nothing: what is its maximum, and what is its difference from the one so far?"
FAR_BELOW_ZERO = "scores far below zero"


def tiled_cases(draw: Draw) -> Iterator[Case]:
    yield from _values(draw)
    yield from _masking(draw)
    yield from _robustness(draw)
    yield from _memory(draw)


def _values(draw: Draw) -> Iterator[Case]:
    seq = draw.choose((11, 13, 17))
    for block_size in (1, 4, seq - 1, seq, seq + 1, 64):
        inputs = partial(_in_tiles, draw, 2, seq, 3, 5, block_size)
        yield compared(draw, "values", TILES, f"{seq} tokens in tiles of {block_size}", inputs)
    # the first part of the softmax is rounding: scores that change by 3 a key, as exactly as elsewhere
    for name, steps in (("rise", torch.arange(11) / 4), ("fall", -torch.arange(11) / 4)):
        inputs = partial(_sloping, draw, steps)
        yield compared(draw, "values", RESCALED, f"scores that {name} from tile to tile", inputs)
    yield compared(draw, "values", FIRST, FAR_BELOW_ZERO, partial(_far_below_zero, draw))


def _masking(draw: Draw) -> Iterator[Case]:
    masks = {
        "on the left": left_mask([11, 4, 1], 11),
        "on the right": right_mask([11, 3, 2], 11),
        "in between": ~torch.zeros(3, 11, dtype=torch.bool).index_fill_(1, torch.arange(3, 8), True),
    }
    for name, mask in masks.items():
        inputs = [
            partial(_in_tiles, draw, 3, 11, 2, 5, block_size, mask=mask, junk=8.0) for block_size in (1, 2, 3, 4, 20)
        ]
        yield compared(draw, "masking", EMPTY, f"tiles of padding {name}", partial(_each, inputs))


def _robustness(draw: Draw) -> Iterator[Case]:
    for name, mask in (("no mask", None), ("tiles of padding", left_mask([7, 3], 7))):
        inputs = partial(_in_dtypes, draw, mask)
        yield gradients(draw, f"finite, with right gradients, in tiles of 2: {name}", inputs)
    rising = [partial(_in_tiles, draw, 2, 11, 2, 6, 3, q_scale=6.0, dtype=dtype) for dtype in HALVES]
    yield compared(draw, "robustness", RESCALED, "large scores in tiles of 3, in fp16 and bf16", partial(_each, rising))


def _in_dtypes(draw: Draw, mask: Tensor | None) -> list[dict[str, Any]]:
    return [arguments for dtype in FLOATS for arguments in _in_tiles(draw, 2, 7, 3, 5, 2, mask=mask, dtype=dtype)]


def _each(inputs: Sequence[partial[list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    return [arguments for draw_some in inputs for arguments in draw_some()]


def _in_tiles(
    draw: Draw, batch: int, seq: int, heads: int, head_dim: int, block_size: int, **how: Any
) -> list[dict[str, Any]]:
    return [draw.padded(batch, seq, heads, head_dim, **how) | {"block_size": block_size}]


def _sloping(draw: Draw, steps: Tensor) -> list[dict[str, Any]]:
    """Keys of which each next one scores higher, or lower, by steps; in tiles of 2 and 5."""
    both = []
    for block_size in (2, 5):
        arguments = draw.padded(2, len(steps), 3, 5)
        place = torch.arange(0, 15, 5)  # the first number of each head
        arguments["q"][..., place] = 8.0
        arguments["k"][..., place] = steps[:, None]
        both.append(arguments | {"block_size": block_size})
    return both


def _far_below_zero(draw: Draw) -> list[dict[str, Any]]:
    """All scores are near -400: their exponentials are 0 where no maximum is subtracted."""
    arguments = draw.padded(2, 9, 3, 4)
    place = torch.arange(0, 12, 4)
    arguments["q"][..., place], arguments["k"][..., place] = 32.0, -25.0
    return [arguments | {"block_size": block_size} for block_size in (2, 20)]


# ---- memory ----------------------------------------------------------------------------------------------------------


def _memory(draw: Draw) -> Iterator[Case]:
    """Each with its own lengths: between them and seq × seq there is a factor of ten at least."""
    draw.reseed("kernel/memory")
    few, many = draw.between(165, 175), draw.between(540, 570)
    plain = [draw.padded(1, seq, 2, 5) | {"block_size": 20} for seq in (few, many)]
    yield _measured(draw, "memory grows with the tokens", plain)
    few, many = draw.between(115, 125), draw.between(380, 400)
    masks = [left_mask([seq, seq - 30], seq) for seq in (few, many)]
    padded = [draw.padded(2, mask.shape[1], 1, 5, mask=mask) | {"block_size": 13} for mask in masks]
    yield _measured(draw, "memory with padding, gradients wanted", padded, wants_gradients=True)
    few, many = draw.between(400, 420), draw.between(1150, 1250)
    usual = [draw.padded(1, seq, 1, 6, dtype=torch.bfloat16) for seq in (few, many)]
    for arguments in usual:
        del arguments["block_size"]
    yield _measured(draw, "memory with the usual block_size, in bf16", usual)
    yield _short_of_memory(draw)


def _measured(draw: Draw, name: str, inputs: Sequence[dict[str, Any]], *, wants_gradients: bool = False) -> Case:
    calls = measured(inputs, wants_gradients=wants_gradients)
    return Case("kernel", name, calls, partial(require_tiles, draw.variant, name, calls))


# Tokens of the call that is short of memory: all scores at once take 210 MB and more, 40% more than there is
# (``execution.judge_runner.SHORT_BYTES``); those of one tile take two
FEW, MANY = 250, 7400
ROWS = 24  # that are compared: the reference has no room for all scores either


def _short_of_memory(draw: Draw) -> Case:
    """What a meter in the function's own process is told, the operating system is not."""
    name = "little memory"
    draw.reseed("kernel/little memory")
    few = Call(draw.padded(1, FEW, 1, 3) | {"block_size": 100})
    many = Call(draw.padded(1, MANY + draw.between(0, 90), 1, 3) | {"block_size": 100}, setting="short of memory")
    rows = torch.randint(many.arguments["q"].shape[1], (ROWS,), generator=draw.generator)
    return Case("kernel", name, (few, many), partial(_require_some_rows, draw.variant, name, (few, many), rows))


def _require_some_rows(
    variant: Variant, name: str, calls: Sequence[Call], rows: Tensor, outcomes: Sequence[Outcome]
) -> None:
    failure, few, many = outcomes[1].failure, *calls
    if failure is not None and "memory" in f"{failure.kind} {failure.text}".lower():
        raise CheckFailed(
            name,
            f"the memory does not suffice for {many.arguments['q'].shape[1]} tokens",
            f"expected tiles of seq × block_size, a few MB, got {failure}",
            SCORES,
            "whole-scores",
        )
    outputs = [require_result(name, *pair) for pair in zip(calls, outcomes, strict=True)]
    if not _error(variant, few, outputs[0], torch.arange(0, FEW, 7)) <= _TOLERANCE:
        return  # wrong numbers are for the other checks: here it counts whether many tokens get the same as few
    error = _error(variant, many, outputs[1], rows)
    if not error <= _TOLERANCE:
        raise CheckFailed(
            name,
            f"the output for {outputs[1].shape[1]} tokens is wrong, and right for {FEW}",
            f"expected the same numbers in any size, got others (off by {error:.2g})",
            "what your function does with many tokens, and with few",
            "many-tokens",
            {"worst": error},
        )


def _error(variant: Variant, call: Call, output: Tensor, rows: Tensor) -> float:
    """The worst error of some rows; of each the reference is the last query of as many tokens."""
    errors = []
    for row in rows.tolist():
        seen = {x: call.arguments[x][:, : row + 1] for x in ("q", "k", "v")}
        expected = attend(variant, call.arguments | seen | {"q": seen["q"][:, -1:]})
        errors.append(float(relative_error(output[:, row : row + 1], expected).max()))
    return float(torch.tensor(errors).max())  # NaN, where there is one


_TOLERANCE = 1e-4  # of sums of thousands of terms in fp32
