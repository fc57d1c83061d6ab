"""The class report as one HTML page: no scripts, nothing from elsewhere, light and dark, a table behind every plot."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

if TYPE_CHECKING:
    from attention_grading.report.figures import ClassReport

# Of a histogram, in its own units: where its bars are; labels stand around them
PLOT = {"left": 26, "right": 320, "top": 16, "bottom": 114}


def page(report: ClassReport) -> str:
    """The page.

    Args:
        report: What it says.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["bars"] = bars
    environment.filters["percent"] = percent
    checks = list(dict.fromkeys(check for one in report.assignments for check in one.passed))
    scale = ticks(max((count for one in report.assignments for count in one.histogram), default=0))
    template = files("attention_grading.report").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(report=report, checks=checks, scale=scale, plot=PLOT)


def percent(count: int, total: int) -> int:
    """Whole percent; 0 of nothing is 0."""
    return round(100 * count / total) if total else 0


def ticks(most: int) -> list[dict[str, Any]]:
    """The vertical scale that all histograms share: 0, the middle and the top, with their places."""
    top = max(2, most + most % 2)
    return [{"count": count, "y": round(_height(count, top), 1)} for count in (0, top // 2, top)]


def _height(count: int, top: int) -> float:
    return PLOT["bottom"] - (PLOT["bottom"] - PLOT["top"]) * count / top


def bars(counts: Sequence[int], scale: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Places of a histogram's bars on a scale: one dictionary a bar, in the plot's units."""
    step = (PLOT["right"] - PLOT["left"]) / max(len(counts), 1)
    return [
        {
            "x": round(PLOT["left"] + index * step + step * 0.12, 1),
            "middle": round(PLOT["left"] + index * step + step / 2, 1),
            "width": round(step * 0.76, 1),
            "y": (y := round(_height(count, scale[-1]["count"]), 1)),
            "height": round(PLOT["bottom"] - y, 1),
            "label": index,
            "count": count,
        }
        for index, count in enumerate(counts)
    ]
