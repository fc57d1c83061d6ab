"""09: flash, causal, within a sliding window."""

from attention_lab.variants.variant import Option, Variant

VARIANT = Variant(
    number=9,
    name="window_causal",
    title="Sliding window attention",
    kernel="flash",
    inputs="packed",
    # a key of another sequence is that first of all, and a later one of one's own comes later, however far
    rules=("causal", "window", "sequences"),
    # hidden cases ask besides for one key less than a sequence has, as many, and one more
    options=(Option("window", toy=2, drawn=(1, 2, 5, 10, 90)),),
)
