"""The judge's own ceiling on memory."""

from __future__ import annotations

import pytest
import torch

from attention_grading.sandbox.limits import memory_ceiling


def test_memory_ceiling_holds_and_is_taken_away_again():
    with memory_ceiling(2**28):
        with pytest.raises(RuntimeError):
            torch.empty(2**29, dtype=torch.uint8)
        torch.empty(2**26, dtype=torch.uint8)
    torch.empty(2**29, dtype=torch.uint8)
