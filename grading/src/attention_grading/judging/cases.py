"""The hidden cases: what ``values``, ``masking``, ``robustness`` and ``kernel`` ask, drawn from a seed.

Every number comes from the seed and the case's name: one seed gives one set of cases, and no list of inputs can leak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging import kernel_check
from attention_grading.judging.case_kinds import (
    FLOATS,
    HALVES,
    compared,
    devices,
    gradients,
    many_heads,
    option_values,
    packed_in_dtypes,
    packed_of,
    remembered,
    unmodified,
    with_option,
    with_zero_keys,
)
from attention_grading.judging.draw import Draw, holes_mask, left_mask, right_mask
from attention_grading.judging.own_cases import own_cases
from attention_grading.judging.own_cases.cached import KernelInputs, cached_cases, cached_kernel_inputs
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case
from attention_lab.checks.run import visible_cases
from attention_lab.flex import forward_alone
from attention_lab.variants import VARIANTS, Inputs

# sizes that are no powers of two, so that swapped or rounded axes show
ODD_SIZES = (3, 5, 6, 7, 9, 11, 13)
ODD_HEAD_DIMS = (3, 5, 6, 10, 12, 20)
FLASH_HEAD_DIMS = (8, 16, 24, 32, 40)

# Where to look, for more than one case
ENTERS = "where the mask enters: it takes keys away before the softmax, in every head and for every query"
LARGE = "a row of large scores: subtract its maximum before exp, or let softmax do it"
NO_TOKENS, GRADIENTS = "a sequence of no tokens", "gradients wanted"
BORDERS = "the borders: what tells the kernel where each sequence begins and ends"


@cache
def plan(variant_name: str, seed: str, device: str = "cpu") -> tuple[Case, ...]:
    """All cases of a variant, the visible ones first, in the order of the checks.

    Args:
        variant_name: Of one of the course's, such as ``eager_causal``.
        seed: Any text; the same text gives the same cases.
        device: Where the function runs: not every kernel has gradients everywhere.
    """
    variant = VARIANTS[variant_name]
    draw = Draw(variant, seed, forward_alone(device) if variant.kernel == "flex" else "")
    hidden, _ = _BY_INPUTS[variant.inputs]
    return (*visible_cases(variant), *hidden(draw), *_kernel_cases(draw), *own_cases(draw))


# ---- padded variants -------------------------------------------------------------------------------------------------


def _padded_cases(draw: Draw) -> Iterator[Case]:
    yield from _padded_values(draw)
    yield from _padded_masking(draw)
    yield from _padded_robustness(draw)


def _padded_values(draw: Draw) -> Iterator[Case]:
    values = partial(compared, draw, "values", "which step comes first, and along which axis each works")
    yield values("a small batch", lambda: [draw.padded(2, 7, 3, draw.choose(ODD_HEAD_DIMS))], form="positional")
    yield values("other sizes", lambda: [draw.padded(3, draw.choose(ODD_SIZES), draw.choose((2, 3, 5)), 8)])
    yield values("one token", lambda: [draw.padded(1, 1, 2, 5), draw.padded(3, 1, 2, 4)])
    yield values("one head", lambda: [draw.padded(2, draw.choose(ODD_SIZES), 1, draw.choose(ODD_HEAD_DIMS))])
    yield values(
        "sizes that coincide",
        lambda: [
            draw.padded(4, 4, 3, 5),  # batch = seq
            draw.padded(3, 7, 3, 4),  # batch = heads
            draw.padded(2, 5, 5, 3),  # seq = heads
            draw.padded(2, 6, 3, 6),  # seq = head_dim
            draw.padded(2, 4, 4, 4),  # seq = heads = head_dim
        ],
    )
    yield values(
        "long sequences",
        # past the sizes that buffers are made for: 64, 128, 256, 512, 1024
        lambda: [draw.padded(2, draw.between(130, 160), 2, 8), draw.padded(1, draw.between(1030, 1060), 1, 4)],
    )
    yield compared(draw, "values", LARGE, "large scores", lambda: [draw.padded(2, 9, 2, 8, q_scale=40.0)])
    yield values("zero queries", lambda: [draw.padded(2, 6, 2, 7, q_scale=0.0)])
    yield values("scores of exactly zero", lambda: [with_zero_keys(draw.padded(2, 8, 2, 6))])
    for layout in ("sliced", "sequence first"):
        yield values(f"non-contiguous inputs ({layout})", lambda: [draw.padded(2, 7, 3, 8)], layout=layout)
    yield values("no mask argument", lambda: [draw.padded(2, 5, 2, 6)], form="without mask")


def _padded_masking(draw: Draw) -> Iterator[Case]:
    masking = partial(compared, draw, "masking", ENTERS)
    yield masking("padding on the right", lambda: [draw.padded(3, 7, 2, 6, mask=right_mask([7, 4, 1], 7), junk=8)])
    yield masking("padding on the left", lambda: [draw.padded(3, 7, 2, 6, mask=left_mask([7, 4, 2], 7), junk=8)])
    yield masking("holes", lambda: [draw.padded(3, 9, 3, 5, mask=holes_mask(draw, 3, 9), junk=8)])
    yield masking(
        "a wholly padded sequence",
        lambda: [
            draw.padded(3, 6, 2, 8, mask=right_mask([4, 0, 6], 6), junk=8),
            draw.padded(3, 6, 2, 8, mask=left_mask([0, 4, 5], 6), junk=8),
        ],
    )
    yield masking("a mask that masks nothing", lambda: [draw.padded(2, 5, 3, 4, mask=right_mask([5, 5], 5))])
    yield masking("one token", lambda: [draw.padded(2, 1, 2, 4, mask=right_mask([1, 1], 1))])
    yield masking("a batch of one", lambda: [draw.padded(1, 8, 3, 4, mask=left_mask([5], 8), junk=8)])
    yield masking(
        "sizes that coincide",
        lambda: [
            draw.padded(5, 5, 3, 4, mask=holes_mask(draw, 5, 5), junk=8),  # batch = seq
            draw.padded(3, 6, 3, 4, mask=left_mask([6, 3, 2], 6), junk=8),  # batch = heads
            draw.padded(4, 4, 4, 4, mask=right_mask([4, 3, 2, 1], 4), junk=8),  # batch = seq = heads = head_dim
        ],
    )
    yield masking(
        "a long sequence",
        lambda: [draw.padded(2, length, 2, 8, mask=holes_mask(draw, 2, length), junk=8) for length in (75, 270)],
    )
    strong = "how strongly a masked key is taken away: no score, however large, may bring it back"
    yield compared(
        draw,
        "masking",
        strong,
        "low scores at real keys, high ones at padding",
        lambda: [
            draw.lifted(2, 8, 2, left_mask([8, 5], 8)),
            draw.lifted(2, 8, 2, holes_mask(draw, 2, 8)),
        ],
    )
    yield masking(
        "scores of exactly zero",
        lambda: [with_zero_keys(draw.padded(2, 8, 3, 5, mask=left_mask([8, 7], 8), junk=8))],
    )
    for layout in ("sliced", "sequence first"):
        yield masking(
            f"non-contiguous inputs ({layout})",
            lambda: [draw.padded(2, 7, 3, 8, mask=left_mask([7, 4], 7), junk=8)],
            layout=layout,
        )
    yield masking(
        "positional arguments", lambda: [draw.padded(2, 6, 2, 8, mask=holes_mask(draw, 2, 6))], form="positional"
    )

    def padded(**option: Any) -> dict[str, Any]:
        return draw.padded(4, 9, many_heads(draw.variant), 5, mask=left_mask([9, 6, 8, 3], 9), **option)

    for name, value in option_values(draw.variant):
        yield masking(f"{name} {value}", partial(with_option, name, value, padded))


def _padded_elsewhere(draw: Draw) -> Iterator[Case]:
    """The questions of ``values`` and ``masking`` again, in other dtypes and on SDPA's other backend."""
    values = partial(compared, draw, "robustness", "what depends on the dtype: constants, conversions, new tensors")
    yield values(
        "dtypes (fp64, fp16, bf16)",
        lambda: [
            draw.padded(2, 11, 3, 8, dtype=torch.float64),
            draw.padded(4, 19, 5, 8, dtype=torch.float16),  # many numbers: one of them shows that bf16 was inside
            draw.padded(2, 11, 3, 8, dtype=torch.bfloat16),
        ],
    )
    yield values(
        "dtypes (fp64, fp16, bf16) with padding",
        lambda: [
            draw.padded(2, 9, 3, 8, mask=mask, dtype=dtype, junk=6)
            for dtype in (torch.float64, torch.float16, torch.bfloat16)
            for mask in (left_mask([9, 5], 9), right_mask([9, 5], 9))
        ],
    )
    yield compared(
        draw,
        "robustness",
        LARGE,
        "large scores in fp16 and bf16",
        lambda: [draw.padded(2, 9, 2, 8, q_scale=8.0, dtype=dtype) for dtype in HALVES],
    )
    if draw.variant.kernel == "sdpa":
        math = partial(compared, draw, "robustness", setting="math")
        first = "which step comes first, and along which axis each works"
        yield math(first, "SDPA's MATH backend", lambda: [draw.padded(2, 7, 3, 8)])
        both = "where padding and triangle come together: a key must be allowed by both"
        yield math(
            both if draw.variant.causal else ENTERS,
            "SDPA's MATH backend with padding",
            lambda: [draw.padded(2, 7, 3, 8, mask=left_mask([7, 4], 7), junk=8)],
        )


