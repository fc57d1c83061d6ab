"""Where a variant runs: a transformer's block with the learner's function in it, and what is special about its call."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from matplotlib.axes import Axes

from attention_lab.pictures.drawing import (
    DARK,
    HIDDEN,
    SEEN,
    WRONG,
    YOURS,
    Picture,
    arrow,
    blank,
    box,
    grid,
    line,
    words,
)
from attention_lab.variants import Inputs, Variant, get_variant

WIDTH, HEIGHT = 6.9, 3.5
LEFT = 2.75  # where the scene beside the block begins


def where_it_runs(variant_name: str) -> Picture:
    """Draw where a variant stands in real models.

    Args:
        variant_name: Such as ``eager_causal``.

    Returns:
        The picture; its ``caption`` is its alternative text.

    Raises:
        ValueError: There is no such variant.
    """
    variant = get_variant(variant_name)
    said = (_WINDOW if "window" in variant.rules and variant.kernel != "flex" else _BY_INPUTS.get(variant.inputs)) or {
        ("eager", False): _EVERY_TOKEN,
        ("eager", True): _EARLIER_TOKENS,
        ("sdpa", False): _BACKENDS,
        ("sdpa", True): _TRIANGLE,
        ("flash", False): _PACKED,
        ("flash", True): _DOCUMENTS,
        ("tiled", True): _TILES,
        ("flex", True): _MASKS,
        ("shared", True): _SHARED,
    }["shared" if variant.grouped else variant.kernel, variant.causal]
    block = (
        f"The block of {_kind(variant)}: W_Q, W_K and W_V make q, k and v; then your function, W_O and the MLP. "
        "Norms and skip connections are left out."
    )
    picture, axes = blank(WIDTH, HEIGHT, f"{block} {said}")
    _block(axes, variant)
    {
        _EVERY_TOKEN: _tokens,
        _EARLIER_TOKENS: _tokens,
        _BACKENDS: _backends,
        _TRIANGLE: _triangle,
        _PACKED: _packed,
        _DOCUMENTS: _documents,
        _TILES: _tiles,
        _SHARED: _shared,
        _WINDOW: _window,
        _CACHE: _cache,
        _POSITIONS: _positions,
        _MASKS: _masks,
    }[said](axes, variant)
    return picture


def _kind(variant: Variant) -> str:
    return "a decoder" if variant.causal else "an encoder"


_EVERY_TOKEN = "Every token looks at every other; one word is hidden, and the model is to guess it."
_EARLIER_TOKENS = "Each token looks at itself and at those before it, and is to guess the next one."
_BACKENDS = "F.scaled_dot_product_attention chooses one of four backends by device, dtype and mask."
_TRIANGLE = "is_causal=True alone, with padding on the left: the triangle keeps later keys out, and lets padding in."
_PACKED = "Four sentences as a padded table of 24 rows, 11 of them padding, and packed into 13 rows."
_DOCUMENTS = "Three documents in one row of training text, each with a triangle of its own."
_SHARED = "Eight heads with eight key heads (MHA), with two (GQA) and with one (MQA), which is what a cache keeps."
_TILES = "All tensors lie in HBM; of the scores one tile at a time exists, in the chip's own memory."
_CACHE = "A prefill puts five tokens into the cache; three calls with one new token each read all of it."
_POSITIONS = (
    "Three documents in one row, each token with its position: 0 1 2 3, 0 1, and 5 to 9, a document that goes on from "
    "another row. Where the count does not go on lies a border: at 0, 4, 6 and 11."
)
# What tells the inputs apart is special enough
_BY_INPUTS: dict[Inputs, str] = {"positions": _POSITIONS, "cached": _CACHE}

_WINDOW = (
    "Three layers with a window of three: one layer brings the last token two tokens back, three bring it six; "
    "what is older does not arrive."
)
_MASKS = "Three masks, each a function of two places: causal, a window, documents. Each becomes a fused kernel."


# ---- the block -------------------------------------------------------------------------------------------------------


class Floor(NamedTuple):
    """One box of the block."""

    text: str
    yours: bool = False


def _block(axes: Axes, variant: Variant) -> None:
    """Tokens below, the block's parts in the order of computation, the prediction on top."""
    above = "next token" if variant.causal else "one vector per token"
    floors = [Floor("W_Q   W_K   W_V"), Floor("attention: yours", yours=True), Floor("W_O"), Floor("MLP")]
    x, width, height, step = 0.35, 1.75, 0.32, 0.5
    words(axes, x + width / 2, 0.14, "tokens")
    box(axes, x, 0.28, width, 0.29, "embedding")
    for number, floor in enumerate(floors):
        y = 0.87 + number * step
        arrow(axes, (x + width / 2, y - (0.3 if number == 0 else step - height)), (x + width / 2, y))
        box(axes, x, y, width, height, floor.text, **({"colour": YOURS, "fontweight": "bold"} if floor.yours else {}))
    words(axes, x + width / 2 + 0.14, 0.87 + 0.5 * (height + step), "q, k, v", ha="left", fontsize=8.5)
    low, high = 0.75, 0.87 + 3 * step + height + 0.1
    for start, end in (((0.2, low), (0.2, high)), ((2.25, low), (2.25, high))):
        line(axes, start, end, linestyle=(0, (3, 2)))
    for y in (low, high):
        line(axes, (0.2, y), (2.25, y), linestyle=(0, (3, 2)))
    words(axes, 2.31, (low + high) / 2, "× layers", rotation=90, ha="left")
    arrow(axes, (x + width / 2, high - 0.1), (x + width / 2, high + 0.2))
    words(axes, x + width / 2, high + 0.32, above)


