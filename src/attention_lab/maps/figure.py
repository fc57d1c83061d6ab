"""A figure that a notebook shows once, small and with its description."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Hashable
from functools import cache, lru_cache, partial
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from PIL import Image
from PIL.PngImagePlugin import PngInfo

DPI = 100
# In a dark theme (JupyterLab, VS Code, Colab) dark and light change places and hues stay: the ground then is the page's
# own, or nearly. Where a page drops styles, a picture keeps its white ground, on which everything can be read
THEMED = (
    "<style>:is(body[data-jp-theme-light=false],body.vscode-dark,html[theme=dark]) "
    ":is(.attention-figure,.explorer-picture) img{filter:invert(.93) hue-rotate(180deg)}</style>"
)
MOST_WIDTH = 10.0  # inches of a notebook's page


class NotebookFigure(Figure):
    """A figure that shows itself once, as a cell's last expression.

    A figure made through pyplot shows twice there: as the cell's value and through the inline backend. This one is
    not pyplot's, so the inline backend does not know it; and it draws its own PNG, which a bare ``Figure`` does only
    after something has switched the inline backend on.

    Attributes:
        caption: The picture in words. It is the output's alternative text (nbconvert, and so nbgrader's feedback,
            writes it into ``alt``), its ``text/plain`` form, the PNG's ``Description`` and the figure's label.
    """

    caption: str = ""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", facecolor="white")
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = base64.b64encode(self._repr_png_()).decode()
        # JupyterLab gives a bare PNG no alternative text; of the two it shows the HTML
        image = f'<img src="data:image/png;base64,{picture}" alt="{html.escape(self.caption)}">'
        style = ""
        if self.get_figwidth() > MOST_WIDTH:  # it would be made smaller to fit, and its words with it
            image = image.replace("<img", '<img style="max-width: none"', 1)
            style = ' style="overflow-x: auto"'
        data = {
            "image/png": picture,
            "text/html": f'{THEMED}<div class="attention-figure"{style}>{image}</div>',
            "text/plain": self.caption,
        }
        return data, {"image/png": {"alt": self.caption}}


class _PaletteCanvas(FigureCanvasAgg):
    """Writes PNGs of 256 colours: a third of the bytes, and no colour was seen to move by more than 6 of 255.

    It sits below ``savefig``, so that a picture is small too where the inline backend draws it (Colab).
    """

    figure: NotebookFigure

    def get_renderer(self) -> RendererAgg:
        """Matplotlib's, but for what it would measure anew for each figure: how wide texts are."""
        renderer: Any = super().get_renderer()
        renderer.get_text_width_height_descent = partial(_text_size, _fonts(), renderer.dpi)
        measuring: RendererAgg = renderer
        return measuring

    def print_png(
        self,
        filename_or_obj: Any,
        *,
        metadata: dict[str, Any] | None = None,
        pil_kwargs: dict[str, Any] | None = None,
        **already_applied: Any,  # dpi, facecolor and the like: print_figure sets them on the figure, too
    ) -> None:
        self.draw()
        size = self.get_width_height(physical=True)
        picture = Image.frombuffer("RGBA", size, self.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
        picture = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        words = PngInfo()
        for key, value in {"Description": self.figure.caption, **(metadata or {})}.items():
            words.add_text(key, str(value))
        options: dict[str, Any] = {"format": "png", "dpi": (self.figure.dpi, self.figure.dpi), "pnginfo": words}
        picture.save(filename_or_obj, **options | (pil_kwargs or {}))


def blank_figure(width: float, height: float, caption: str) -> NotebookFigure:
    """An empty white figure of some inches, described by its caption."""
    figure = NotebookFigure(figsize=(width, height), dpi=DPI, facecolor="white")
    _PaletteCanvas(figure)
    figure.caption = caption
    figure.set_label(caption)
    return figure


def text_width(text: str, size: float) -> float:
    """Inches that a text takes."""
    return _text_size(_fonts(), DPI, text, FontProperties(size=size), False)[0] / DPI


@lru_cache(maxsize=4096)
def _text_size(
    fonts: Hashable, dpi: float, text: str, properties: FontProperties, ismath: Any
) -> tuple[float, float, float]:
    """Width, height and descent of a text in pixels."""
    size: tuple[float, float, float] = _ruler(dpi).get_text_width_height_descent(text, properties, ismath)
    return size


def _fonts() -> Hashable:
    """The settings that decide which font a text gets, and how it is fitted to the pixels."""
    settings: Any = matplotlib.rcParams
    return tuple(str(settings[name]) for name in _FONT_SETTINGS)


_FONT_SETTINGS = (
    "font.family",
    "font.sans-serif",
    "font.serif",
    "font.monospace",
    "font.cursive",
    "font.fantasy",
    "text.hinting",
    "mathtext.fontset",
)


@cache
def _ruler(dpi: float) -> RendererAgg:
    return RendererAgg(1, 1, dpi)
