"""The mask explorer's sentences: what one cell shows, and how its number comes about."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from attention_lab.explorer.state import HEAD_DIM, ExplorerState, dot_product, packed, padded, vector
from attention_lab.inputs import PAD
from attention_lab.maps.cells import score_text
from attention_lab.maps.steps import Table
from attention_lab.rules import BY_REASON, Reason

Emphasis = Callable[[str], str]


def starred(token: str) -> str:
    """The token between asterisks, as Markdown writes it."""
    return f"*{token}*"


def explain(table: Table, query: int, key: int, emphasis: Emphasis = starred) -> str:
    """Say in a sentence what a cell shows: the weight, or why there is none.

    Args:
        table: The table that the cell is in.
        query: The cell's row.
        key: The cell's column.
        emphasis: How a token is set off from the sentence.
    """
    row, column = (_name(table, place, emphasis) for place in (query, key))
    reason = Reason(int(table.cells[query, key]))
    if not bool((table.cells[query] == Reason.VISIBLE).any()):
        return (
            f"query {row} sees no key at all: all its scores are −∞, and a softmax would divide 0 by 0; "
            f"any finite number may stand in its row, which nobody reads"
        )
    if reason == Reason.VISIBLE:
        sentence = f"query {row} puts {float(table.weights[query, key]):.2f} on {column}"
        return sentence if bool(table.read[query]) else f"{sentence}, but it is padding: nobody reads its row"
    return f"query {row} may not see {column}: {BY_REASON[reason].why}"


def calculation(state: ExplorerState, table: Table, query: int, key: int) -> str:
    """How the cell's weight is calculated, from the two vectors on; empty for a masked cell."""
    if int(table.cells[query, key]) != Reason.VISIBLE:
        return ""
    tokens = table.tokens[query], table.tokens[key]
    roles: tuple[Literal["query", "key"], ...] = ("query", "key")
    vectors = [
        "(" + ", ".join(map(score_text, vector(role, state.head, token))) + ")"
        for role, token in zip(roles, tokens, strict=True)
    ]
    score = float(table.scores[query, key])
    seen = table.cells[query] == Reason.VISIBLE
    total = sum(math.exp(other) for other in table.scores[query][seen].tolist())
    cooled = f" and by the temperature {state.temperature:g}" if state.temperature != 1 else ""
    return (
        f"{' · '.join(vectors)} = {score_text(dot_product(state.head, *tokens))}. "
        f"Divided by √{HEAD_DIM}{cooled}: the score {_plain(score)}. "
        f"exp({_plain(score)}) = {math.exp(score):.3g}, and {math.exp(score):.3g} / {total:.3g} "
        f"= {float(table.weights[query, key]):.2f}."
    )


def sizes(state: ExplorerState) -> list[str]:
    """What padding costs and what packing saves, counted."""
    batch, laid = padded(state), packed(state)
    rows, squares = batch.batch * batch.seq, [length**2 for length in laid.lengths]
    return [
        f"Padded: {batch.batch} × {batch.seq} = {rows} rows, {batch.batch} · {batch.seq}² = {rows * batch.seq} scores.",
        f"Packed: {laid.total_tokens} rows, {' + '.join(f'{length}²' for length in laid.lengths)} = {sum(squares)} "
        f"scores. cu_seqlens {laid.cu_seqlens.tolist()}, max_seqlen {laid.max_seqlen}.",
    ]


def settings(state: ExplorerState) -> str:
    """The settings in a few words, for a title."""
    direction = "causal" if state.causal else "bidirectional"
    padding = {"holes": "padding in between", "none": "no padding"}.get(state.padding, f"padding {state.padding}")
    return f"head {state.head}, {direction}, {padding}, temperature {state.temperature:g}"


def _name(table: Table, place: int, emphasis: Emphasis) -> str:
    token = table.tokens[place]
    alike = table.tokens.count(token) > 1
    return emphasis(token) + (f" at place {place}" if alike and token != PAD else "")


def _plain(score: float) -> str:
    """All of a score's decimals that matter: whole dot products halved and divided by a round temperature."""
    return f"{score:.4g}".replace("-", "−")
