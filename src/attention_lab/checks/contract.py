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
    halves = [Call(converted(arguments, dtype)) for dtype in (torch.float16, torch.bfloat16)]
    if variant.half_precision:
        yield _shape_case("half precision (fp16 and bf16)", halves)
    elif variant.packed:
        yield _shape_case("dtypes (fp32, fp16, bf16)", [Call(arguments), *halves])
    else:
        yield _shape_case("dtypes (fp16, bf16, fp64)", [*halves, Call(converted(arguments, torch.float64))])
    forms, words = [Call(arguments, "positional"), Call(arguments)], ["positional", "keyword"]
    if "mask" in variant.parameters:
        unmasked = arguments | {"mask": None}
        forms, words = [*forms, Call(unmasked), Call(unmasked, "without mask")], [*words, "mask=None", "no mask"]
    for option in variant.optional:
        if option != "mask":
            forms.append(Call({name: value for name, value in arguments.items() if name != option}))
            words.append(f"no {option}")
    more = ", ".join(words[2:])
    yield _shape_case(f"positional, keyword, {more}" if more else "positional and keyword arguments", forms)
    if "document_ids" in arguments:
        yield _shape_case("labels in int32", [Call(arguments | {"document_ids": arguments["document_ids"].int()})])
    call = Call(arguments, setting="elsewhere")
    yield Case("contract", "device", (call,), lambda outcomes: no_device_mismatch("device", call, outcomes[0]))


def _shape_case(name: str, calls: Sequence[Call]) -> Case:
    def verify(outcomes: Sequence[Outcome]) -> None:
        for call, outcome in zip(calls, outcomes, strict=True):
            require_result(name, call, outcome)

    return Case("contract", name, tuple(calls), verify)
