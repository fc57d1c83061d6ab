"""A name that the lessons import."""

from attention_lab.compare.recorded import NOTHING_RECORDED, read_recorded, recorded_figure

__all__ = ["NOTHING_RECORDED", "read_recorded", "recorded_figure"]
