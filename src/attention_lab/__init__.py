"""The learner kit of the course "Attention, six ways": toy inputs, attention maps, heatmaps and visible checks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from attention_lab.environment.packages import MissingPackage, missing_package
from attention_lab.environment.welcome import welcome
from attention_lab.variants import VARIANTS, Variant, get_variant

# without torch, the kit still says what to do about it: `attention-lab doctor`, and __getattr__ below
try:
    import torch  # noqa: F401
except ImportError as error:
    _NO_TORCH: ImportError | None = error
else:
    _NO_TORCH = None
    from attention_lab.checks.case import CheckFailed
    from attention_lab.checks.run import check
    from attention_lab.flash import flash_route
    from attention_lab.inputs import SENTENCES, PackedBatch, PaddedBatch, pack, packed_batch, padded_batch, unpack
    from attention_lab.maps.attention_map import attention_map
    from attention_lab.notebook.hand_in import check_hand_in

if TYPE_CHECKING:
    from attention_lab.maps.heatmaps import attention_heatmap, mask_heatmap

__version__ = "0.1.0"

__all__ = [
    "SENTENCES",
    "VARIANTS",
    "CheckFailed",
    "MissingPackage",
    "PackedBatch",
    "PaddedBatch",
    "Variant",
    "attention_heatmap",
    "attention_map",
    "check",
    "check_hand_in",
    "flash_route",
    "get_variant",
    "mask_heatmap",
    "pack",
    "packed_batch",
    "padded_batch",
    "unpack",
    "welcome",
]

# matplotlib costs a second to import; whoever draws nothing does not pay for it
_LAZY = {"attention_heatmap": "attention_lab.maps.heatmaps", "mask_heatmap": "attention_lab.maps.heatmaps"}


def __getattr__(name: str) -> Any:
    if _NO_TORCH is not None and name in __all__:
        raise missing_package("torch", _NO_TORCH) from _NO_TORCH
    if name in _LAZY:
        try:
            module = importlib.import_module(_LAZY[name])
        except ImportError as error:
            if (error.name or "").startswith(__name__):
                raise
            raise missing_package("matplotlib", error) from error
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
