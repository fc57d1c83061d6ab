"""The class report as one HTML page: no scripts, nothing from elsewhere, light and dark, a table behind every plot."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

if TYPE_CHECKING:
    from attention_grading.report.figures import ClassReport

# of a plot, in its own units
_WIDTH, _HEIGHT, _AXIS = 320, 130, 22


def page(report: ClassReport) -> str:
    """The page.

    Args:
        report: What it says.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["bars"] = bars
    environment.filters["percent"] = percent
    checks = list(dict.fromkeys(check for one in report.assignments for check in one.passed))
    template = files("attention_grading.report").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        report=report, checks=checks, most=max((len(one.students) for one in report.mistakes), default=1)
    )


def percent(count: int, total: int) -> int:
    """Whole percent; 0 of nothing is 0."""
    return round(100 * count / total) if total else 0


def bars(counts: Sequence[int]) -> list[dict[str, Any]]:
    """Places of a histogram's bars: one dictionary a bar, in the plot's units."""
    step, top = _WIDTH / max(len(counts), 1), max([*counts, 1])
    room = _HEIGHT - _AXIS - 14
    return [
        {
            "x": round(index * step + step * 0.12, 1),
            "middle": round(index * step + step / 2, 1),
            "width": round(step * 0.76, 1),
            "height": (height := round(room * count / top, 1)),
            "y": round(_HEIGHT - _AXIS - height, 1),
            "label": index,
            "count": count,
        }
        for index, count in enumerate(counts)
    ]
