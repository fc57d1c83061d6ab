"""Which key head does each query head read? Rows are query heads, columns are key heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import matplotlib
import torch
from torch import Tensor

from attention_lab.inputs import PaddedBatch
from attention_lab.maps.attention_map import require_shape
from attention_lab.maps.captions import LEAK_TOLERANCE, group_words
from attention_lab.maps.cells import LOOK, draw_mask, draw_weights, hatch_handles, label_tokens, leak_handle
from attention_lab.maps.figure import NotebookFigure, text_width
from attention_lab.maps.layout import NARROW, TOP, foot, framed
from attention_lab.rules import RULES, Reason
from attention_lab.tracebacks import shows_learners_lines
from attention_lab.variants import Variant, get_variant

# inches
_CELL, _BESIDE, _GAP, _PANEL_TITLE, _BELOW = 0.32, 0.75, 0.4, 0.28, 0.45


def key_head_cells(batch: PaddedBatch) -> Tensor:
    """Which key head each query head may read: int8 codes of ``Reason``, ``[num_heads, num_kv_heads]``."""
    hidden = RULES["groups"].hides(batch.arguments() | {"num_kv_heads": batch.num_kv_heads})
    return torch.where(hidden, int(Reason.OTHER_GROUP), int(Reason.VISIBLE)).to(torch.int8)


def key_head_shares(function: Callable[..., Tensor], batch: PaddedBatch) -> tuple[Tensor, Tensor]:
    """How far each query head's output follows the keys, and the values, of each key head.

    Each key head in turn gets other keys, and then other values; what changes in a head's output, as a share of what
    changes with any of them. A head that follows none has zeros, and one whose output is not finite has NaN.

    Args:
        function: The learner's function; it is called with the batch's arguments by name.
        batch: Its mask is left away.

    Returns:
        Of keys and of values, float32 on the CPU: ``[num_heads, num_kv_heads]``.

    Raises:
        NoMap: The function's output does not have the shape of ``q``.
    """

    def output(of: PaddedBatch) -> Tensor:
        given = function(**of.arguments())
        require_shape(given, of.q)
        heads: Tensor = given.float().cpu().unflatten(-1, (of.num_heads, of.head_dim))
        return heads  # [batch, seq, num_heads, head_dim]

    unmasked = replace(batch, mask=None)
    with torch.no_grad():
        plain = output(unmasked)
        moved = []
        for name in ("k", "v"):
            columns = [output(_turned(unmasked, name, head)) for head in range(batch.num_kv_heads)]
            moved.append(torch.stack([(other - plain).abs().sum((0, 1, 3)) for other in columns], dim=1))
    keys, values = (x / torch.where(x.sum(1, keepdim=True) == 0, 1.0, x.sum(1, keepdim=True)) for x in moved)
    return keys, values


def _turned(batch: PaddedBatch, name: str, head: int) -> PaddedBatch:
    """The batch with one head's keys or values negated."""
    other: Tensor = getattr(batch, name).clone()
    other[..., head * batch.head_dim : (head + 1) * batch.head_dim] *= -1
    return replace(batch, k=other) if name == "k" else replace(batch, v=other)


@shows_learners_lines
def key_head_heatmap(
    variant: str | Variant, batch: PaddedBatch, function: Callable[..., Tensor] | None = None
) -> NotebookFigure:
    """Draw which key head each query head is to read and, with a function, which keys and values its heads follow.

    Args:
        variant: One whose heads share keys.
        batch: Says how many heads there are.
        function: The learner's function; without one the figure shows what is expected, and knows no answer.

    Returns:
        The figure; its ``caption`` is its alternative text.

    Raises:
        ValueError: The variant's heads share no keys.
        NoMap: The function's output does not have the shape of ``q``.
    """
    variant = get_variant(variant)
    if not variant.grouped:
        raise ValueError(f"in {variant.name} each head has keys of its own: there is nothing to draw")
    cells = key_head_cells(batch)
    panels: dict[str, Tensor | None] = {"expected": None}
    if function is not None:
        panels |= dict(zip(("keys that move it", "values that move it"), key_head_shares(function, batch), strict=True))
    leaking = {name: _astray(shares, cells) for name, shares in panels.items() if shares is not None}
    handles = hatch_handles(cells) + ([leak_handle("a key head of another group")] if _any(leaking) else [])
    sentences = [_sentence(panels, cells)]
    heads, shared = cells.shape
    side, tall = shared * _CELL, heads * _CELL
    step = max(side, *(text_width(name, 9) for name in panels)) + _GAP
    title = f"{variant.title}: which key head each head reads"
    width = min(NARROW, max(_BESIDE + len(panels) * step + 0.2, text_width(title, 10) * 1.15 + 0.3))
    below = foot(sentences, handles, width)
    height = TOP + _PANEL_TITLE + tall + _BELOW + below.height
    with matplotlib.rc_context(LOOK):
        figure = framed(width, height, title, sentences, below)
        left = (width - _BESIDE - len(panels) * step) / 2 + _BESIDE
        for number, (name, shares) in enumerate(panels.items()):
            x, y = left + number * step + (step - side) / 2, height - TOP - _PANEL_TITLE - tall
            axes = figure.add_axes((x / width, y / height, side / width, tall / height))
            if shares is None:
                draw_mask(axes, cells)
            else:
                read = torch.ones(heads, dtype=torch.bool)
                draw_weights(axes, shares, cells, read, _CELL, leaking[name])
            axes.set_title(name, fontsize=9)
            rows = [f"head {head}" for head in range(heads)] if number == 0 else []
            label_tokens(axes, (), rows, step=1, slanted=False)
            for head in range(shared):
                place = ((x + (head + 0.5) * _CELL) / width, (y - 0.16) / height)
                figure.text(*place, str(head), fontsize=8, ha="center")
            figure.text((x + side / 2) / width, (y - 0.36) / height, "key head", fontsize=8, ha="center")
    return figure


def _any(leaking: dict[str, Tensor]) -> bool:
    return any(bool(where.any()) for where in leaking.values())


def _astray(shares: Tensor, cells: Tensor) -> Tensor:
    return (shares > LEAK_TOLERANCE) & (cells != Reason.VISIBLE)


def _sentence(panels: dict[str, Tensor | None], cells: Tensor) -> str:
    expected = group_words(*cells.shape)
    for name, shares in panels.items():
        if shares is None:
            continue
        if not bool(torch.isfinite(shares).all()):
            return f"{expected} Your function's output is not finite: look at its attention map first."
        astray = _astray(shares, cells)
        if astray.any():
            head, key_head = astray.nonzero()[0].tolist()
            own = int((cells[head] == Reason.VISIBLE).nonzero()[0])
            what = name.partition(" ")[0]
            return f"Head {head} follows the {what} of key head {key_head}; its own is key head {own}."
        if bool((shares.sum(1) == 0).any()):
            head = int((shares.sum(1) == 0).nonzero()[0])
            return f"Head {head} follows the {name.partition(' ')[0]} of no key head at all."
    return expected if len(panels) == 1 else f"{expected} So do yours."
