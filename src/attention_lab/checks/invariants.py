"""The visible check ``invariants``: what any attention must do, whatever its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.require import locate, require_finite, require_result, require_unchanged, tolerance_of
from attention_lab.checks.toy import disturbed, toy_arguments
from attention_lab.variants import Variant


def invariant_cases(variant: Variant) -> Iterator[Case]:
    yield _unchanged_inputs(variant)
    yield _own_query(variant)
    yield from _packed_invariants(variant) if variant.packed else _padded_invariants(variant)


def _padded_invariants(variant: Variant) -> Iterator[Case]:
    arguments = toy_arguments(variant, seed=2)  # batch 2, seq 6
    seq = arguments["q"].shape[1]
    masks = {
        "padding on the right": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]).bool(),
        "padding on the left": torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]).bool(),
        "padding in between": torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]]).bool(),
    }
    later = torch.zeros(2, seq, dtype=torch.bool)
    later[:, 4:] = True
    if variant.causal:  # before the padding: a triangle that leaves a query no key would show there as a wrong mask
        yield _same_case(
            "causal",
            arguments | {"mask": None},
            disturbed(arguments | {"mask": None}, later),
            ~later[..., None],
            "changed when later tokens changed",
            "the triangle: query i sees the keys j <= i, and no others, with a mask and without one",
        )
    for name, mask in masks.items():
        base = arguments | {"mask": mask}
        yield _same_case(
            name,
            base,
            disturbed(base, ~mask),
            mask[..., None],
            "changed when masked keys and values changed",
            "where the mask enters: masked keys get no weight, for every head and every query",
        )
    if variant.causal:
        base = arguments | {"mask": masks["padding on the left"]}
        yield _same_case(
            "causal, padding on the left",
            base,
            disturbed(base, later),
            (~later & base["mask"])[..., None],
            "changed when later tokens changed",
            "how the triangle and the mask come together: a key must be real, and must not come later",
        )
    probe = 2 if variant.causal else 5
    yield from _sensitive_cases(
        arguments | {"mask": masks["padding on the right"]},
        key=(0, probe),
        # a causal query sees itself and what came before; a bidirectional one sees later tokens too
        query=(0, 3 if variant.causal else 1),
    )


def _packed_invariants(variant: Variant) -> Iterator[Case]:
    arguments = toy_arguments(variant, seed=2)  # lengths 3, 6, 1, 5
    bounds = arguments["cu_seqlens"].tolist()
    total = bounds[-1]
    second = torch.zeros(total, dtype=torch.bool)
    second[bounds[1] : bounds[2]] = True
    yield _same_case(
        "neighbours",
        arguments,
        disturbed(arguments, second),
        ~second[..., None],
        "changed when another sequence changed",
        "cu_seqlens: it says where each sequence begins and ends, for the queries and for the keys",
    )
    if variant.causal:
        later = torch.zeros(total, dtype=torch.bool)
        later[bounds[1] + 3 : bounds[2]] = True
        yield _same_case(
            "causal",
            arguments,
            disturbed(arguments, later),
            ~later[..., None],
            "changed when later tokens changed",
            "how the kernel is told that query i sees the keys j <= i of its own sequence",
        )
    start = bounds[1]
    probe = 2 if variant.causal else 5
    yield from _sensitive_cases(arguments, key=(start + probe,), query=(start + (3 if variant.causal else 1),))


def _unchanged_inputs(variant: Variant) -> Case:
    call = Call(toy_arguments(variant, seed=3))

    def verify(outcomes: Sequence[Outcome]) -> None:
        require_result("inputs", call, outcomes[0])
        require_unchanged("inputs", outcomes[0])

    return Case("invariants", "inputs are not modified", (call,), verify)


def _own_query(variant: Variant) -> Case:
    """Heads that are not cut, or cut or merged across tokens, show here first, under their own name."""
    arguments = toy_arguments(variant, seed=4)
    token, head, head_dim = (4 if variant.packed else 1), 1, arguments["head_dim"]
    if not variant.packed:
        arguments["mask"] = None
    place = (*(() if variant.packed else (0,)), token, slice(head * head_dim, (head + 1) * head_dim))
    other = arguments | {"q": arguments["q"].clone()}
    other["q"][place] += torch.linspace(-2, 2, head_dim).to(other["q"])
    others = torch.ones(arguments["q"].shape, dtype=torch.bool)
    others[place] = False
    hint = "how hidden_dim is cut into heads and merged again: in every head, a token keeps its own numbers"
    if variant.kernel == "eager":
        hint = f"the axis of the softmax, and {hint}"
    return _same_case(
        "queries keep to themselves",
        arguments,
        other,
        others,
        f"changed when q of token {token} changed in head {head} alone",
        hint,
    )


def _same_case(name: str, base: dict[str, Any], other: dict[str, Any], read: Tensor, problem: str, hint: str) -> Case:
    """Outputs at the places to be read must not differ between two inputs; ``read`` broadcasts to the output."""
    calls = (Call(base), Call(other))

    def verify(outcomes: Sequence[Outcome]) -> None:
        before, after = (require_result(name, call, outcome) for call, outcome in zip(calls, outcomes, strict=True))
        read_before, read_after = (torch.where(read, x.float(), 0.0) for x in (before, after))
        require_finite(name, calls[0], read_before)
        require_finite(name, calls[1], read_after)
        difference = (read_after - read_before).abs()
        wrong = difference > tolerance_of(before) * (1 + read_before.abs())
        if wrong.any():
            worst, tokens = float(difference.max()), int(wrong.any(-1).sum())
            places = "1 token" if tokens == 1 else f"{tokens} tokens"
            raise CheckFailed(
                name,
                f"the output at {locate(wrong, calls[0])} {problem}",
                f"expected no change, got {worst:.2g} ({places} changed)",
                hint,
            )

    return Case("invariants", name, calls, verify)


def _sensitive_cases(arguments: dict[str, Any], key: tuple[int, ...], query: tuple[int, ...]) -> Iterator[Case]:
    """The output at a query must change with a key that it may see, with that key's value, and with the query."""
    for name, place in (("k", key), ("v", key), ("q", query)):
        other = dict(arguments)
        other[name] = arguments[name].clone()
        other[name][place] += 1.0 if name == "v" else torch.linspace(-2, 2, arguments[name].shape[-1]).to(other[name])
        yield _sensitive_case(name, (Call(arguments), Call(other)), place, query)


def _sensitive_case(name: str, calls: tuple[Call, Call], place: tuple[int, ...], query: tuple[int, ...]) -> Case:
    words = {"k": "a visible key", "v": "a visible value", "q": "the query"}
    title = f"{words[name]} matters"
    head_dim = calls[0].arguments["head_dim"]

    def verify(outcomes: Sequence[Outcome]) -> None:
        before, after = (
            require_result(title, call, outcome)[query].float() for call, outcome in zip(calls, outcomes, strict=True)
        )
        moved = (after - before).abs().unflatten(-1, (-1, head_dim)).amax(-1)  # [num_heads]
        still = ~(moved > 1e-3)  # NaN counts as still
        if still.any():
            raise CheckFailed(
                title,
                f"the output of query {query[-1]} did not change when {name} of token {place[-1]} changed",
                f"expected a change in every head, got none in head {int(still.nonzero()[0])}",
                "which keys each query may see, and whether q, k and v all enter the result",
            )

    return Case("invariants", title, calls, verify)
