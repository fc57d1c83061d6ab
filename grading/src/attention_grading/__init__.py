"""Reference, hidden cases, judge and grading pipeline of the course "Attention, six ways".

``from attention_grading import judge`` is what a hidden cell says. The package itself imports nothing else, so that
the worker, which runs learners' code, has neither the reference nor the judge in its memory.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["judge"]


def __getattr__(name: str) -> Any:
    if name == "judge":
        from attention_grading.judging.in_kernel import judge

        return judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
