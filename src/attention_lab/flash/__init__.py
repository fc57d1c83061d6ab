"""``flash_attn_varlen_func`` on any machine, by the best of three routes.

Its door is this package itself: ``from attention_lab.flash import flash_attn_varlen_func``, chosen at the first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_BEHIND = {
    "flash_attn_varlen_func": "attention_lab.flash.route",
    "flash_route": "attention_lab.flash.route",
}


def __getattr__(name: str) -> Any:
    # at the first use and not at import: whoever imports a neighbour wakes no GPU and draws nothing
    if name in _BEHIND:
        return getattr(importlib.import_module(_BEHIND[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
