"""The mask explorer: a widget in which scores, masks and weights move.

Its door is this package itself: ``from attention_lab.explorer import explore, explorer_figure``.
"""

from __future__ import annotations

import importlib
from typing import Any

_BEHIND = {
    "explore": "attention_lab.explorer.widget",
    "explorer_figure": "attention_lab.explorer.figure",
}


def __getattr__(name: str) -> Any:
    # at the first use and not at import: whoever imports a neighbour wakes no GPU and draws nothing
    if name in _BEHIND:
        return getattr(importlib.import_module(_BEHIND[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
