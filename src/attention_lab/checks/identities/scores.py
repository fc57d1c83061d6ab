"""Identities of the numbers: what the scores' scale is, what weights sum to, and what becomes of extreme scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.invariants import Probe, hidden_by, hidden_case
from attention_lab.checks.require import Told, require_alike
from attention_lab.checks.toy import MASKS, converted, drawn_arguments, toy_arguments, with_mask
from attention_lab.inputs import key_heads
from attention_lab.rules import places_in_sequence, real_tokens, visible_keys
from attention_lab.variants import Variant

LEFT = MASKS["padding on the left"]


def inputs(variant: Variant, seed: int, mask: Tensor | None = None) -> dict[str, Any]:
    """The toy inputs with a mask of one's own; flash's in fp16, which is finer than bf16."""
    arguments = toy_arguments(variant, seed)
    if variant.packed:
        return converted(arguments, torch.float16) if variant.half_precision else arguments
    return with_mask(arguments, mask)


def other_inputs_case(variant: Variant) -> Case:
    """Other inputs of the same shape give another output: first of the identities, which a kept output would spoil."""
    name = "other inputs"
    calls = (Call(inputs(variant, 3)), Call(inputs(variant, 18)))

    def verify(outcomes: Sequence[Outcome]) -> None:
        one, other = outputs_of(name, calls, outcomes)
        if torch.equal(one, other):
            raise CheckFailed(
                name,
                "the output did not change when q, k and v did",
                "expected another output for other inputs, got the same numbers everywhere",
                "what the output is made of: do q, k and v enter, or is something kept from an earlier call?",
                "not-influenced",
            )

    return Case("invariants", name, calls, verify)


def linear_case(variant: Variant) -> Case:
    """Three times the values, three times the output; 3 fits no power of two, so that lost digits show, too."""
    name = "values three times as large"
    arguments = inputs(variant, 19)
    calls = (Call(arguments | {"v": 3 * arguments["v"]}), Call(arguments))

    def verify(outcomes: Sequence[Outcome]) -> None:
        large, small = outputs_of(name, calls, outcomes)
        hint = "each step's dtype: does one of them hold fewer digits than the inputs? And where do the values enter?"
        told = Told("is not three times what it was before", "as three times the other", hint)
        require_alike(name, calls[0], large, 3 * small, _read(variant, arguments), told)

    return Case("invariants", name, calls, verify)


def ones_case(variant: Variant) -> Case:
    """Weights that sum to 1 leave values of 1 as they are."""
    name = "values of ones"
    masks = (None, LEFT) if variant.masked else (None,)
    calls = []
    for mask in masks:
        arguments = inputs(variant, 5, mask)
        calls.append(Call(arguments | {"v": torch.ones_like(arguments["v"])}))

    def verify(outcomes: Sequence[Outcome]) -> None:
        hint = "the last product: does each row of weights still sum to 1 there, and is it v that they weight?"
        told = Told("is not 1 where all values are 1", "for every query that sees a key", hint)
        for call, output in zip(calls, outputs_of(name, calls, outcomes), strict=True):
            require_alike(name, call, output, torch.ones_like(output), _read(variant, call.arguments), told)

    return Case("invariants", name, tuple(calls), verify)


def _read(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Real tokens that see a key: bool, broadcastable to the output."""
    return (real_tokens(arguments) & visible_keys(variant.rules, arguments).any(-1))[..., None]


# How often q, k and v are repeated along head_dim: the scores then double, and 2 is exact in every dtype
REPEATED = 4


def scale_case(variant: Variant) -> Case:
    """Four times the head_dim, with the same numbers: scores q·k/√head_dim are 4/√4 = 2 times what they were."""
    name = "four times the head_dim"
    arguments = inputs(variant, 6)
    head_dim = arguments["head_dim"]
    wide = {x: _repeated(arguments[x], head_dim) for x in ("q", "k", "v")} | {"head_dim": REPEATED * head_dim}
    calls = (Call(arguments | wide), Call(arguments | {"q": 2 * arguments["q"]}))

    def verify(outcomes: Sequence[Outcome]) -> None:
        got, doubled = outputs_of(name, calls, outcomes)
        problem = "is not as for 2·q when q, k and v are repeated four times along head_dim"
        hint = "what the scores are divided by: how must it grow with head_dim, and with nothing else?"
        told = Told(problem, "as for 2·q", hint)
        require_alike(name, calls[0], got, _repeated(doubled, head_dim), _read(variant, arguments), told)

    return Case("invariants", name, calls, verify)


