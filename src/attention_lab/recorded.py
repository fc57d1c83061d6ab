"""The door to ``attention_lab.compare.recorded`` for the lessons, whose import lines stay as they are."""

from attention_lab.compare.recorded import NOTHING_RECORDED, read_recorded, recorded_figure

__all__ = ["NOTHING_RECORDED", "read_recorded", "recorded_figure"]
