"""Draw the rooms of both packages from the import contracts in pyproject.toml: ``python docs/draw_house.py``.

A room may import what lies below it. The picture is ``docs/house.png``.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from pathlib import Path

import matplotlib

matplotlib.use("agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
SOURCES = {"attention_grading": ROOT / "grading" / "src", "attention_lab": ROOT / "src"}
COLOURS = {"attention_grading": "#fde8c8", "attention_lab": "#d3e5f5"}
ROW, GAP, WIDTH = 0.68, 0.14, 10.0  # inches


def layers() -> dict[str, list[list[str]]]:
    """Rooms by package, from the roof to the ground; rooms of one layer stand side by side."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {
        contract["containers"][0]: [
            layer.replace("(", "").replace(")", "").split(" | ") for layer in contract["layers"]
        ]
        for contract in contracts
        if contract["type"] == "layers"
    }


def purpose(package: str, room: str) -> str:
    """The first sentence of a room's docstring."""
    place = SOURCES[package] / package / room
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "").split(". ")[0].rstrip(".")


def draw() -> Figure:
    """Both packages, the grading package above the kit that it may import."""
    houses = {package: layers()[package] for package in SOURCES}
    rows = sum(len(floors) + 0.8 for floors in houses.values())
    figure = Figure(figsize=(WIDTH, rows * (ROW + GAP)), dpi=130, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(rows * (ROW + GAP), 0))
    axes.axis("off")
    top = 0.0
    for package, floors in houses.items():
        axes.text(0.12, top + 0.38, package, fontsize=12, fontweight="bold", family="monospace")
        axes.text(WIDTH - 0.12, top + 0.38, "imports run downwards only", fontsize=8.5, ha="right", color="#555555")
        top += 0.8 * (ROW + GAP)
        for floor in floors:
            width = (WIDTH - 0.24 - GAP * (len(floor) - 1)) / len(floor)
            for place, room in enumerate(floor):
                _draw_room(axes, 0.12 + place * (width + GAP), top, width, package, room)
            top += ROW + GAP
    return figure


def _draw_room(axes: Axes, left: float, top: float, width: float, package: str, room: str) -> None:
    box = FancyBboxPatch((left, top), width, ROW, boxstyle="round,pad=0,rounding_size=0.06")
    box.set(facecolor=COLOURS[package], edgecolor="#8a8a8a", linewidth=0.8)
    axes.add_patch(box)
    axes.text(left + width / 2, top + 0.17, room, ha="center", va="center", fontsize=9.5, family="monospace")
    words = "\n".join(
        textwrap.wrap(purpose(package, room), int(width * 15), max_lines=3, placeholder=" …", break_long_words=False)
    )
    axes.text(left + width / 2, top + 0.45, words, ha="center", va="center", fontsize=6.8, color="#444444")


if __name__ == "__main__":
    draw().savefig(ROOT / "docs" / "house.png")
