"""A door for the lessons: their import lines stay as they are."""

from attention_lab.compare.waste import ragged_lengths, waste_figure

__all__ = ["ragged_lengths", "waste_figure"]