# ---- what is special -------------------------------------------------------------------------------------------------


def _tokens(axes: Axes, variant: Variant) -> None:
    read = ["The", "cat", "sat", "on", "it"] if variant.causal else ["The", "[MASK]", "sat", "on", "it"]
    written = ["cat", "sat", "on", "it", "."] if variant.causal else ["", "cat ?", "", "", ""]
    step, width, low, high = 0.8, 0.66, 0.62, 2.2
    places = [LEFT + 0.1 + number * step for number in range(len(read))]
    for query, there in enumerate(places):
        for key, here in enumerate(places):
            if key <= query or not variant.causal:
                chosen = query == (3 if variant.causal else 1)
                look = {"color": "#3d85c6", "lw": 2.0, "zorder": 2.5} if chosen else {"lw": 0.7, "alpha": 0.6}
                line(axes, (here + width / 2, low + 0.32), (there + width / 2, high), **look)
    for number, x in enumerate(places):
        chosen = number == (3 if variant.causal else 1)
        box(axes, x, low, width, 0.32, read[number])
        box(axes, x, high, width, 0.32, written[number], SEEN if chosen else HIDDEN)
    said = "guesses the next word at every place" if variant.causal else "reads the whole text and fills the gap"
    words(axes, LEFT + 2.03, 2.95, f"{_kind(variant)} {said}")
    words(axes, LEFT + 2.03, 0.3, "lines: who looks at whom")


def _backends(axes: Axes, variant: Variant) -> None:
    x, width = LEFT + 0.1, 3.95
    box(axes, x + 0.5, 2.75, width - 1.0, 0.34, "F.scaled_dot_product_attention", YOURS)
    words(axes, x + width / 2, 2.47, "picks a backend by device, dtype and mask")
    names = {
        "FLASH_ATTENTION": "blocks; takes no mask on a GPU",
        "EFFICIENT_ATTENTION": "blocks; takes masks and fp32",
        "CUDNN_ATTENTION": "NVIDIA's own; fp16 and bf16",
        "MATH": "plain tensor operations; takes all",
    }
    for number, (name, takes) in enumerate(names.items()):
        y = 1.9 - number * 0.47
        box(axes, x, y, 1.72, 0.34, name, SEEN, fontsize=8.5)
        words(axes, x + 1.8, y + 0.17, takes, ha="left", fontsize=9)
    words(axes, x + width / 2, 0.22, "the same numbers, within rounding")


def _triangle(axes: Axes, variant: Variant) -> None:
    tokens = ["<pad>", "<pad>", "Dogs", "bark", "at", "night"]
    cell, x, top = 0.34, LEFT + 0.5, 2.72
    rows = [
        [HIDDEN if key > query else WRONG if key < 2 else SEEN for key in range(len(tokens))]
        for query in range(len(tokens))
    ]
    grid(axes, x, top, cell, rows)
    for number, token in enumerate(tokens):
        words(axes, x - 0.07, top - (number + 0.5) * cell, token, ha="right")
    words(axes, LEFT + 2.03, 3.05, "is_causal=True alone, padding on the left")
    legend = ((SEEN, "seen"), (HIDDEN, "later: hidden"), (WRONG, "padding: seen"))
    for number, (colour, said) in enumerate(legend):
        y = 2.1 - number * 0.42
        box(axes, x + 2.2, y, 0.22, 0.22, "", colour)
        words(axes, x + 2.48, y + 0.11, said, ha="left", fontsize=9)
    words(axes, LEFT + 2.03, 0.3, "rows are queries, columns are keys")


_LENGTHS = (2, 6, 1, 4)


