"""08: grouped queries, causal. Several query heads share one key head, as in today's models."""

from attention_lab.variants.variant import Option, Variant

VARIANT = Variant(
    number=8,
    name="grouped_causal",
    title="Grouped causal attention",
    kernel="sdpa",
    inputs="padded",
    rules=("causal", "padding"),
    # of 6 heads: one key head for all (MQA), groups of 3 and of 2 (GQA), and a key head for each (MHA)
    options=(Option("num_kv_heads", toy=3, drawn=(1, 2, 3, 6), before="head_dim"),),
)
