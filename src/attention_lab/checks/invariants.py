"""The visible check ``invariants``, as far as its points hang on it: who influences whom, and who does not.

What the notebook asks besides stands in ``identities``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.require import (
    Told,
    locate,
    require_alike,
    require_finite,
    require_result,
    require_unchanged,
    tolerance_of,
)
from attention_lab.checks.toy import MASKS, disturbed, toy_arguments, with_mask
from attention_lab.checks.words import counted
from attention_lab.roles import name_of
from attention_lab.rules import RULES, real_tokens, reasons, sequence_of, visible_keys
from attention_lab.variants import Variant


def invariant_cases(variant: Variant) -> Iterator[Case]:
    """Cases of the check ``invariants``: they ask what any attention with the variant's rules must do."""
    yield from undisturbed_cases(variant)
    yield from sensitive_cases(variant)


def undisturbed_cases(variant: Variant) -> Iterator[Case]:
    """What must leave an output as it is: another call, other queries, and keys that are hidden."""
    yield _deterministic(variant)
    yield _unchanged_inputs(variant)
    yield _own_query(variant)
    for probe in _probes(variant):
        yield hidden_case(variant, probe)


@dataclass(frozen=True)
class Probe:
    """Inputs on which a rule hides keys.

    Attributes:
        name: Of the case.
        rule: Name of the rule.
        arguments: The inputs.
        disturbed: bool, shape of ``k`` without its last dimension: hidden keys that get other numbers.
        hint: Where to look, if not where the rule says.
    """

    name: str
    rule: str
    arguments: dict[str, Any]
    disturbed: Tensor
    hint: str = ""


def _probes(variant: Variant) -> Iterator[Probe]:
    """What each rule is asked, in the order of the cases.

    Before the padding comes what goes by places: a triangle that leaves a query no key would show there as a wrong
    mask.
    """
    arguments = toy_arguments(variant, seed=2)
    if variant.packed:
        sequence = sequence_of(arguments)
        yield Probe("neighbours", "sequences", arguments, sequence == 1)
        yield Probe("neighbours of these", "sequences", arguments, sequence != 1)
    arguments = with_mask(arguments)
    by_place = [name for name in variant.rules if name not in ("padding", "sequences")]
    for name in by_place:
        asked = arguments | variant.narrowed(name)
        yield Probe(name, name, asked, hidden_by(name, variant, asked), _hint(name, variant))
    for name in by_place:
        if variant.narrowed(name):  # what holds without it must hold with it
            asked = arguments | variant.narrowed(name)
            yield Probe(f"neighbours, with a {name}", "sequences", asked, sequence_of(asked) == 1)
            yield Probe(f"causal, with a {name}", "causal", asked, hidden_by("causal", variant, asked))
    if "padding" not in variant.rules:
        return
    for name, mask in MASKS.items():
        yield Probe(name, "padding", arguments | {"mask": mask}, ~mask)
    left = "padding on the left"
    for name in by_place:
        hidden = hidden_by(name, variant, arguments)
        yield Probe(f"{name}, {left}", name, arguments | {"mask": MASKS[left]}, hidden, RULES[name].with_padding)


def hidden_by(name: str, variant: Variant, arguments: dict[str, Any], query: int | None = None) -> Tensor:
    """Keys that a rule, and no other, hides from a query: bool, shape of ``k`` without its last axis.

    Args:
        name: Of the rule.
        variant: Whose rule it is.
        arguments: The inputs.
        query: Its place; one in the middle of the toy inputs where left away.
    """
    codes = reasons(variant.rules, arguments)
    query = _middle(variant, arguments) if query is None else query
    return codes[..., query, :] == RULES[name].reason


def _middle(variant: Variant, arguments: dict[str, Any]) -> int:
    """Place of a query with keys before and after it: the fourth; packed: the third of the second sequence."""
    return _second(arguments) + 2 if variant.packed else 3


def _second(arguments: dict[str, Any]) -> int:
    """Place of the second packed sequence's first token."""
    return int((sequence_of(arguments) == 1).nonzero()[0])


def _hint(name: str, variant: Variant) -> str:
    if name != "causal":
        return RULES[name].hint
    if variant.packed:
        return "how the kernel is told that query i sees the keys j <= i of its own sequence"
    if variant.cached:
        return "the triangle: which query stands at which place of the cache?"
    return "the triangle: query i sees the keys j <= i, and no others, with a mask and without one"


def hidden_case(variant: Variant, probe: Probe) -> Case:
    """Outputs of queries that see none of the disturbed keys must not change."""
    arguments, rule = probe.arguments, RULES[probe.rule]
    seen = (visible_keys(variant.rules, arguments) & probe.disturbed[..., None, :]).any(-1)
    read = real_tokens(arguments) & ~seen
    other = disturbed(arguments, probe.disturbed)
    return _same_case(probe.name, arguments, other, read[..., None], rule.change, probe.hint or rule.hint)


