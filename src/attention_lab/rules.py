"""Who sees whom, and why not: the one place that says so.

A rule hides keys from queries for one reason. A variant names its rules (``Variant.rules``); a key is visible where no
rule hides it. Heatmaps, visible checks, hidden cases, the reference and the models of mistakes all ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

Arguments = Mapping[str, Any]


class Reason(IntEnum):
    """Why a query may not see a key."""

    VISIBLE = 0
    CAUSAL = 1
    PADDING = 2
    OTHER_SEQUENCE = 3
    WINDOW = 4
    OTHER_GROUP = 5
    UNUSED = 6


@dataclass(frozen=True)
class Rule:
    """One reason for which keys are hidden, with everything that depends on it.

    Attributes:
        name: As variants name it.
        reason: Its code in maps.
        hides: From a function's arguments to bool, ``True`` where a query may not see a key; broadcastable to
            ``[..., queries, keys]``. One that is about heads hides key heads from query heads,
            ``[num_heads, num_kv_heads]``, and is no variant's rule.
        hatch: Matplotlib's hatch of hidden cells.
        legend: What the hatch means.
        why: The reason in words that follow "it may not see the key:".
        leak: A key that is hidden for this reason, in words; filled with ``key``, its token, and ``place``.
        change: What a visible check says of an output that moved with a hidden key.
        hint: Where to look then.
        with_padding: Where to look when that happens only beside padding; the hint, where it is empty.
    """

    name: str
    reason: Reason
    hides: Callable[[Arguments], Tensor]
    hatch: str
    legend: str
    why: str
    leak: str
    change: str
    hint: str
    with_padding: str = ""


def reasons(rules: Sequence[str], arguments: Arguments) -> Tensor:
    """Why each query may not see each key; of several reasons the last rule's counts.

    Args:
        rules: Names of rules, in rising order of precedence.
        arguments: The arguments of a learner's function, by name; on any device.

    Returns:
        int8 codes of ``Reason`` on the CPU: ``[batch, queries, keys]`` for padded inputs,
        ``[total_tokens, total_tokens]`` for packed ones.
    """
    *batch, queries, _ = arguments["q"].shape
    codes = torch.full((*batch, queries, arguments["k"].shape[-2]), int(Reason.VISIBLE), dtype=torch.int8)
    for name in rules:
        codes = codes.masked_fill(RULES[name].hides(arguments), int(RULES[name].reason))
    return codes


def visible_keys(rules: Sequence[str], arguments: Arguments) -> Tensor:
    """Which key each query may see: bool, shape of ``reasons``."""
    return reasons(rules, arguments) == Reason.VISIBLE


def real_tokens(arguments: Arguments) -> Tensor:
    """bool, shape of ``q`` without its last dimension: queries whose output somebody reads."""
    mask, queries = arguments.get("mask"), arguments["q"].shape[-2]
    if mask is None:
        return torch.ones(arguments["q"].shape[:-1], dtype=torch.bool)
    # where there are fewer queries than keys, the last tokens ask
    real: Tensor = mask.cpu()[..., mask.shape[-1] - queries :]
    return real


def sequence_of(arguments: Arguments) -> Tensor:
    """Number of each packed token's sequence, from 0 and rising: int64 ``[total_tokens]`` on the CPU.

    Args:
        arguments: Of a function whose inputs are packed, whatever tells it where each sequence begins: ``cu_seqlens``,
            or ``position_ids``, where one begins wherever the count does not go on, or ``document_ids``, where one
            begins with each other label.
    """
    if "document_ids" in arguments:
        labels = arguments["document_ids"].long().cpu()
        borders_before: Tensor = (labels.diff(prepend=labels[:1]) != 0).cumsum(0)
        return borders_before
    if "position_ids" in arguments:
        positions = arguments["position_ids"].long().cpu()
        begins: Tensor = positions.diff(prepend=positions[:1] - 1) != 1
        return begins.cumsum(0)
    borders = arguments["cu_seqlens"].long().cpu()
    return torch.repeat_interleave(torch.arange(len(borders) - 1), borders.diff())


def places_in_sequence(arguments: Arguments) -> Tensor:
    """Place of each packed token in its sequence, from 0: int64 ``[total_tokens]`` on the CPU."""
    sequence = sequence_of(arguments)
    # sequences rise: a token's sequence begins where its number first stands
    return torch.arange(len(sequence)) - torch.searchsorted(sequence, sequence)


# ---- the rules -------------------------------------------------------------------------------------------------------


def distance(arguments: Arguments) -> Tensor:
    """How far before its query each key stands: int64, broadcastable to ``[..., queries, keys]``.

    The last query stands at the last key, or at the last token that is cached: ``[batch, queries, keys]``.
    """
    queries, keys = arguments["q"].shape[-2], arguments["k"].shape[-2]
    lengths = arguments.get("cache_seqlens")
    end = torch.tensor(keys) if lengths is None else lengths.long().cpu()
    places = end[..., None] - queries + torch.arange(queries)  # [..., queries]
    before: Tensor = places[..., None] - torch.arange(keys)
    return before


def _later(arguments: Arguments) -> Tensor:
    return distance(arguments) < 0


def _unused(arguments: Arguments) -> Tensor:
    unused: Tensor = torch.arange(arguments["k"].shape[-2]) >= arguments["cache_seqlens"].cpu()[:, None, None]
    return unused


def _padding(arguments: Arguments) -> Tensor:
    mask = arguments.get("mask")
    return torch.zeros((), dtype=torch.bool) if mask is None else ~mask.cpu()[:, None, :]


def _other_sequence(arguments: Arguments) -> Tensor:
    sequence = sequence_of(arguments)
    return sequence[:, None] != sequence[None, :]


def _beyond_window(arguments: Arguments) -> Tensor:
    window: int | None = arguments.get("window")
    return torch.zeros((), dtype=torch.bool) if window is None else distance(arguments) >= window


def _other_group(arguments: Arguments) -> Tensor:
    heads, shared = arguments["num_heads"], arguments["num_kv_heads"]
    own: Tensor = torch.arange(heads) * shared // heads
    return own[:, None] != torch.arange(shared)


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            name="causal",
            reason=Reason.CAUSAL,
            hides=_later,
            hatch="///",
            legend="causal: the key comes later",
            why="it comes later",
            leak="the later token {key}",
            change="changed when later tokens changed",
            hint="the triangle: query i sees the keys j <= i, and no others",
            with_padding="how the triangle and the mask come together: a key must be real, and must not come later",
        ),
        Rule(
            name="window",
            reason=Reason.WINDOW,
            hides=_beyond_window,
            hatch="\\\\\\",
            legend="window: the key is too far back",
            why="it lies outside the window",
            leak="{key}, which lies outside the window",
            change="changed when tokens outside the window changed",
            hint="the window: how many keys it holds, and whether the query's own is one of them",
            with_padding="how the window and the mask come together: a key must be real, and must lie within it",
        ),
        Rule(
            name="padding",
            reason=Reason.PADDING,
            hides=_padding,
            hatch="xxxx",
            legend="padding: the key is not a real token",
            why="it is padding",
            leak="the padding at place {place}",
            change="changed when masked keys and values changed",
            hint="where the mask enters: masked keys get no weight, for every head and every query",
        ),
        Rule(
            name="unused",
            reason=Reason.UNUSED,
            hides=_unused,
            hatch="oo",
            legend="unused: nothing is cached there yet",
            why="nothing is cached there yet",
            leak="place {place} of the cache, where nothing is cached yet",
            change="changed when unused places of the cache changed",
            hint="cache_seqlens: it says for each item of the batch how many places of its cache hold a token",
        ),
        Rule(
            name="sequences",
            reason=Reason.OTHER_SEQUENCE,
            hides=_other_sequence,
            hatch="..",
            legend="the key is in another sequence",
            why="it belongs to another sequence",
            leak="{key} of another sequence",
            change="changed when another sequence changed",
            hint="the borders: what says where each sequence begins and ends, for the queries and for the keys",
        ),
        Rule(
            name="groups",
            reason=Reason.OTHER_GROUP,
            hides=_other_group,
            hatch="--",
            legend="not this group: the key head serves other heads",
            why="it serves another group of heads",
            leak="a key head of another group",
            change="changed when another group's keys changed",
            hint="the groups: how many neighbouring heads share a key head, and which one is it?",
        ),
    )
}
BY_REASON: dict[Reason, Rule] = {rule.reason: rule for rule in RULES.values()}
