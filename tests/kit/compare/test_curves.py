"""The curves' looks: one for each function, by its variant."""

from __future__ import annotations

from attention_lab.compare.curves import look
from attention_lab.variants import VARIANTS


def test_no_two_functions_look_the_same():
    looks = {tuple(look(name)[part] for part in ("color", "marker", "ls")) for name in VARIANTS}
    assert len(looks) == len(VARIANTS)


def test_causal_ones_are_dashed_whatever_their_names():
    assert {name for name in VARIANTS if look(name)["ls"] == "--"} == {
        variant.name for variant in VARIANTS.values() if variant.causal
    }
