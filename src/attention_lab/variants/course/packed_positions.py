"""11: packed, causal, told by positions. One row of documents, as training frameworks give it."""

from attention_lab.variants.variant import Variant

VARIANT = Variant(
    number=11,
    name="packed_positions",
    title="Packed attention from positions",
    kernel="flash",
    inputs="positions",
    rules=("causal", "sequences"),
)
