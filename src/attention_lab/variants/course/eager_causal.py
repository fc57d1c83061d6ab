"""02: Eager, causal."""

from attention_lab.variants.variant import Variant

VARIANT = Variant(
    number=2,
    name="eager_causal",
    title="Eager causal attention",
    kernel="eager",
    inputs="padded",
    rules=("causal", "padding"),
)