def _padded_robustness(draw: Draw) -> Iterator[Case]:
    yield from _padded_elsewhere(draw)
    masks: dict[str, Callable[[], Tensor | None]] = {
        "no mask": lambda: None,
        "padding on the right": lambda: right_mask([6, 3], 6),
        "padding on the left": lambda: left_mask([6, 3], 6),
        "holes": lambda: holes_mask(draw, 2, 6),
        "a wholly padded sequence": lambda: right_mask([0, 5], 6),
    }
    for name, mask in masks.items():
        inputs = partial(draw.padded_in, FLOATS, 5, mask)
        yield gradients(draw, f"finite, with right gradients: {name}", inputs)
    if draw.variant.kernel == "sdpa":
        for name in ("padding on the left", "a wholly padded sequence"):
            inputs = partial(draw.padded_in, FLOATS[:1], 8, masks[name])
            yield gradients(draw, f"gradients under SDPA's MATH backend: {name}", inputs, setting="math")
    draw.reseed("memory")
    first = draw.padded(2, 6, 2, 8, mask=right_mask([6, 4], 6))
    yield remembered(
        draw,
        [
            first,
            draw.padded(2, 6, 2, 8, mask=left_mask([3, 6], 6)),  # the same shape, other data
            draw.padded(2, 6, 2, 8),
            draw.padded(3, 9, 1, 4, mask=holes_mask(draw, 3, 9)),  # another shape
            first,
        ],
    )
    draw.reseed("inputs")
    yield unmodified(
        Call(draw.padded(2, 5, 2, 6)),
        Call(draw.padded(2, 5, 2, 6), "without mask"),
        Call(draw.padded(2, 6, 3, 4, mask=left_mask([6, 2], 6), dtype=torch.float16)),
        Call(draw.padded(1, 7, 2, 4, mask=holes_mask(draw, 1, 7), dtype=torch.bfloat16)),
        Call(draw.padded(2, 6, 1, 4, mask=right_mask([0, 4], 6), dtype=torch.float64), layout="sliced"),
    )
    yield devices([draw.padded(2, 5, 2, 6), draw.padded(2, 6, 3, 4, mask=right_mask([6, 2], 6))])


