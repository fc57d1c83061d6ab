"""What FlexAttention's refusals say of a mistake: of a mask function, of axes, and of a block mask's size."""

from __future__ import annotations

import re
from typing import Any

_TEXTS: tuple[tuple[str, str], ...] = (
    ("control-flow-on-tensors", r"data-dependent control flow|vmap: It looks like you're calling \.item"),
    ("mask-function-arguments", r"4 or 5 positional args|requires a mask_mod function"),
    ("batch-axis-missing", r"query, key, and value must be 4D"),
)


def of_refusal(arguments: dict[str, Any], text: str) -> str | None:
    """The mistake's name by an exception's text, or ``None``."""
    tokens = arguments["q"].shape[0]
    beyond = re.search(r"out of bounds for dimension 0 with size (\d+)", text)
    if beyond is not None and int(beyond[1]) == tokens:
        return "block-mask-size"  # the mask function looks labels up beyond the last token
    asked = re.search(r"block_mask was created for .*? but got q_len=(\d+)", text)
    if asked is not None:
        heads_last = int(asked[1]) == arguments["num_heads"] != tokens
        return "heads-after-tokens" if heads_last else "block-mask-size"
    return next((name for name, pattern in _TEXTS if re.search(pattern, text)), None)
