"""06: flash, causal."""

from attention_lab.variants.variant import Variant

VARIANT = Variant(
    number=6,
    name="flash_causal",
    title="Flash causal attention",
    kernel="flash",
    inputs="packed",
    rules=("causal", "sequences"),
)