# ---- packed variants -------------------------------------------------------------------------------------------------


def _packed_cases(draw: Draw) -> Iterator[Case]:
    yield from _packed_values(draw)
    yield from _packed_masking(draw)
    yield from _packed_robustness(draw)


def _packed_values(draw: Draw) -> Iterator[Case]:
    values = partial(compared, draw, "values", "the shapes that the kernel wants, and what scales the scores")
    yield values("one sequence", lambda: [draw.packed([11], 3, 16)])
    yield values("other sizes", lambda: [draw.packed([draw.choose(ODD_SIZES)], 5, draw.choose(FLASH_HEAD_DIMS))])
    yield values("one token", lambda: [draw.packed([1], 2, 8)])
    yield values("one head", lambda: [draw.packed([draw.choose(ODD_SIZES)], 1, draw.choose(FLASH_HEAD_DIMS))])
    yield values("sizes that coincide", lambda: [draw.packed([8], 8, 8), draw.packed([4], 4, 16)])
    yield values(
        "long sequences",
        # past the sizes that max_seqlen is guessed at: 64, 128, 256, 512, 1024
        lambda: [draw.packed([draw.between(130, 160)], 2, 16), draw.packed([draw.between(1030, 1060)], 1, 8)],
    )
    yield values("large scores", lambda: [draw.packed([9], 2, 8, q_scale=8.0)])
    yield values("zero queries", lambda: [draw.packed([6], 2, 8, q_scale=0.0)])
    yield values("scores of exactly zero", lambda: [with_zero_keys(draw.packed([8], 2, 8))])
    yield values("non-contiguous inputs", lambda: [draw.packed([7], 3, 8)], layout="sliced")
    yield values("positional arguments", lambda: [draw.packed([6], 2, 24)], form="positional")


