"""The door to ``attention_lab.maps.steps`` for the lessons, whose import lines stay as they are."""

from attention_lab.maps.steps import steps_figure

__all__ = ["steps_figure"]
