"""Identities of shared keys: each key head serves the heads of its own group, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.identities.outputs import outputs_of
from attention_lab.checks.require import require_finite, tolerance_of
from attention_lab.checks.toy import toy_arguments
from attention_lab.checks.words import counted
from attention_lab.inputs import key_heads
from attention_lab.variants import Variant


def group_case(variant: Variant) -> Case:
    """Other keys and values in one key head change the output of its group's heads, of all of them and of no others."""
    name = "each key head and its group"
    arguments = toy_arguments(variant, seed=24)
    if "mask" in arguments:
        arguments["mask"] = None
    calls = [Call(arguments), *(Call(_with_another(arguments, head)) for head in range(key_heads(arguments)))]

    def verify(outcomes: Sequence[Outcome]) -> None:
        plain, *others = outputs_of(name, calls, outcomes)
        for call, output in zip(calls, (plain, *others), strict=True):
            require_finite(name, call, output)
        moved = torch.stack([_heads_that_moved(arguments, plain, other) for other in others], dim=1)
        _require_groups(name, moved)

    return Case("invariants", name, tuple(calls), verify)


def _with_another(arguments: dict[str, Any], head: int) -> dict[str, Any]:
    """Other keys and values in one key head."""
    place = (..., slice(head * arguments["head_dim"], (head + 1) * arguments["head_dim"]))
    other = {name: arguments[name].clone() for name in ("k", "v")}
    for x in other.values():
        x[place] = 2 - x[place]
    return arguments | other


def _heads_that_moved(arguments: dict[str, Any], plain: Tensor, other: Tensor) -> Tensor:
    """Which query heads have another output: bool ``[num_heads]``."""
    moved: Tensor = (other.double() - plain.double()).abs() > tolerance_of(plain) * (1 + plain.double().abs())
    by_head: Tensor = moved.unflatten(-1, (-1, arguments["head_dim"]))
    return by_head.movedim(-2, 0).flatten(1).any(-1)


def _require_groups(name: str, moved: Tensor) -> None:
    """Fail where a query head (a row) follows another key head (a column) than its group's."""
    heads, shared = moved.shape
    own = torch.arange(heads) * shared // heads
    wrong = (moved != torch.nn.functional.one_hot(own, shared).bool()).any(-1)
    if not wrong.any():
        return
    head = int(wrong.nonzero()[0])
    followed = moved[head].nonzero().flatten().tolist()
    got = f"key head{'s' if len(followed) > 1 else ''} {', '.join(map(str, followed))}" if followed else "none"
    raise CheckFailed(
        name,
        f"the output of head {head} does not follow key head {int(own[head])} alone",
        f"expected a change with key head {int(own[head])} and with no other, got one with {got} "
        f"({counted(int(wrong.sum()), 'head')} of {heads} astray, {shared} key heads)",
        "the groups: how many neighbouring heads share a key head, and which one is it?",
        "wrong-group",
        {"heads": wrong.nonzero().flatten().tolist()},
    )
