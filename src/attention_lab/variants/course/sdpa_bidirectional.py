"""03: SDPA, bidirectional."""

from attention_lab.variants.variant import Variant

VARIANT = Variant(
    number=3,
    name="sdpa_bidirectional",
    title="SDPA bidirectional attention",
    kernel="sdpa",
    inputs="padded",
    rules=("padding",),
)