def _packed(axes: Axes, variant: Variant) -> None:
    cell, x, longest = 0.3, LEFT + 0.1, max(_LENGTHS)
    words(axes, x + longest * cell / 2, 3.15, "padded: 24 rows")
    grid(axes, x, 3.0, cell, [[SEEN] * length + [HIDDEN] * (longest - length) for length in _LENGTHS])
    words(
        axes,
        x + longest * cell + 0.25,
        2.4,
        "11 of them are padding,\nand every layer computes\nthem with the rest",
        ha="left",
    )
    arrow(axes, (x + longest * cell / 2, 1.72), (x + longest * cell / 2, 1.3))
    words(axes, x + longest * cell / 2 + 0.15, 1.52, "packed: 13 rows, and the borders", ha="left")
    _strip(axes, x, 1.2, cell, _LENGTHS)
    words(axes, LEFT + 2.03, 0.35, "ModernBERT packs once, before its first layer")


def _documents(axes: Axes, variant: Variant) -> None:
    lengths, cell, x = (4, 6, 3), 0.3, LEFT + 0.1
    words(axes, LEFT + 2.03, 3.15, "a row of training text holds several documents")
    start = 0
    for length in lengths:
        rows = [[SEEN if key <= query else HIDDEN for key in range(length)] for query in range(length)]
        grid(axes, x + start * cell, 1.0 + length * cell, cell, rows)
        start += length
    _strip(axes, x, 0.9, cell, lengths)
    words(axes, LEFT + 2.03, 0.28, "each has a triangle of its own")


def _tiles(axes: Axes, variant: Variant) -> None:
    cell, x, top, wide = 0.27, LEFT + 0.12, 2.72, 4
    tokens = 2 * wide
    words(axes, x + tokens * cell / 2, 3.05, f"scores of {tokens} tokens in tiles of {wide} keys")
    rows = [[HIDDEN if key > query or key < wide else YOURS for key in range(tokens)] for query in range(tokens)]
    grid(axes, x, top, cell, rows)
    line(
        axes, (x + wide * cell, top + 0.06), (x + wide * cell, top - tokens * cell - 0.06), color=DARK, lw=2.5, zorder=5
    )
    words(axes, x + wide * cell / 2, 0.36, "gone")
    words(axes, x + 1.5 * wide * cell, 0.36, "now")
    right = x + tokens * cell + 0.2
    for y, name, holds in ((2.0, "HBM, large", "q, k, v, output"), (0.75, "on chip, fast", "one tile of scores")):
        box(axes, right, y, 1.55, 0.62, f"{name}\n{holds}", SEEN if y > 1 else YOURS, fontsize=8.5)
    arrow(axes, (right + 0.5, 2.0), (right + 0.5, 1.37))
    arrow(axes, (right + 1.05, 1.37), (right + 1.05, 2.0))
    words(axes, right + 0.42, 1.69, "k, v", ha="right", fontsize=8.5)
    words(axes, right + 1.13, 1.69, "output", ha="left", fontsize=8.5)


