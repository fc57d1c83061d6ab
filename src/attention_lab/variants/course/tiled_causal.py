"""07: tiled, causal. The online softmax: what the kernel of 05 and 06 does."""

from attention_lab.variants.variant import Option, Variant

VARIANT = Variant(
    number=7,
    name="tiled_causal",
    title="Tiled causal attention",
    kernel="tiled",
    inputs="padded",
    rules=("causal", "padding"),
    # of 6 tokens in tiles of 4 the second tile holds two, in which most rows see nothing
    options=(Option("block_size", toy=4, drawn=(1, 2, 3, 5, 64, 100), default=64, matters=False),),
)