def _packed_masking(draw: Draw) -> Iterator[Case]:
    masking = partial(compared, draw, "masking", BORDERS)
    yield masking("ragged sequences", lambda: [draw.packed([4, 9, 2, 6], 3, 16)])
    if draw.variant.inputs != "documents":  # those have matrices, which tell more
        yield masking("equal lengths", lambda: [draw.packed([5, 5, 5], 2, 8)])
        yield masking("sequences of one token", lambda: [draw.packed([1, 7, 1, 1], 2, 8)])
    if _knows_empty(draw):
        yield masking(NO_TOKENS, lambda: [draw.packed([4, 0, 6], 2, 8), draw.packed([0, 5, 3, 0], 2, 8)])
    yield masking(
        "long sequences",
        lambda: [
            draw.packed([draw.between(17, 30), draw.between(66, 80), draw.between(20, 40)], 2, 16),
            draw.packed([draw.between(7, 9), draw.between(530, 560)], 1, 8),
        ],
    )
    yield masking("sizes that coincide", lambda: [draw.packed([2, 1], 3, 8), draw.packed([3, 5], 8, 8)])
    yield masking("non-contiguous inputs", lambda: [draw.packed([3, 7], 3, 8)], layout="sliced")
    yield masking("positional arguments", lambda: [draw.packed([6, 2, 8], 2, 24)], form="positional")

    def ragged(**option: Any) -> dict[str, Any]:
        return draw.packed([4, 9, 7], many_heads(draw.variant), 8, **option)

    for name, value in option_values(draw.variant):
        yield masking(f"{name} {value}", partial(with_option, name, value, ragged))


def _packed_robustness(draw: Draw) -> Iterator[Case]:
    half = partial(compared, draw, "robustness", "what depends on the dtype: conversions and new tensors")
    yield half("fp16", partial(packed_of, draw, torch.float16))
    if not draw.variant.half_precision:
        yield half("bf16", partial(packed_of, draw, torch.bfloat16))
    lengths = {"one sequence": [7], "ragged sequences": [3, 6, 1, 5]}
    if draw.forward_alone:
        yield half(f"forward alone, as {draw.forward_alone}", partial(packed_in_dtypes, draw, [3, 6, 1, 5]))
        lengths = {}
    for name, sizes in (lengths | ({NO_TOKENS: [4, 0, 5]} if _knows_empty(draw) else {})).items():
        yield gradients(draw, f"finite, with right gradients: {name}", partial(packed_in_dtypes, draw, sizes))
    draw.reseed("memory")
    first = draw.packed([4, 8, 3], 2, 8)
    others = [
        draw.packed([7, 2, 6], 2, 8),  # the same total, other lengths
        draw.packed([15], 2, 8),
        draw.packed([2, 6], 3, 16, dtype=torch.float16),
    ]
    yield remembered(draw, [first, *others, first])
    draw.reseed("inputs")
    yield unmodified(
        Call(draw.packed([5, 2], 2, 8, starts=[0, 7])),
        Call(draw.packed([3, 4], 2, 16, dtype=torch.float16), "positional"),
        Call(draw.packed([6], 1, 8), layout="sliced"),
    )
    yield devices([draw.packed([5, 2], 2, 8)])


