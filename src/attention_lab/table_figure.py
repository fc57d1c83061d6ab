"""A door for the lessons: their import lines stay as they are."""

from attention_lab.maps.steps import steps_figure

__all__ = ["steps_figure"]
