"""The visible check ``contract``: shape, dtype and device of the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case
from attention_lab.checks.require import no_device_mismatch, require_result
from attention_lab.checks.toy import converted, toy_arguments
from attention_lab.variants import Variant


def contract_cases(variant: Variant) -> Iterator[Case]:
    arguments = toy_arguments(variant, seed=1)
    yield _shape_case("shape and dtype", [Call(arguments)])
    if variant.packed:
        half = converted(arguments, torch.float16)
        yield _shape_case("half precision (fp16 and bf16)", [Call(half), Call(arguments)])
    else:
        others = [Call(converted(arguments, dtype)) for dtype in (torch.float16, torch.bfloat16, torch.float64)]
        yield _shape_case("dtypes (fp16, bf16, fp64)", others)
    if not variant.masked:
        yield _shape_case("positional and keyword arguments", [Call(arguments, "positional"), Call(arguments)])
    else:
        unmasked = arguments | {"mask": None}
        forms = [Call(arguments, "positional"), Call(arguments), Call(unmasked), Call(unmasked, "without mask")]
        options = [name for name in variant.optional if name != "mask"]
        forms += [Call({name: value for name, value in arguments.items() if name != option}) for option in options]
        yield _shape_case(
            ", ".join(("positional, keyword, mask=None, no mask", *(f"no {name}" for name in options))), forms
        )
    call = Call(arguments, setting="elsewhere")
    yield Case("contract", "device", (call,), lambda outcomes: no_device_mismatch("device", call, outcomes[0]))


def _shape_case(name: str, calls: Sequence[Call]) -> Case:
    def verify(outcomes: Sequence[Outcome]) -> None:
        for call, outcome in zip(calls, outcomes, strict=True):
            require_result(name, call, outcome)

    return Case("contract", name, tuple(calls), verify)
