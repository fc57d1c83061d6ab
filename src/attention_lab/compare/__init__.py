"""The learner's own six functions side by side: outputs, time, memory, and figures of real kernels.

Its door is this package itself, and ``measure``, ``recorded`` and ``waste`` for what lesson 07 draws.
"""

from __future__ import annotations

import importlib
from typing import Any

_BEHIND = {
    "agreement": "attention_lab.compare.functions",
    "load_functions": "attention_lab.compare.functions",
}


def __getattr__(name: str) -> Any:
    # at the first use and not at import: whoever imports a neighbour wakes no GPU and draws nothing
    if name in _BEHIND:
        return getattr(importlib.import_module(_BEHIND[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
