"""Peak memory over the tokens: the learner's function next to one of an earlier notebook, and to all scores at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.lines import Line2D

from attention_lab.compare.curves import Point, draw_curves, handles, panels
from attention_lab.compare.functions import load_functions, paired_batches
from attention_lab.compare.measure import peak_bytes
from attention_lab.maps.cells import LOOK
from attention_lab.maps.figure import NotebookFigure
from attention_lab.tracebacks import shows_learners_lines
from attention_lab.variants import Variant, get_variant

LENGTHS = (128, 256, 512, 1024, 2048)
HEADS, HEAD_DIM, BYTES = 2, 16, 4
_SCORES: dict[str, Any] = {"color": "#777777", "ls": ":", "lw": 1.6}


@shows_learners_lines
def memory_figure(
    variant: str | Variant,
    function: Callable[..., Any],
    *,
    beside: str = "eager_bidirectional",
    folders: Sequence[str | Path] = ("..", "."),
    lengths: Sequence[int] = LENGTHS,
) -> NotebookFigure:
    """Draw how much memory your function takes at its peak, on the CPU, and that of an earlier notebook.

    Args:
        variant: Which notebook's function it is.
        function: Your function.
        beside: The variant whose function is drawn, too, where its notebook is found and runs.
        folders: Where notebooks are looked for; the first that has it counts.
        lengths: Tokens of the one sequence.

    Returns:
        The figure; its ``caption`` is its alternative text.
    """
    functions, missing = {}, ""
    for folder in folders:
        loaded = load_functions(folder, [beside])
        missing = missing or loaded.left_out.get(beside, "")
        if loaded.functions:
            functions, missing = loaded.functions, ""
            break
    functions[get_variant(variant).name] = function
    curves = {name: _points(one, lengths) for name, one in functions.items()}
    most = max(lengths)
    scores = [HEADS * length**2 * BYTES / 1e6 for length in lengths]
    told = ", ".join(f"{name.replace('_', ' ')} {points[-1].y:.3g} MB" for name, points in curves.items())
    sentences = [f"At {most} tokens: {told}; all scores {scores[-1]:.3g} MB."]
    if missing:
        sentences.append(f"{get_variant(beside).title} is left out: {missing}.")
    label = "all scores at once"
    legend = [*handles(list(curves)), Line2D([], [], **_SCORES, label=label)]
    with matplotlib.rc_context(LOOK):
        title = "Memory of your function at its peak"
        panel = f"one sequence, {HEADS} heads of head_dim {HEAD_DIM}, fp32"
        figure, (axes,) = panels(title, sentences, legend, 2.8, {panel: (0.13, 0.83)})
        axes.plot(lengths, scores, **_SCORES)
        draw_curves(axes, curves, "tokens in the sequence", "megabytes beside the inputs")
    return figure


def _points(function: Callable[..., Any], lengths: Sequence[int]) -> list[Point]:
    points = []
    for length in lengths:
        batch = paired_batches((length,), num_heads=HEADS, head_dim=HEAD_DIM)[0]
        with torch.no_grad():
            megabytes = peak_bytes(partial(function, **batch.arguments())) / 1e6
        points.append(Point(length, megabytes, megabytes, megabytes))
    return points
