"""A name that the lessons import."""

from attention_lab.compare.measure import NOTHING, cost_figure, measure, ragged_costs

__all__ = ["NOTHING", "cost_figure", "measure", "ragged_costs"]
