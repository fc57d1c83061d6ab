"""The learner kit of the course "Attention, six ways": toy inputs, attention maps, heatmaps and visible checks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from attention_lab.attention_map import attention_map
from attention_lab.checks import CheckFailed, check
from attention_lab.flash import flash_route
from attention_lab.inputs import SENTENCES, PackedBatch, PaddedBatch, pack, packed_batch, padded_batch, unpack
from attention_lab.variants import VARIANTS, Variant, get_variant

if TYPE_CHECKING:
    from attention_lab.heatmaps import attention_heatmap, mask_heatmap

__version__ = "0.1.0"

__all__ = [
    "SENTENCES",
    "VARIANTS",
    "CheckFailed",
    "PackedBatch",
    "PaddedBatch",
    "Variant",
    "attention_heatmap",
    "attention_map",
    "check",
    "flash_route",
    "get_variant",
    "mask_heatmap",
    "pack",
    "packed_batch",
    "padded_batch",
    "unpack",
]

# matplotlib costs a second to import; whoever draws nothing does not pay for it
_LAZY = {"attention_heatmap": "attention_lab.heatmaps", "mask_heatmap": "attention_lab.heatmaps"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
