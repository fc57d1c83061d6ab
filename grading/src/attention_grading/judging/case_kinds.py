"""The kinds of hidden cases: which question is asked of which calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from attention_grading.judging import comparison
from attention_grading.judging.draw import Draw
from attention_lab.checks.calls import Call, Form, Layout, Setting
from attention_lab.checks.case import Case
from attention_lab.variants import Variant

MEMORY = "calls do not depend on earlier calls"

HALVES = (torch.float16, torch.bfloat16)
FLOATS = (torch.float32, *HALVES)


def with_zero_keys(arguments: dict[str, Any]) -> dict[str, Any]:
    """Two keys that are all zeros: their scores are 0, which is no reason to take them for masked ones."""
    arguments["k"][..., 1:4:2, :] = 0.0
    return arguments


def option_values(variant: Variant) -> list[tuple[str, int]]:
    """Each value that an option may have, with its name."""
    return [(option.name, value) for option in variant.options for value in option.drawn]


def many_heads(variant: Variant) -> int:
    """So many heads that each number of key heads divides them."""
    asked = [value for option in variant.options if option.name == "num_kv_heads" for value in option.drawn]
    return math.lcm(3, *asked)


def with_option(name: str, value: int, inputs: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """Drawn arguments with this value of an option."""
    return [inputs(**{name: value})]


def compared(
    draw: Draw,
    check: str,
    hint: str,
    name: str,
    inputs: Callable[[], list[dict[str, Any]]],
    *,
    form: Form = "keyword",
    layout: Layout = "contiguous",
    setting: Setting = "plain",
) -> Case:
    """Outputs are compared with the reference, at every real token."""
    draw.reseed(f"{check}/{name}")
    calls = tuple(Call(arguments, form, layout, setting) for arguments in inputs())
    own_dtype = check == "robustness"  # elsewhere the numbers count: contract and robustness ask for the dtype
    verify = partial(comparison.values, draw.variant, name, hint, calls, own_dtype=own_dtype)
    return Case(check, name, calls, verify)


def gradients(draw: Draw, name: str, inputs: Callable[[], list[dict[str, Any]]], setting: Setting = "plain") -> Case:
    """Output and gradients are finite, and the gradients of a loss over the real tokens are those of the reference."""
    draw.reseed(name)
    calls = tuple(Call(arguments, setting=setting, cotangent=draw.cotangent(arguments)) for arguments in inputs())
    return Case("robustness", name, calls, partial(comparison.gradients, draw.variant, name, calls))


def remembered(draw: Draw, inputs: Sequence[dict[str, Any]]) -> Case:
    name = MEMORY
    hint = (
        "what your function keeps between calls, unless other checks find wrong numbers too: a cache must depend on "
        "everything that its content depends on"
    )
    calls = tuple(Call(arguments) for arguments in inputs)
    return Case("robustness", name, calls, partial(comparison.values, draw.variant, name, hint, calls))


def unmodified(*calls: Call) -> Case:
    name = "inputs are not modified"
    return Case("robustness", name, calls, partial(comparison.unmodified, name, calls))


def devices(inputs: Sequence[dict[str, Any]]) -> Case:
    name = "any device"
    calls = tuple(Call(arguments, setting="elsewhere") for arguments in inputs)
    return Case("robustness", name, calls, partial(comparison.devices, name, calls))


def packed_of(draw: Draw, dtype: torch.dtype) -> list[dict[str, Any]]:
    """One long sequence, large scores, and ragged sequences, in a dtype."""
    return [
        draw.packed([40], 5, 16, dtype=dtype),  # many numbers: one of them shows that bf16 was inside
        draw.packed([9], 2, 8, q_scale=8.0, dtype=dtype),
        draw.packed([5, 3, 8], 2, 8, dtype=dtype),
    ]


def packed_in_dtypes(draw: Draw, lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Sequences of these lengths in every dtype that the kernel takes."""
    dtypes = HALVES if draw.variant.half_precision else FLOATS
    return [draw.packed(lengths, 2, 8, dtype=dtype) for dtype in dtypes]
