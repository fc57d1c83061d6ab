"""05: flash, bidirectional."""

from attention_lab.variants.variant import Variant

VARIANT = Variant(
    number=5,
    name="flash_bidirectional",
    title="Flash bidirectional attention",
    kernel="flash",
    inputs="packed",
    rules=("sequences",),
)
