"""An exercise that is not graded: one new token per sequence against all tokens of its sequence.

It knows no answer: the last row of causal attention over a whole sequence is what its newest token gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from attention_lab.checks.calls import Call, perform_on
from attention_lab.checks.require import Told, require_alike, require_result
from attention_lab.checks.run import checked_on
from attention_lab.checks.toy import drawn_arguments
from attention_lab.variants import get_variant

VARIANT = "flash_causal"

# In the last, the new token has long texts behind it: a triangle that begins at the first key shows at once
_LENGTHS = {
    "one new token per sequence": (3, 6, 1, 5),
    "nothing but new tokens": (1, 1, 1),
    "long sequences": (70, 9, 130),
}
_TOLD = Told(
    "is not the last row of your function",
    "as in the last row of the whole sequence",
    "the borders and the longest lengths: which belong to the queries, and which to the keys?",
)


def check_decoding(decode: Callable[..., Any], attention: Callable[..., Any]) -> None:
    """Compare ``decode`` with the last rows of causal attention; print a line for each case that passes.

    Args:
        decode: Takes the arguments of ``attention``, but ``q`` holds one token per sequence: ``[batch, hidden_dim]``.
        attention: The learner's ``flash_causal_attention``.

    Raises:
        CheckFailed: One of the two is wrong; three lines say what, how far off, and where to look.
    """
    variant = get_variant(VARIANT)
    device = checked_on(variant)
    for seed, (name, lengths) in enumerate(_LENGTHS.items()):
        whole = Call(drawn_arguments(variant, seed, lengths))
        rows = require_result(name, whole, perform_on(device, attention, whole))
        newest = whole.arguments["cu_seqlens"][1:].long() - 1
        call = Call(whole.arguments | {"q": whole.arguments["q"][newest]})
        output = require_result(name, call, perform_on(device, decode, call))
        require_alike(name, call, output, rows[newest], torch.ones(len(lengths), 1, dtype=torch.bool), _TOLD)
        print(f"passed: {name}")