def _knows_empty(draw: Draw) -> bool:
    """Whether a sequence without tokens leaves a trace: in borders it does, in what each token brings it does not."""
    return "cu_seqlens" in draw.variant.parameters


# ---- kernel ----------------------------------------------------------------------------------------------------------


def _kernel_cases(draw: Draw) -> Iterator[Case]:
    # a function may take another way for long sequences, in half precision, or where gradients are wanted
    verdict = kernel_check.fused_kernel if draw.variant.fused else kernel_check.eager_kernel
    _, kernel_inputs = _BY_INPUTS[draw.variant.inputs]
    for name, inputs in kernel_inputs(draw).items():
        draw.reseed(f"kernel/{name}")
        asked = [(each, draw.cotangent(each) if name == GRADIENTS else None) for each in inputs()]
        calls = tuple(
            Call(arguments, setting=setting, cotangent=cotangent)
            for arguments, cotangent in asked
            for setting in ("unmarked", "marked")
        )
        # one of the first must run; where another does not, the check that asks for such inputs says so
        must_run = len(asked) > 1
        yield Case("kernel", name, calls, partial(verdict, draw.variant, name, calls, must_run=must_run))


def _padded_kernel_inputs(draw: Draw) -> dict[str, KernelInputs]:
    return {
        "no mask, and padding on the right": lambda: [
            draw.padded(2, 6, 3, 8),
            draw.padded(2, 6, 2, 8, mask=right_mask([6, 4], 6)),
        ],
        "padding on the left": lambda: [draw.padded(2, 6, 2, 8, mask=left_mask([6, 4], 6))],
        "holes": lambda: [draw.padded(1, 7, 1, 5, mask=holes_mask(draw, 1, 7))],
        "a wholly padded sequence": lambda: [draw.padded(3, 5, 2, 4, mask=left_mask([5, 0, 3], 5))],
        "fp16": lambda: [draw.padded(2, 6, 2, 8, mask=left_mask([6, 3], 6), dtype=torch.float16)],
        "bf16, no mask": lambda: [draw.padded(2, 6, 2, 8, dtype=torch.bfloat16)],
        "a long sequence": lambda: [draw.padded(1, draw.between(66, 80), 2, 8)],
        GRADIENTS: lambda: [draw.padded(2, 5, 2, 8, mask=right_mask([5, 3], 5))],
    }


def _packed_kernel_inputs(draw: Draw) -> dict[str, KernelInputs]:
    lengths, name = ([4, 0, 5], NO_TOKENS) if _knows_empty(draw) else ([4, 5], "two sequences")
    return {
        "one sequence, and several": lambda: [draw.packed([6], 3, 16), draw.packed([3, 6, 1, 5], 2, 8)],
        f"{name}, in fp16": lambda: [draw.packed(lengths, 2, 8, dtype=torch.float16)],
        "long sequences": lambda: [draw.packed([draw.between(66, 80), 9], 2, 8)],
    } | ({} if draw.forward_alone else {GRADIENTS: lambda: [draw.packed([5, 3], 2, 8, dtype=torch.float16)]})


# By kind of inputs: the cases of the other hidden checks, and what the check ``kernel`` calls a function with
_BY_INPUTS: dict[Inputs, tuple[Callable[[Draw], Iterator[Case]], Callable[[Draw], dict[str, KernelInputs]]]] = {
    "padded": (_padded_cases, _padded_kernel_inputs),
    **dict.fromkeys(("packed", "positions", "documents"), (_packed_cases, _packed_kernel_inputs)),
    "cached": (cached_cases, cached_kernel_inputs),
}


# ---- calls and outcomes ----------------------------------------------------------------------------------------------


def flat_calls(cases: Sequence[Case]) -> list[Call]:
    """The calls of all cases, in order."""
    return [call for case in cases for call in case.calls]


def grouped(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Iterator[tuple[Case, Sequence[Outcome]]]:
    """Each case with its own outcomes, out of the outcomes of ``flat_calls``."""
    start = 0
    for case in cases:
        yield case, outcomes[start : start + len(case.calls)]
        start += len(case.calls)
