"""04: SDPA, causal."""

from attention_lab.variants.variant import Variant

VARIANT = Variant(
    number=4,
    name="sdpa_causal",
    title="SDPA causal attention",
    kernel="sdpa",
    inputs="padded",
    rules=("causal", "padding"),
)
