"""Draws docs/attention_map.gif, the moving picture in README.md: a leak in red, one edit, clean.

Both maps are what the kit draws of the two functions, which differ in one line.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from attention_lab import attention_heatmap, attention_map, padded_batch

# What the picture shows. The steps' names stand for what learners write themselves: this gives no answer away
WRONG = """def attention(q, k, v, mask):
    scores = compare(q, k)
    may_see = real_keys(mask)
    weights = softmax_where(may_see, scores)
    return weighted_sum(weights, v)"""
LINE = "    may_see = real_keys(mask)"
EDIT = " & not_later(scores)"
WIDTH, MARGIN, LEADING = 880, 18, 21
INK, PALE, RED, GREEN, TINT = "#1f2328", "#57606a", "#b3261e", "#1a7f37", "#fff5b1"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
CODE = ImageFont.truetype(str(FONTS / "DejaVuSansMono.ttf"), 16)
TEXT = ImageFont.truetype(str(FONTS / "DejaVuSans-Bold.ttf"), 16)


def seen(source: str) -> Image.Image:
    """The attention map of a function that learners could have written."""
    steps: dict[str, Any] = {
        "compare": lambda q, k: q @ k.mT / q.shape[-1] ** 0.5,
        "real_keys": lambda mask: mask[:, None, None, :],
        "not_later": lambda scores: torch.ones_like(scores, dtype=torch.bool).tril(),
        "softmax_where": lambda seen, scores: scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1),
        "weighted_sum": lambda weights, v: weights @ v,
    }
    exec(source, steps)

    def function(q: Tensor, k: Tensor, v: Tensor, num_heads: int, head_dim: int, mask: Tensor) -> Tensor:
        heads = [x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v)]
        output: Tensor = steps["attention"](*heads, mask)
        return output.transpose(1, 2).flatten(2)

    batch = padded_batch(padding="right")
    figure = attention_heatmap("eager_causal", batch, attention_map(function, batch), item=1)
    return Image.open(io.BytesIO(figure._repr_png_())).convert("RGB")


def frame(source: str, picture: Image.Image, title: str, colour: str, height: int) -> Image.Image:
    """One picture: the code with the line of the edit marked, what is said of it, and the map."""
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(source.split("\n")):
        top = MARGIN + number * LEADING
        if line.startswith(LINE):
            draw.rectangle((MARGIN - 6, top - 3, WIDTH - MARGIN, top + LEADING - 3), fill=TINT)
        draw.text((MARGIN, top), line, font=CODE, fill=INK)
    below = MARGIN + len(source.split("\n")) * LEADING + 10
    draw.text((MARGIN, below), title, font=TEXT, fill=colour)
    image.paste(picture, ((WIDTH - picture.width) // 2, below + 32))
    return image


def main() -> None:
    """Draw the frames and write the file."""
    leaking, clean = seen(WRONG), seen(WRONG.replace(LINE, LINE + EDIT))
    scale = min(1.0, (WIDTH - 2 * MARGIN) / max(leaking.width, clean.width))
    leaking, clean = (each.resize((round(each.width * scale), round(each.height * scale))) for each in (leaking, clean))
    tall = MARGIN + (len(WRONG.split("\n"))) * LEADING + 50 + max(leaking.height, clean.height)
    typed = [WRONG.replace(LINE, LINE + EDIT[:count]) for count in range(len(EDIT) + 1)]
    leak = "A leak: queries look ahead. The red frames show where."
    frames = [frame(WRONG, leaking, leak, RED, tall)]
    frames += [frame(source, leaking, "One edit …", PALE, tall) for source in typed[1:]]
    frames.append(frame(typed[-1], clean, "Run again: no weight falls on a masked key.", GREEN, tall))
    times = [3500] + [110] * len(EDIT) + [4000]
    both = Image.new("RGB", (WIDTH, 2 * tall))  # one palette with the colours of the first frame and of the last
    for place, each in enumerate((frames[0], frames[-1])):
        both.paste(each, (0, place * tall))
    palette = both.quantize(128)
    small = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in frames]
    path = Path(__file__).with_name("attention_map.gif")
    small[0].save(path, save_all=True, append_images=small[1:], duration=times, loop=0, optimize=True)


if __name__ == "__main__":
    main()
