"""What a sliding window must do, whatever its size: hold so many keys, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.invariants import Probe, hidden_by, hidden_case, sensitive_case
from attention_lab.checks.require import Told, require_alike
from attention_lab.checks.toy import converted, drawn_arguments
from attention_lab.variants import Variant

# Five sequences, packed; the third begins at token 10 and is the longest. Padded: two of that length
LENGTHS = (9, 1, 11, 6, 2)
START, LONGEST = 10, 11
COUNTED = "the window: how many keys does it hold, the query's own among them, and what does the kernel count?"


def window_cases(variant: Variant) -> Iterator[Case]:
    """Windows of one key, of some, of all but one, of all, and of more than there are."""
    item, start = ((), START) if variant.packed else ((0,), 0)
    for window, place in ((4, 7), (LONGEST - 1, LONGEST - 1), (LONGEST, LONGEST - 1)):
        arguments, query = _inputs(variant, window), start + place
        oldest = (*item, query - window + 1)
        hidden = hidden_by("window", variant, arguments, query)
        if hidden.any():
            yield hidden_case(variant, Probe(f"a window of {window}", "window", arguments, hidden, COUNTED))
        other = arguments | {"v": arguments["v"].clone()}
        other["v"][oldest] += 10.0
        words = f"a window of {window}: the oldest visible value"
        yield sensitive_case("v", (Call(arguments), Call(other)), oldest, (*item, query), words)
    yield _alone_case(variant)
    yield _everything_case(variant)


def _inputs(variant: Variant, window: int) -> dict[str, Any]:
    if variant.packed:
        return converted(drawn_arguments(variant, 24, LENGTHS), torch.float16) | {"window": window}
    return drawn_arguments(variant, 24, (LONGEST, LONGEST)) | {"window": window}


def _alone_case(variant: Variant) -> Case:
    """A token that sees itself alone gets its own value."""
    name = "a window of 1"
    call = Call(_inputs(variant, 1))

    def verify(outcomes: Sequence[Outcome]) -> None:
        (output,) = outputs_of(name, [call], outcomes)
        told = Told("is not the token's own value, although it sees itself alone", "as in that value", COUNTED)
        require_alike(name, call, output, call.arguments["v"], torch.ones((), dtype=torch.bool), told)

    return Case("invariants", name, (call,), verify)


def _everything_case(variant: Variant) -> Case:
    """All windows that hold the longest sequence are the same."""
    name = "windows that hold every key"
    calls = [Call(_inputs(variant, window)) for window in (7 * LONGEST, LONGEST, LONGEST + 1)]

    def verify(outcomes: Sequence[Outcome]) -> None:
        widest, *others = outputs_of(name, calls, outcomes)
        for call, output in zip(calls[1:], others, strict=True):
            problem = f"is another one for a window of {call.arguments['window']} than for one of {7 * LONGEST}"
            told = Told(f"{problem}, although no sequence is longer than {LONGEST}", "as for the wider one", COUNTED)
            require_alike(name, call, output, widest, torch.ones((), dtype=torch.bool), told)

    return Case("invariants", name, tuple(calls), verify)
