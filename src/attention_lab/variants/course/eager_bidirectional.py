"""01: Eager, bidirectional."""

from attention_lab.variants.variant import Variant

VARIANT = Variant(
    number=1,
    name="eager_bidirectional",
    title="Eager bidirectional attention",
    kernel="eager",
    inputs="padded",
    rules=("padding",),
)