def _shared(axes: Axes, variant: Variant) -> None:
    heads, width, step, x = 8, 0.27, 0.34, LEFT + 0.62
    words(axes, x + heads * step / 2, 3.22, "8 heads, and the key heads that a cache keeps")
    for name, shared, top in (("MHA", 8, 2.75), ("GQA", 2, 1.78), ("MQA", 1, 0.81)):
        words(axes, LEFT + 0.08, top - 0.17, name, ha="left", fontsize=11)
        group = heads // shared
        for head in range(heads):
            middle = x + head * step + width / 2
            below = x + (head // group * group + (group - 1) / 2) * step + width / 2
            line(axes, (middle, top), (below, top - 0.31), lw=0.9)
            box(axes, middle - width / 2, top, width, 0.24, "q", YOURS, fontsize=8.5)
        for number in range(shared):
            left = x + (number * group + (group - 1) / 2) * step
            box(axes, left, top - 0.55, width, 0.24, "kv", SEEN, fontsize=8.5)
        kept = {8: "all", 2: "1/4", 1: "1/8"}[shared]
        words(axes, x + heads * step + 0.1, top - 0.43, f"cache: {kept}", ha="left", fontsize=9)


def _window(axes: Axes, variant: Variant) -> None:
    tokens, layers, window, cell, x, low, step = 9, 3, 3, 0.31, LEFT + 0.75, 0.72, 0.66
    last = tokens - 1
    words(axes, LEFT + 2.03, 3.2, f"three layers with a window of {window}")
    for layer in range(layers + 1):
        y = low + layer * step
        reached = last - (layers - layer) * (window - 1)  # the oldest token that the last one hears of from here
        for token in range(tokens):
            place = x + token * cell
            colour = HIDDEN if token < reached else YOURS if token == last and layer == layers else SEEN
            box(axes, place, y, cell - 0.06, 0.26, "", colour)
            if layer == layers:
                continue
            for query in range(token, min(token + window, tokens)):
                oldest = last - (layers - layer - 1) * (window - 1)
                look = {"color": "#3d85c6", "lw": 1.6} if query >= oldest else {"lw": 0.7, "alpha": 0.6}
                ends = ((place + cell / 2 - 0.03, y + 0.26), (x + query * cell + cell / 2 - 0.03, y + step))
                line(axes, *ends, zorder=0.5, **look)
        words(axes, x - 0.1, y + 0.13, "tokens" if layer == 0 else f"layer {layer}", ha="right", fontsize=9)
    heard = layers * (window - 1) + 1
    words(axes, LEFT + 2.03, 0.3, f"the last token hears of {heard} tokens, not of {window}")


def _cache(axes: Axes, variant: Variant) -> None:
    cell, x, top, places = 0.31, LEFT + 0.92, 2.62, 8
    words(axes, x + places * cell / 2, 3.15, "the cache, call by call")
    calls = [(0, 5), (5, 1), (6, 1), (7, 1)]  # tokens that are there, and new ones
    for number, (cached, new) in enumerate(calls):
        y = top - number * 0.5
        row = [SEEN] * cached + [YOURS] * new + [HIDDEN] * (places - cached - new)
        grid(axes, x, y + cell / 2, cell, [row])
        words(axes, x - 0.1, y, "decode" if number else "prefill", ha="right")
        words(axes, x + places * cell + 0.1, y, f"{new} new", ha="left")
    for number, (colour, said) in enumerate(((SEEN, "cached"), (YOURS, "new"), (HIDDEN, "unused"))):
        left = LEFT + 0.55 + number * 1.15
        box(axes, left, 0.55, 0.22, 0.22, "", colour)
        words(axes, left + 0.28, 0.66, said, ha="left", fontsize=9)
    words(axes, LEFT + 2.03, 0.25, "each call reads all keys and values that are there")


def _positions(axes: Axes, variant: Variant) -> None:
    documents, cell, x, top = ((0, 1, 2, 3), (0, 1), (5, 6, 7, 8, 9)), 0.35, LEFT + 0.1, 2.05
    lengths = tuple(map(len, documents))
    words(axes, LEFT + 2.03, 3.15, "one row of training text, as a collator gives it")
    _strip(axes, x, top, cell, lengths)
    place = 0
    for document, said in zip(documents, ("a document", "another", "one that goes on"), strict=True):
        words(axes, x + (place + len(document) / 2) * cell, top + 0.25, said, fontsize=9)
        for position in document:
            words(axes, x + (place + 0.5) * cell, top - cell / 2, str(position), color=DARK, zorder=7)
            place += 1
    words(axes, x, 2.65, "position_ids", ha="left")
    for border in (0, *itertools.accumulate(lengths)):
        arrow(axes, (x + border * cell, top - cell - 0.1), (x + border * cell, top - cell - 0.5))
        words(axes, x + border * cell, top - cell - 0.65, str(border))
    words(axes, x, 0.75, "cu_seqlens", ha="left")
    words(axes, LEFT + 2.03, 0.32, "a border lies where the count does not go on")


def _masks(axes: Axes, variant: Variant) -> None:
    tokens, cell, document = 5, 0.2, (0, 0, 1, 1, 1)
    rules: dict[str, Callable[[int, int], bool]] = {
        "causal\nnothing later": lambda query, key: key <= query,
        "window\nwhat is near": lambda query, key: 0 <= query - key < 2,
        "documents\nsame label": lambda query, key: key <= query and document[query] == document[key],
    }
    wide = tokens * cell
    for number, (name, sees) in enumerate(rules.items()):
        x = LEFT + 0.12 + number * 1.38
        words(axes, x + wide / 2, 3.02, name, fontsize=8.5)
        rows = [[YOURS if sees(query, key) else HIDDEN for key in range(tokens)] for query in range(tokens)]
        grid(axes, x, 2.72, cell, rows)
        arrow(axes, (x + wide / 2, 2.72 - wide - 0.05), (x + wide / 2, 1.12))
    right = LEFT + 0.12 + 2 * 1.38 + wide
    kernel = "torch.compile(flex_attention)\none fused kernel for each"
    box(axes, LEFT + 0.12, 0.5, right - LEFT - 0.12, 0.6, kernel, SEEN)
    words(axes, (LEFT + 0.12 + right) / 2, 0.28, "the mask is a function that you write")


def _strip(axes: Axes, x: float, top: float, cell: float, lengths: tuple[int, ...]) -> None:
    """Packed sequences end to end, with dark borders between them."""
    grid(axes, x, top, cell, [[SEEN] * sum(lengths)])
    place = 0
    for length in (0, *lengths):
        place += length
        line(axes, (x + place * cell, top - cell - 0.06), (x + place * cell, top + 0.04), color=DARK, lw=3, zorder=5)
        line(axes, (x + place * cell, top - cell - 0.06), (x + place * cell, top + 0.04), color="white", lw=1, zorder=6)