def _deterministic(variant: Variant) -> Case:
    """First of all: what is random would fail any of the others, under its name."""
    arguments = toy_arguments(variant, seed=3)
    calls = (Call(arguments), Call(arguments))

    def verify(outcomes: Sequence[Outcome]) -> None:
        name = "the same call twice"
        once, again = (require_result(name, call, outcome) for call, outcome in zip(calls, outcomes, strict=True))
        read = real_tokens(arguments)[..., None]
        told = Told(
            "is different the second time",
            "as the first time",
            "what is random in your function, such as dropout: it does not belong there",
            "random-output",
        )
        # NaN is for the cases that follow
        require_alike(name, calls[0], again.nan_to_num(), once.nan_to_num(), read, told)

    return Case("invariants", "the same call twice", calls, verify)


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
    arguments = with_mask(arguments)
    place = (*(() if variant.packed else (0,)), token, slice(head * head_dim, (head + 1) * head_dim))
    other = arguments | {"q": arguments["q"].clone()}
    other["q"][place] += torch.linspace(-2, 2, head_dim).to(other["q"])
    others = torch.ones(arguments["q"].shape, dtype=torch.bool)
    others[place] = False
    hint = "how hidden_dim is cut into heads and merged again: in every head, a token keeps its own numbers"
    if not variant.fused:
        hint = f"the axis of the softmax, and {hint}"
    return _same_case(
        "one query at a time",
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
            raise CheckFailed(
                name,
                f"the output at {locate(wrong, calls[0])} {problem}",
                f"expected no change, got one of {worst:.2g} at most, in the output of {counted(tokens, 'token')}",
                hint,
                "influenced",
                {"largest": worst, "tokens": tokens},
            )

    return Case("invariants", name, calls, verify)


def sensitive_cases(variant: Variant) -> Iterator[Case]:
    """The output at a query must change with a key that it may see, with that key's value, and with the query."""
    arguments = toy_arguments(variant, seed=2)
    for name in ("k", "v", "q"):
        yield _sensitive(variant, arguments, name)
    narrowed = variant.narrowed("window")
    if narrowed:
        yield _sensitive(variant, arguments | narrowed, "v", "the oldest value in a window")


def _sensitive(variant: Variant, arguments: dict[str, Any], name: str, what: str = "") -> Case:
    # a causal query sees itself and what came before; a bidirectional one sees later tokens too
    query, key = (3, 2) if variant.causal else (1, 5)
    start = _second(arguments) if variant.packed else 0
    if arguments.get("window") is not None:
        key = query + 1 - min(arguments["window"], query + 1)  # the oldest that it sees
    own = key
    if variant.cached:  # the oldest token, and the query's own
        key, own = 0, int(visible_keys(variant.rules, arguments)[0, query].sum()) - 1
    item = () if variant.packed else (0,)
    query_place, key_place = (*item, start + query), (*item, start + key)
    place = {"k": key_place, "v": (*item, start + own), "q": query_place}[name]
    other = dict(arguments)
    other[name] = arguments[name].clone()
    other[name][place] += 1.0 if name == "v" else torch.linspace(-2, 2, arguments[name].shape[-1]).to(other[name])
    return sensitive_case(name, (Call(arguments), Call(other)), place, query_place, what)


def sensitive_case(
    name: str, calls: tuple[Call, Call], place: tuple[int, ...], query: tuple[int, ...], what: str = ""
) -> Case:
    """The output at a query must change, in every head, between two calls that differ in one token.

    Args:
        name: ``q``, ``k`` or ``v``: where they differ.
        calls: The two.
        place: Index of the token that differs.
        query: Index of the query.
        what: That token in words, where the usual ones do not fit.
    """
    words = {"k": "a visible key", "v": "a visible value", "q": "the query"}
    title = f"{what or words[name]} matters"
    head_dim, named = calls[0].arguments["head_dim"], name_of(name, calls[0].arguments)

    def verify(outcomes: Sequence[Outcome]) -> None:
        before, after = (
            require_result(title, call, outcome)[query].float() for call, outcome in zip(calls, outcomes, strict=True)
        )
        moved = (after - before).abs().unflatten(-1, (-1, head_dim)).amax(-1)  # [num_heads]
        still = ~(moved > 1e-3)  # NaN counts as still
        if still.any():
            raise CheckFailed(
                title,
                f"the output of query {query[-1]} did not change when {named} of token {place[-1]} changed",
                f"expected a change in every head, got none in head {int(still.nonzero()[0])}",
                "which keys each query may see, and whether q, k and v all enter the result",
                "not-influenced",
                {"head": int(still.nonzero()[0])},
            )

    return Case("invariants", title, calls, verify)
