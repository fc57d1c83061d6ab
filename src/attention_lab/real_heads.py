"""A second batch for the maps: queries, keys and values of trained heads on two short sentences.

Recorded by ``benchmarks/record_heads.py``: bidirectional ones from the sentence encoder all-MiniLM-L6-v2 (Apache-2.0),
causal ones from the kit's own tiny model that repeats (``models/causal.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attention_lab.caches import Batch, CachedBatch, cached_batch
from attention_lab.inputs import PAD, Padding, packed_batch, padded_batch, unpack
from attention_lab.variants import Variant, get_variant

# A word that is said again looks at what followed it the first time, four tokens back: the far end of such a window
REACHING = {"window": 5}

RECORDED = Path(str(files("attention_lab"))) / "data" / "heads.npz"


def real_batch(
    variant: str | Variant,
    padding: Padding | None = None,
    device: torch.device | str | None = None,
    **options: int | None,
) -> Batch:
    """Queries, keys and values of trained heads on two short sentences.

    Args:
        variant: Whose kind of batch it is to be: padded or cached in fp32, or packed in fp16, bidirectional or causal.
        padding: As in ``padded_batch``, for padded ones; by default on the left for causal variants, else on the right.
        device: Where the tensors live; the CPU by default.
        options: Further arguments of the function, such as ``window=4``.

    Returns:
        A batch of two sentences. At padding q, k and v are 0.
    """
    variant = get_variant(variant)
    with np.load(RECORDED, allow_pickle=False) as data:
        of_kind = {name.partition(".")[2]: data[name] for name in data.files if name.startswith(_kind(variant))}
    words, lengths, num_heads = of_kind["tokens"].tolist(), of_kind["lengths"].tolist(), int(of_kind["num_heads"])
    q, k, v = (torch.from_numpy(of_kind[name]) for name in "qkv")  # each [total_tokens, hidden_dim]
    head_dim = q.shape[1] // num_heads
    ends = np.cumsum(lengths).tolist()
    sentences = [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    options = {option.name: option.toy for option in variant.options} | {
        name: value for name, value in (REACHING | options).items() if name in variant.parameters
    }
    if variant.grouped:
        options["num_kv_heads"] = num_heads  # these models have a key head for each
    if variant.packed:
        packed = packed_batch(sentences, inputs=variant.inputs, num_heads=num_heads, head_dim=head_dim, device=device)
        q, k, v = (x.to(device) for x in (q, k, v))
        return replace(packed, q=q, k=k, v=v, options=options)
    if variant.cached:
        cached = cached_batch(sentences, num_heads=num_heads, num_kv_heads=num_heads, head_dim=head_dim)
        return _with_recorded(cached, (q, k, v), lengths, device)
    where = padding or ("left" if variant.causal else "right")
    padded = padded_batch(sentences, num_heads=num_heads, head_dim=head_dim, padding=where)
    mask = torch.tensor([[token != PAD for token in row] for row in padded.tokens])
    q, k, v = (unpack(x, mask).float().to(device) for x in (q, k, v))
    return replace(padded, q=q, k=k, v=v, mask=mask.to(device), options=options)


def _with_recorded(
    batch: CachedBatch, qkv: tuple[Tensor, ...], lengths: Sequence[int], device: torch.device | str | None
) -> CachedBatch:
    """Recorded keys and values in the cache, and the last queries; unused places keep what lies there."""
    q, k, v = (x.float().split(lengths) for x in qkv)
    k_cache, v_cache = batch.k_cache.to(device, copy=True), batch.v_cache.to(device, copy=True)
    for cache, recorded in ((k_cache, k), (v_cache, v)):
        for item, tokens in enumerate(recorded):
            cache[item, : len(tokens)] = tokens.unflatten(-1, (batch.num_kv_heads, batch.head_dim))
    queries = torch.stack([tokens[-batch.new :] for tokens in q]).to(device)
    return replace(batch, q=queries, k_cache=k_cache, v_cache=v_cache, cache_seqlens=batch.cache_seqlens.to(device))


def _kind(variant: Variant) -> str:
    return "causal." if variant.causal else "bidirectional."
