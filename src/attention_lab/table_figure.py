"""A name that the lessons import."""

from attention_lab.maps.steps import steps_figure

__all__ = ["steps_figure"]
