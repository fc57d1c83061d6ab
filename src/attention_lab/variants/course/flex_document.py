"""12: flex, document. A mask written as a function of two places."""

from attention_lab.variants.variant import Option, Variant

VARIANT = Variant(
    number=12,
    name="flex_document",
    title="Flex document attention",
    kernel="flex",
    inputs="documents",
    rules=("causal", "window", "sequences"),
    options=(Option("window", toy=None, drawn=(1, 4, 40), default=None, narrow=2),),
)
