"""10: SDPA on a cache of keys and values. What a model does for each word that it writes."""

from attention_lab.variants.variant import Option, Variant

VARIANT = Variant(
    number=10,
    name="cached_decode",
    title="Cached decoding",
    kernel="sdpa",
    inputs="cached",
    rules=("causal", "unused"),
    options=(Option("num_kv_heads", toy=3, drawn=(1, 2, 3, 6), before="head_dim"),),
)
