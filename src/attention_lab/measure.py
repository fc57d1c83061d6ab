"""A door for the lessons: their import lines stay as they are."""

from attention_lab.compare.measure import NOTHING, cost_figure, measure, ragged_costs

__all__ = ["NOTHING", "cost_figure", "measure", "ragged_costs"]