def _repeated(x: Tensor, head_dim: int) -> Tensor:
    heads = x.unflatten(-1, (-1, head_dim))
    return torch.cat([heads] * REPEATED, dim=-1).flatten(-2)


def lookup_case(variant: Variant) -> Case:
    """Keys at right angles, and queries that match one of them with a large score: out comes that key's value."""
    name = "a query that matches one key"
    masks = (None, LEFT) if variant.masked else (None,)
    calls, wanted = [], []
    for mask in masks:
        arguments = inputs(variant, 7, mask)
        matched = _matched(variant, arguments)  # [..., queries, heads]
        calls.append(Call(arguments | _matching(variant, arguments, matched)))
        group = arguments["num_heads"] // key_heads(arguments)
        values = arguments["v"].unflatten(-1, (-1, arguments["head_dim"])).repeat_interleave(group, dim=-2)
        wanted.append(torch.take_along_dim(values, matched[..., None], dim=-3).flatten(-2))

    def verify(outcomes: Sequence[Outcome]) -> None:
        hint = "what becomes of a large score: does it stay what it is, and can exp of it overflow?"
        told = Told("is not the value of the one key that the query matches", "as in that key's value", hint)
        triples = zip(calls, outputs_of(name, calls, outcomes), wanted, strict=True)
        for call, output, values in triples:
            require_alike(name, call, output, values, _read(variant, call.arguments), told)

    return Case("invariants", name, tuple(calls), verify)


def _matched(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """A visible key for each query and head, another for each head where it can be: int64 ``[..., queries, heads]``."""
    visible = visible_keys(variant.rules, arguments)
    places = visible.int().argsort(dim=-1, descending=True, stable=True)  # visible keys come first
    heads, queries = torch.arange(arguments["num_heads"]), torch.arange(visible.shape[-2])
    turn = (3 * queries[:, None] + heads) % visible.sum(-1, keepdim=True).clamp(min=1)
    return places.gather(-1, turn)


def _matching(variant: Variant, arguments: dict[str, Any], matched: Tensor) -> dict[str, Tensor]:
    """q and k of length 20, so that q·k is 400 where they match and 0 elsewhere."""
    head_dim, heads, k = arguments["head_dim"], key_heads(arguments), arguments["k"]
    place = places_in_sequence(arguments) if variant.packed else torch.arange(k.shape[-2])
    axes = 20 * torch.eye(head_dim, dtype=k.dtype)[place % head_dim]  # [keys, head_dim]; a query sees no more
    keys = axes.repeat(1, heads).expand(k.shape)
    return {"q": axes[matched].flatten(-2), "k": keys.clone()}


def hidden_score_cases(variant: Variant) -> Iterator[Case]:
    """Whatever a real key's score is, a hidden key must not come in: not for a very low one, and not for zero."""
    if variant.packed:  # no scores of one's own
        return
    drawn = toy_arguments(variant, 8) if variant.cached else drawn_arguments(variant, 8, (6, 6))
    low = "what a masked score becomes: is it lower than any score that a real key may have?"
    zero = "how a masked score is told from the others: may a real key's score be the same number?"
    extremes = (
        ("low scores", {"q": drawn["q"] + 40.0, "k": drawn["k"] - 40.0}, low),
        ("scores of zero", {"q": torch.zeros_like(drawn["q"])}, zero),
    )
    for what, changed, hint in extremes:
        # what lies in unused places is asked by itself, whatever its score
        rules = [rule for rule in variant.rules if rule != "unused"]
        for rule in sorted(rules, key=lambda rule: rule != "padding"):
            arguments = with_mask(drawn | changed, LEFT if rule == "padding" else None)
            hidden = ~LEFT if rule == "padding" else hidden_by(rule, variant, arguments)
            yield hidden_case(variant, Probe(f"{what}, {rule}", rule, arguments, hidden, hint))
