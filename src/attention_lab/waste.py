"""A name that the lessons import."""

from attention_lab.compare.waste import ragged_lengths, waste_figure

__all__ = ["ragged_lengths", "waste_figure"]
