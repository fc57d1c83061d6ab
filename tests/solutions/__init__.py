"""A corpus of right and wrong answers, which proves the judge by mutation testing."""

from __future__ import annotations

from solutions import eager, flash, sdpa
from solutions.answer import Answer

CORPUS: list[Answer] = [*eager.answers(), *sdpa.answers(), *flash.answers()]

__all__ = ["CORPUS", "Answer"]
