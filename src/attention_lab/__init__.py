"""The learner kit of the course "Attention, six ways": toy inputs, attention maps, heatmaps and visible checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attention_lab.doors import opens
from attention_lab.environment.packages import MissingPackage, missing_package, require
from attention_lab.environment.welcome import welcome
from attention_lab.variants import VARIANTS, Variant, get_variant

if TYPE_CHECKING:
    from attention_lab.caches import CachedBatch, cached_batch
    from attention_lab.checks.case import CheckFailed
    from attention_lab.checks.run import check
    from attention_lab.flash import flash_route
    from attention_lab.inputs import (
        SENTENCES,
        PackedBatch,
        PaddedBatch,
        pack,
        packed_batch,
        padded_batch,
        unpack,
    )
    from attention_lab.maps.attention_map import attention_map
    from attention_lab.maps.heatmaps import attention_heatmap, mask_heatmap
    from attention_lab.maps.key_heads import key_head_heatmap
    from attention_lab.notebook.hand_in import check_hand_in
    from attention_lab.notebook.judge_all import judge_all
    from attention_lab.real_heads import real_batch

__version__ = "0.1.0"

__all__ = [
    "SENTENCES",
    "VARIANTS",
    "CachedBatch",
    "CheckFailed",
    "MissingPackage",
    "PackedBatch",
    "PaddedBatch",
    "Variant",
    "attention_heatmap",
    "attention_map",
    "cached_batch",
    "check",
    "check_hand_in",
    "flash_route",
    "get_variant",
    "judge_all",
    "key_head_heatmap",
    "mask_heatmap",
    "pack",
    "packed_batch",
    "padded_batch",
    "real_batch",
    "unpack",
    "welcome",
]

# Each is imported when it is first asked for: torch and matplotlib take seconds, and where they are missing, the kit
# still says what to do about it
_find = opens(
    __name__,
    **dict.fromkeys(
        (
            "SENTENCES",
            "PackedBatch",
            "PaddedBatch",
            "pack",
            "packed_batch",
            "padded_batch",
            "unpack",
        ),
        "inputs",
    ),
    **dict.fromkeys(("attention_heatmap", "mask_heatmap"), "maps.heatmaps"),
    **dict.fromkeys(("CachedBatch", "cached_batch"), "caches"),
    CheckFailed="checks.case",
    attention_map="maps.attention_map",
    check="checks.run",
    check_hand_in="notebook.hand_in",
    flash_route="flash",
    judge_all="notebook.judge_all",
    key_head_heatmap="maps.key_heads",
    real_batch="real_heads",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        require("torch")
    try:
        return _find(name)
    except ImportError as error:
        if (error.name or "").startswith(__name__):
            raise
        raise missing_package("matplotlib", error) from error
