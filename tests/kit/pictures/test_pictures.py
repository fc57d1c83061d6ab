"""Diagrams: one for every variant, on a transparent ground, with words that fit and can be read on any page."""

from __future__ import annotations

import io

import pytest
from matplotlib.text import Text
from PIL import Image

from attention_lab.pictures import alignments, cached_alignments, where_it_runs
from attention_lab.pictures.drawing import DARK, WORDS, Picture
from attention_lab.variants import VARIANTS

PAGES = {"light": "#ffffff", "dark": "#111111"}


NAMES = (*VARIANTS, "alignments", "cached_alignments")


def drawn(name: str) -> Picture:
    if name == "cached_alignments":
        return cached_alignments(new=3, length=6, max_len=8)
    return alignments(queries=2, keys=5) if name == "alignments" else where_it_runs(name)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", NAMES)
def test_words_stay_inside_the_picture_and_do_not_lie_upon_each_other(name):
    picture = drawn(name)
    renderer = picture.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in picture.findobj(Text) if text.get_text()]
    assert len(boxes) >= 8
    width, height = picture.canvas.get_width_height()
    for number, box in enumerate(boxes):
        assert box.x0 >= 0, name
        assert box.y0 >= 0, name
        assert box.x1 <= width, name
        assert box.y1 <= height, name
        assert not any(box.overlaps(other) for other in boxes[:number]), name


@pytest.mark.parametrize("name", NAMES)
def test_ground_is_transparent_and_words_are_large_enough_at_700_pixels(name):
    picture = drawn(name)
    image = Image.open(io.BytesIO(picture._repr_png_()))
    assert image.width <= 700
    assert image.convert("RGBA").getpixel((1, 1))[3] == 0
    points = [text.get_fontsize() for text in picture.findobj(Text) if text.get_text()]
    assert min(points) >= 8.5


@pytest.mark.parametrize("page", PAGES)
def test_words_on_the_bare_ground_stand_out_on_light_and_dark_pages(page):
    assert contrast(WORDS, PAGES[page]) >= 4
    assert WORDS != DARK


def test_every_picture_is_described_and_shows_something_else():
    captions = {name: drawn(name).caption for name in NAMES}
    assert len(set(captions.values())) == len(captions)
    assert "encoder" in captions["eager_bidirectional"]
    assert "decoder" in captions["eager_causal"]


def test_alignments_are_what_the_kernels_do():
    first, second = alignments(queries=1, keys=4).caption.split(". ")
    assert "1 of 4 keys" in first  # SDPA: top left
    assert "4 of 4 keys" in second  # flash-attn: bottom right


def test_new_tokens_see_all_that_is_cached_and_is_causal_hides_the_newest():
    assert cached_alignments(new=2, length=5, max_len=7).caption == (
        "The last of 2 new tokens must see 5 of 7 places, of which 5 are used; is_causal=True shows it 2, and hides 3."
    )
    assert cached_alignments(new=5, length=5, max_len=7).caption.endswith("shows it 5, and hides 0.")


def test_a_cell_that_runs_twice_imports_the_same():
    namespace = {}
    for _ in range(2):
        exec("from attention_lab.pictures import alignments, where_it_runs", namespace)
        assert callable(namespace["alignments"])
        assert callable(namespace["where_it_runs"])
