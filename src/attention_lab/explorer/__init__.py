"""The mask explorer: a widget in which scores, masks and weights move.

Its door is this package itself: ``from attention_lab.explorer import explore, explorer_figure``.
"""

from attention_lab.doors import opens

__getattr__ = opens(__name__, explore="widget", explorer_figure="figure")
