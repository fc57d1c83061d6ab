"""Answers to 10: attention with a cache of keys and values."""

from __future__ import annotations

from corpus.answer import Answer, Mutation, right_answers

VARIANT = "cached_decode"

HEAD = "    batch, new, hidden_dim = q.shape\n"
PLACE = "place = torch.arange(max_len, device=q.device)"
USED = "used = place < cache_seqlens[:, None]"
KEYS = "keys = k_cache.masked_fill(~used[:, :, None, None], 0.0).transpose(1, 2)"
VALUES = "values = v_cache.masked_fill(~used[:, :, None, None], 0.0).transpose(1, 2)"
STANDS = "stands = cache_seqlens[:, None] - new + torch.arange(new, device=q.device)"
ALLOWED = "allowed = place <= stands[:, :, None]"
CALL = "F.scaled_dot_product_attention(q, keys, values, attn_mask=allowed[:, None], enable_gqa=True)"
MERGE = "output.transpose(1, 2).reshape(batch, new, hidden_dim)"
BASE = f"""
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
{HEAD}    max_len = k_cache.shape[1]
    q = q.reshape(batch, new, num_heads, head_dim).transpose(1, 2)
    {PLACE}
    {USED}
    {KEYS}
    {VALUES}
    {STANDS}
    {ALLOWED}
    output = {CALL}
    return {MERGE}
"""

RIGHT = {
    "broadcast": ("the plain way: one table for all, unused places filled with zeros", BASE),
    "loop-over-items": (
        "each item by itself, its cache cut to its tokens",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, hidden_dim = q.shape
    rows = []
    for item, length in enumerate(cache_seqlens.tolist()):
        heads = q[item].view(new, num_heads, head_dim).transpose(0, 1) if q.is_contiguous() else q[item].reshape(new, num_heads, head_dim).transpose(0, 1)
        keys, values = (x[item, :length].transpose(0, 1) for x in (k_cache, v_cache))
        keys, values = (x.repeat_interleave(num_heads // num_kv_heads, dim=0) for x in (keys, values))
        seen = torch.ones(new, length, dtype=torch.bool, device=q.device).tril(diagonal=length - new)
        rows.append(F.scaled_dot_product_attention(heads, keys, values, attn_mask=seen).transpose(0, 1).flatten(1))
    return torch.stack(rows)
""",
    ),
    "loop-over-queries": (
        "one query at a time, which sees all of a shorter cache: no mask at all",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    result = torch.empty_like(q)
    new = q.shape[1]
    for b in range(q.shape[0]):
        for t in range(new):
            end = int(cache_seqlens[b]) - new + t + 1
            query = q[b, t].reshape(1, num_heads, 1, head_dim)
            keys = k_cache[b : b + 1, :end].permute(0, 2, 1, 3)
            values = v_cache[b : b + 1, :end].permute(0, 2, 1, 3)
            result[b, t] = F.scaled_dot_product_attention(query, keys, values, enable_gqa=True).flatten()
    return result
""",
    ),
    "where-and-repeat-interleave": (
        "torch.where for the caches, and a key head for each query head",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    b, t, _ = q.shape
    n = k_cache.size(1)
    group = num_heads // num_kv_heads
    positions = torch.arange(n, device=q.device).view(1, 1, 1, n)
    last = (cache_seqlens.view(b, 1) - t + torch.arange(t, device=q.device)).view(b, 1, t, 1)
    holds = torch.arange(n, device=q.device).view(1, n, 1, 1) < cache_seqlens.view(b, 1, 1, 1)
    zero = torch.zeros((), dtype=q.dtype, device=q.device)
    k = torch.where(holds, k_cache, zero).permute(0, 2, 1, 3).repeat_interleave(group, dim=1)
    v = torch.where(holds, v_cache, zero).permute(0, 2, 1, 3).repeat_interleave(group, dim=1)
    q = q.view(b, t, num_heads, head_dim).permute(0, 2, 1, 3) if q.is_contiguous() else q.unflatten(2, (num_heads, head_dim)).permute(0, 2, 1, 3)
    mask = (positions <= last).expand(b, num_heads, t, n)
    return F.scaled_dot_product_attention(query=q, key=k, value=v, attn_mask=mask).permute(0, 2, 1, 3).flatten(2)
""",
    ),
    "bias-of-minus-infinity": (
        "a float bias",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, hidden_dim = q.shape
    max_len = k_cache.shape[1]
    column = torch.arange(max_len, device=q.device)[None, None, None, :]
    row = torch.arange(new, device=q.device)[None, None, :, None]
    hidden = column > row + (cache_seqlens - new)[:, None, None, None]
    bias = torch.zeros(batch, 1, new, max_len, dtype=q.dtype, device=q.device).masked_fill(hidden, float("-inf"))
    free = (torch.arange(max_len, device=q.device) >= cache_seqlens[:, None])[..., None, None]
    k, v = (x.clone().masked_fill_(free, 0).transpose(1, 2) for x in (k_cache, v_cache))
    q = q.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, bias, enable_gqa=True).transpose(1, 2).flatten(-2)
""",
    ),
    "nan-to-num": (
        "times zero, and what became NaN by that is made zero again",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, _ = q.shape
    place = torch.arange(k_cache.shape[1], device=q.device)
    used = place[None, :] < cache_seqlens[:, None]
    times = used[:, :, None, None].to(q.dtype)
    k, v = (torch.nan_to_num(x * times).transpose(1, 2) for x in (k_cache, v_cache))
    steps = torch.arange(new, 0, -1, device=q.device)
    allowed = place[None, None, :] <= cache_seqlens[:, None, None] - steps[None, :, None]
    heads = q.reshape(batch, new, num_heads, head_dim).transpose(1, 2)
    output = F.scaled_dot_product_attention(heads, k, v, attn_mask=allowed.unsqueeze(1), enable_gqa=True)
    return output.transpose(1, 2).reshape(q.shape)
""",
    ),
    "groups-as-an-axis": (
        "five axes: query heads of a group side by side, key heads expanded",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, _ = q.shape
    group, max_len = num_heads // num_kv_heads, k_cache.shape[1]
    q5 = q.reshape(batch, new, num_kv_heads, group, head_dim).permute(0, 2, 3, 1, 4)
    place = torch.arange(max_len, device=q.device)
    used = (place < cache_seqlens[:, None])[:, :, None, None]
    k5, v5 = (
        x.masked_fill(~used, 0).transpose(1, 2)[:, :, None].expand(batch, num_kv_heads, group, max_len, head_dim)
        for x in (k_cache, v_cache)
    )
    ends = cache_seqlens[:, None] - torch.arange(new - 1, -1, -1, device=q.device)
    seen = place < ends[:, None, None, :, None]
    output = F.scaled_dot_product_attention(q5, k5, v5, attn_mask=seen)
    return output.permute(0, 3, 1, 2, 4).reshape(batch, new, num_heads * head_dim)
""",
    ),
    "loop-over-key-heads": (
        "one key head after the other, with its group",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, _ = q.shape
    group = num_heads // num_kv_heads
    heads = q.unflatten(2, (num_heads, head_dim))
    place = torch.arange(k_cache.shape[1], device=q.device)
    end = cache_seqlens.long()[:, None] - new + 1 + torch.arange(new, device=q.device)[None]
    seen = place[None, None, :] < end[:, :, None]
    free = place[None, :, None] >= cache_seqlens[:, None, None]
    outputs = []
    for h in range(num_kv_heads):
        k, v = k_cache[:, :, h].masked_fill(free, 0), v_cache[:, :, h].masked_fill(free, 0)
        for g in range(h * group, (h + 1) * group):
            outputs.append(F.scaled_dot_product_attention(heads[:, :, g], k, v, attn_mask=seen))
    return torch.cat(outputs, dim=-1)
""",
    ),
    "einops": (
        "einops for all shapes",
        """
from einops import rearrange, repeat

def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    group = num_heads // num_kv_heads
    places = torch.arange(k_cache.shape[1], device=q.device)
    full = rearrange(places, "n -> 1 n 1 1") < rearrange(cache_seqlens, "b -> b 1 1 1")
    k = repeat(torch.where(full, k_cache, 0), "b n h d -> b (h g) n d", g=group)
    v = repeat(torch.where(full, v_cache, 0), "b n h d -> b (h g) n d", g=group)
    stand = rearrange(cache_seqlens, "b -> b 1") - q.shape[1] + torch.arange(q.shape[1], device=q.device)
    seen = rearrange(places, "n -> 1 1 1 n") <= rearrange(stand, "b t -> b 1 t 1")
    out = F.scaled_dot_product_attention(rearrange(q, "b t (h d) -> b h t d", h=num_heads), k, v, attn_mask=seen)
    return rearrange(out, "b h t d -> b t (h d)")
""",
    ),
    "lower-right-bias": (
        "PyTorch's own bias for a triangle that ends at the last key",
        """
from torch.nn.attention.bias import causal_lower_right

def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, hidden_dim = q.shape
    group, outputs = num_heads // num_kv_heads, []
    for b in range(batch):
        length = cache_seqlens[b].item()
        heads = q[b : b + 1].reshape(1, new, num_heads, head_dim).transpose(1, 2)
        k = k_cache[b : b + 1, :length].transpose(1, 2).repeat_interleave(group, 1)
        v = v_cache[b : b + 1, :length].transpose(1, 2).repeat_interleave(group, 1)
        if new == 1:
            out = F.scaled_dot_product_attention(heads, k, v)
        elif new == length:
            out = F.scaled_dot_product_attention(heads, k, v, is_causal=True)
        else:
            out = F.scaled_dot_product_attention(heads, k, v, attn_mask=causal_lower_right(new, length)._materialize(q.device))
        outputs.append(out.transpose(1, 2).reshape(1, new, hidden_dim))
    return torch.cat(outputs)
""",
    ),
    "cut-to-the-longest": (
        "caches are cut to the longest item first; index assignment on a copy",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    lengths = cache_seqlens.tolist()
    longest, new = max(lengths), q.size(1)
    k, v = k_cache[:, :longest].clone(), v_cache[:, :longest].clone()
    mask = torch.zeros(len(lengths), 1, new, longest, dtype=torch.bool, device=q.device)
    for b, length in enumerate(lengths):
        k[b, length:] = 0
        v[b, length:] = 0
        for t in range(new):
            mask[b, :, t, : length - new + t + 1] = True
    out = F.scaled_dot_product_attention(
        q.reshape(*q.shape[:2], num_heads, head_dim).transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=mask,
        enable_gqa=num_heads != num_kv_heads,
    )
    return out.transpose(1, 2).flatten(2)
""",
    ),
    "rolled-to-the-end": (
        "each cache is rolled until its last token stands at the last place",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, hidden_dim = q.shape
    max_len = k_cache.shape[1]
    shift = max_len - cache_seqlens.long()
    column = torch.arange(max_len, device=q.device)
    source = (column[None] - shift[:, None]) % max_len
    index = source[:, :, None, None].expand_as(k_cache)
    real = column[None] >= shift[:, None]
    k, v = (x.gather(1, index).masked_fill(~real[..., None, None], 0) for x in (k_cache, v_cache))
    triangle = torch.ones(new, max_len, dtype=torch.bool, device=q.device).tril(max_len - new)
    allowed = triangle[None] & real[:, None]
    heads = q.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)
    output = F.scaled_dot_product_attention(heads, k.mT.mT.transpose(1, 2), v.transpose(1, 2), attn_mask=allowed[:, None], enable_gqa=True)
    return output.transpose(1, 2).reshape(batch, new, hidden_dim)
""",
    ),
    "helper-class": (
        "a class with one method for each step",
        """
class Decoder:
    def __init__(self, num_heads, num_kv_heads, head_dim):
        self.num_heads, self.group, self.head_dim = num_heads, num_heads // num_kv_heads, head_dim

    def heads(self, x):
        return x.reshape(*x.shape[:2], -1, self.head_dim).transpose(1, 2)

    def tidy(self, cache, lengths):
        unused = torch.arange(cache.shape[1], device=cache.device).ge(lengths.unsqueeze(1))
        tidy = cache.masked_fill(unused.unsqueeze(-1).unsqueeze(-1), 0.0)
        return tidy.transpose(1, 2).repeat_interleave(self.group, dim=1)

    def allowed(self, new, max_len, lengths):
        keys = torch.arange(max_len, device=lengths.device)
        queries = torch.arange(new, device=lengths.device)
        return (lengths[:, None, None] - new + queries[:, None] - keys).ge(0).unsqueeze(1)

    def __call__(self, q, k_cache, v_cache, lengths):
        mask = self.allowed(q.shape[1], k_cache.shape[1], lengths)
        kernel = torch.nn.functional.scaled_dot_product_attention
        out = kernel(self.heads(q), self.tidy(k_cache, lengths), self.tidy(v_cache, lengths), attn_mask=mask)
        return out.transpose(1, 2).reshape(q.shape)

def NAME(q: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, cache_seqlens: torch.Tensor, num_heads: int, num_kv_heads: int, head_dim: int) -> torch.Tensor:
    return Decoder(num_heads, num_kv_heads, head_dim)(q, k_cache, v_cache, cache_seqlens)
""",
    ),
    "a-call-for-each-length": (
        "items of one length go through the kernel together",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    output, new = torch.zeros_like(q), q.shape[1]
    for length in cache_seqlens.unique().tolist():
        rows = (cache_seqlens == length).nonzero().squeeze(1)
        heads = q[rows].unflatten(2, (num_heads, head_dim)).transpose(1, 2)
        k, v = (x[rows][:, :length].transpose(1, 2) for x in (k_cache, v_cache))
        seen = torch.ones(new, length, dtype=torch.bool, device=q.device).triu(length - new + 1).logical_not()
        output[rows] = F.scaled_dot_product_attention(heads, k, v, seen, enable_gqa=True).transpose(1, 2).flatten(2)
    return output
""",
    ),
    "float32-inside": (
        "computes in fp32 and converts back; fp64 stays",
        """
def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    dtype = q.dtype
    inner = torch.promote_types(dtype, torch.float32)
    place = torch.arange(k_cache.shape[1], device=q.device, dtype=torch.int32)
    used = (place < cache_seqlens[:, None])[..., None, None]
    k, v = (torch.where(used, x, x.new_zeros(())).to(inner).movedim(1, 2) for x in (k_cache, v_cache))
    new = q.shape[1]
    offset = torch.arange(new, device=q.device, dtype=torch.int32) - new
    allowed = place <= (cache_seqlens[:, None] + offset)[..., None]
    heads = q.to(inner).unflatten(-1, (num_heads, head_dim)).movedim(1, 2)
    out = F.scaled_dot_product_attention(heads, k, v, attn_mask=allowed[:, None], scale=head_dim**-0.5, enable_gqa=True)
    return out.movedim(1, 2).flatten(2).to(dtype)
""",
    ),
    "by-alias": (
        "the kernel under another of its names, keys and values by boolean products of the mask",
        """
from torch._C._nn import scaled_dot_product_attention as sdpa

def NAME(q, k_cache, v_cache, cache_seqlens, num_heads, num_kv_heads, head_dim):
    batch, new, _ = q.shape
    steps = torch.arange(k_cache.shape[1], device=q.device).expand(batch, -1)
    valid = steps.lt(cache_seqlens.unsqueeze(-1))
    causal = steps.unsqueeze(1).lt((cache_seqlens.unsqueeze(-1) - torch.arange(new, device=q.device).flip(0)).unsqueeze(-1))
    mask = torch.logical_and(valid.unsqueeze(1), causal).unsqueeze(1)
    clean = [torch.where(valid[:, :, None, None], cache, torch.zeros_like(cache)) for cache in (k_cache, v_cache)]
    keys, values = (cache.transpose(1, 2).repeat_interleave(num_heads // num_kv_heads, 1) for cache in clean)
    return sdpa(q.unflatten(-1, (-1, head_dim)).transpose(1, 2), keys, values, attn_mask=mask).transpose(1, 2).flatten(-2)
""",
    ),
}


def _allowed(text: str) -> list[tuple[str, str]]:
    return [(ALLOWED, f"allowed = {text}")]


def _raw(*which: str) -> list[tuple[str, str]]:
    """Caches as they lie, unused places and all."""
    lines = {"k": (KEYS, "keys = k_cache.transpose(1, 2)"), "v": (VALUES, "values = v_cache.transpose(1, 2)")}
    return [lines[name] for name in which]


def _called(options: str) -> list[tuple[str, str]]:
    return [("attn_mask=allowed[:, None], enable_gqa=True", options)]


def _returns(text: str) -> list[tuple[str, str]]:
    return [(f"return {MERGE}", f"return {text}")]


def _lengths(text: str) -> list[tuple[str, str]]:
    """Something else in the place of all lengths."""
    return [(HEAD, f"{HEAD}    cache_seqlens = {text}\n")]


GROUPED = "\n    keys, values = (x.{} for x in (keys, values))"
OWN = (
    "(q @ keys.repeat_interleave(num_heads // num_kv_heads, 1).mT / math.sqrt(head_dim))"
    '.masked_fill(~allowed[:, None], float("-inf")).softmax(-1) @ values.repeat_interleave(num_heads // num_kv_heads, 1)'
)

WRONG = (
    Mutation(
        "is-causal",
        "causal",
        "is_causal=True, whose triangle begins at the first key",
        _called("is_causal=True, enable_gqa=True"),
        "ivm",
        "ck",
        "causal-top-left",
    ),
    Mutation(
        "query-number-as-place",
        "causal",
        "query t stands at place t",
        [(STANDS, "stands = torch.arange(new, device=q.device).expand(batch, new)")],
        "ivm",
        "ck",
        "causal-top-left",
    ),
    Mutation(
        "is-causal-for-several",
        "causal",
        "no mask for one new token, is_causal for several",
        _called("is_causal=new > 1, enable_gqa=True"),
        "ivm",
        "ck",
        "causal-top-left",
    ),
    Mutation(
        "no-mask",
        "unused",
        "every query sees all of the cache",
        [*_raw("k", "v"), *_called("enable_gqa=True")],
        "ivmr",
        "ck",
        "unused-seen",
    ),
    Mutation(
        "zeros-seen",
        "unused",
        "no mask, and zeros in the unused places",
        _called("enable_gqa=True"),
        "ivmr",
        "ck",
        "unused-zeroed",
    ),
    Mutation(
        "mask-of-used-places",
        "causal",
        "every new token sees all tokens, later new ones too",
        _allowed("used[:, None].expand(batch, new, max_len)"),
        "ivm",
        "ck",
        "causal-missing",
    ),
    Mutation(
        "last-place-for-all",
        "causal",
        "all new tokens stand at the last one's place",
        [(STANDS, "stands = (cache_seqlens[:, None] - 1).expand(batch, new)")],
        "ivm",
        "ck",
        "causal-missing",
    ),
    Mutation(
        "end-of-cache",
        "causal",
        "the triangle ends at the cache's last place",
        [(STANDS, "stands = (max_len - new + torch.arange(new, device=q.device)).expand(batch, new)"), *_raw("k", "v")],
        "imr",
        "cvk",
        "causal-end-of-cache",
    ),
    Mutation(
        "end-of-cache-used",
        "causal",
        "the same, and only used places",
        [
            (STANDS, "stands = (max_len - new + torch.arange(new, device=q.device)).expand(batch, new)"),
            *_allowed("(place <= stands[:, :, None]) & used[:, None]"),
        ],
        "im",
        "cvk",
        "causal-end-of-cache",
    ),
    Mutation(
        "first-length",
        "lengths",
        "the first item's length for all",
        _lengths("cache_seqlens[:1].expand(batch)"),
        "m",
        "cvk",
        "one-length-for-all",
    ),
    Mutation(
        "longest-length",
        "lengths",
        "the longest for all",
        _lengths("cache_seqlens.max().expand(batch)"),
        "im",
        "cvk",
        "one-length-for-all",
    ),
    Mutation(
        "shortest-length",
        "lengths",
        "the shortest for all",
        _lengths("cache_seqlens.min().expand(batch)"),
        "m",
        "cvk",
        "one-length-for-all",
    ),
    Mutation(
        "cache-full",
        "lengths",
        "every cache is taken to be full",
        _lengths("torch.full_like(cache_seqlens, max_len)".replace("max_len", "k_cache.shape[1]")),
        "imr",
        "cvk",
        "causal-end-of-cache",
    ),
    Mutation(
        "new-counted-twice",
        "lengths",
        "the new tokens are added to the lengths",
        [(STANDS, "stands = cache_seqlens[:, None] + torch.arange(new, device=q.device)")],
        "ivm",
        "ck",
        "new-tokens-counted-twice",
    ),
    Mutation(
        "new-counted-twice-raw",
        "lengths",
        "the same, with the caches as they lie",
        [(STANDS, "stands = cache_seqlens[:, None] + torch.arange(new, device=q.device)"), *_raw("k", "v")],
        "ivmr",
        "ck",
        "new-tokens-counted-twice",
    ),
    Mutation(
        "causal-strict",
        "causal",
        "a token does not see itself",
        _allowed("place < stands[:, :, None]"),
        "vm",
        "ck",
        "causal-strict",
    ),
    Mutation(
        "one-ahead",
        "causal",
        "one token too many",
        _allowed("place <= stands[:, :, None] + 1"),
        "ivm",
        "ck",
        "causal-one-ahead",
    ),
    Mutation(
        "transposed",
        "causal",
        "later tokens instead of earlier ones",
        _allowed("(place >= stands[:, :, None]) & used[:, None]"),
        "ivm",
        "ck",
        "causal-transposed",
    ),
    Mutation(
        "past-forgotten",
        "causal",
        "new tokens see new tokens alone",
        _allowed("(place <= stands[:, :, None]) & (place >= cache_seqlens[:, None, None] - new)"),
        "ivm",
        "ck",
        "past-forgotten",
    ),
    Mutation(
        "values-as-they-lie",
        "nan",
        "0 times NaN in the last product",
        _raw("v"),
        "r",
        "civmk",
        "unused-not-finite",
    ),
    Mutation("keys-as-they-lie", "nan", "NaN in a masked score", _raw("k"), "r", "civmk", "unused-not-finite"),
    Mutation("caches-as-they-lie", "nan", "both as they lie", _raw("k", "v"), "r", "civmk", "unused-not-finite"),
    Mutation(
        "times-zero",
        "nan",
        "unused places are multiplied by zero",
        [
            ("k_cache.masked_fill(~used[:, :, None, None], 0.0)", "(k_cache * used[:, :, None, None])"),
            ("v_cache.masked_fill(~used[:, :, None, None], 0.0)", "(v_cache * used[:, :, None, None])"),
        ],
        "r",
        "civmk",
        "unused-not-finite",
    ),
    Mutation(
        "nan-to-num-at-the-end",
        "nan",
        "NaN in the output becomes 0",
        [*_raw("k", "v"), *_returns(f"torch.nan_to_num({MERGE})")],
        "r",
        "civmk",
    ),
    Mutation(
        "cleaned-in-place",
        "mutation",
        "zeros are written into the caches",
        [
            (KEYS, "k_cache[~used] = 0\n    keys = k_cache.transpose(1, 2)"),
            (VALUES, "v_cache[~used] = 0\n    values = v_cache.transpose(1, 2)"),
        ],
        "ir",
        "cvmk",
        "inputs-modified",
    ),
    Mutation(
        "lengths-in-place",
        "mutation",
        "cache_seqlens is modified",
        [(STANDS, "cache_seqlens -= new\n    stands = cache_seqlens[:, None] + torch.arange(new, device=q.device)")],
        "ir",
        "cvmk",
        "inputs-modified",
    ),
    Mutation(
        "bias-100",
        "constant",
        "a bias of -100",
        [
            (
                ALLOWED,
                f"{ALLOWED}\n    bias = torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill(~allowed, -100.0)",
            ),
            *_called("attn_mask=bias[:, None], enable_gqa=True"),
        ],
        "m",
        "cvk",
        "mask-constant-too-small",
    ),
    Mutation(
        "bias-1e9-raw",
        "constant",
        "a bias of -1e9, and the caches as they lie",
        [
            (
                ALLOWED,
                f"{ALLOWED}\n    bias = torch.zeros(allowed.shape, dtype=torch.float32, device=q.device).masked_fill(~allowed, -1e9).to(q.dtype)",
            ),
            *_called("attn_mask=bias[:, None], enable_gqa=True"),
            *_raw("k", "v"),
        ],
        "mr",
        "cvk",
        "mask-constant-too-small",
    ),
    Mutation(
        "heads-repeated",
        "groups",
        "repeat in the place of repeat_interleave",
        [(VALUES, VALUES + GROUPED.format("repeat(1, num_heads // num_kv_heads, 1, 1)"))],
        "vm",
        "ck",
        "key-heads-in-turn",
    ),
    Mutation(
        "one-key-head",
        "groups",
        "the first key head serves all",
        [(VALUES, VALUES + GROUPED.format("narrow(1, 0, 1)"))],
        "vm",
        "c",
        "one-key-head",
    ),
    Mutation(
        "no-groups",
        "groups",
        "the kernel is not told that heads share keys",
        _called("attn_mask=allowed[:, None]"),
        "civmr",
        "",
        "key-heads-ignored",
    ),
    Mutation(
        "caches-viewed",
        "layout",
        "the caches' heads are cut across tokens",
        [
            (KEYS, KEYS.replace("transpose(1, 2)", "reshape(batch, num_kv_heads, max_len, head_dim)")),
            (VALUES, VALUES.replace("transpose(1, 2)", "reshape(batch, num_kv_heads, max_len, head_dim)")),
        ],
        "vm",
        "ck",
        "heads-viewed-without-transpose",
    ),
    Mutation(
        "queries-viewed",
        "layout",
        "the queries' heads are cut across tokens",
        [("q.reshape(batch, new, num_heads, head_dim).transpose(1, 2)", "q.reshape(batch, num_heads, new, head_dim)")],
        "vm",
        "ck",
    ),
    Mutation(
        "heads-not-transposed-back",
        "layout",
        "merged as they lie",
        _returns("output.reshape(batch, new, hidden_dim)"),
        "vm",
        "ck",
        "heads-not-transposed-back",
    ),
    Mutation("not-merged", "return", "heads stay apart", _returns("output"), "civmr", "", "heads-not-merged"),
    Mutation("returns-tuple", "return", "a tuple", _returns(f"{MERGE}, None"), "civmrk", "", "returns-too-much"),
    Mutation(
        "kv-swapped",
        "swap",
        "keys and values swapped",
        [("(q, keys, values,", "(q, values, keys,")],
        "vm",
        "ck",
        "kv-swapped",
    ),
    Mutation(
        "keys-as-values",
        "swap",
        "the keys are mixed",
        [("(q, keys, values,", "(q, keys, keys,")],
        "ivm",
        "ck",
        "operands-confused",
    ),
    Mutation(
        "missing-scale",
        "scale",
        "scale=1",
        [("enable_gqa=True)", "enable_gqa=True, scale=1.0)")],
        "vm",
        "ck",
        "missing-scale",
    ),
    Mutation(
        "scaled-twice",
        "scale",
        "the queries are scaled before the kernel does it",
        [("head_dim).transpose(1, 2)\n    place", "head_dim).transpose(1, 2) / math.sqrt(head_dim)\n    place")],
        "vm",
        "ck",
        "scale-twice",
    ),
    Mutation(
        "mean-of-values",
        "constant",
        "all weights alike",
        [("enable_gqa=True)", "enable_gqa=True, scale=1e-9)")],
        "ivm",
        "c",
        "mean-of-values",
    ),
    Mutation(
        "returns-q",
        "constant",
        "q itself",
        _returns("q.transpose(1, 2).reshape(batch, new, hidden_dim)"),
        "ivmk",
        "c",
        "kernel-unused, returns-input",
    ),
    Mutation(
        "always-float32", "dtype", "float32 comes back", _returns(f"{MERGE}.float()"), "cr", "vmk", "dtype-changed"
    ),
    Mutation(
        "half-inside",
        "dtype",
        "computes in fp16",
        [
            (
                CALL,
                "F.scaled_dot_product_attention(q.half(), keys.half(), values.half(), attn_mask=allowed[:, None], enable_gqa=True).to(q.dtype)",
            )
        ],
        "vm",
        "ck",
        "precision-lost",
    ),
    Mutation(
        "device-cpu",
        "device",
        "places are counted on the CPU",
        [(PLACE, "place = torch.arange(max_len)")],
        "cr",
        "ivmk",
        "device-hard-coded",
    ),
    Mutation(
        "fixed-room",
        "sizes",
        "a cache of 10 places, as in the toy inputs",
        [("max_len = k_cache.shape[1]", "max_len = 10")],
        "vm",
        "ci",
        "sizes-hard-coded",
    ),
    Mutation(
        "room-for-512",
        "sizes",
        "no more than 512 places",
        [("max_len = k_cache.shape[1]", "max_len = k_cache.shape[1]\n    assert max_len <= 512")],
        "vm",
        "cirk",
        "sizes-hard-coded",
    ),
    Mutation(
        "table-cached",
        "memory",
        "the first table of a shape is used again",
        [
            ("def NAME", "_seen = {}\n\n\ndef NAME"),
            (ALLOWED, "allowed = _seen.setdefault((batch, new, max_len, q.device), place <= stands[:, :, None])"),
        ],
        "mr",
        "k",
    ),
    Mutation(
        "dropout",
        "dropout",
        "dropout_p=0.1",
        [("enable_gqa=True)", "enable_gqa=True, dropout_p=0.1)")],
        "vm",
        "c",
        "random-output",
    ),
    Mutation("eager", "kernel", "computes by itself", [(CALL, OWN)], "k", "civmr", "kernel-not-called"),
    Mutation(
        "decoy",
        "kernel",
        "calls the kernel, and throws its result away",
        [(CALL, f"{CALL}\n    output = {OWN}")],
        "k",
        "civmr",
        "kernel-unused",
    ),
    Mutation(
        "eager-for-one",
        "kernel",
        "computes one new token by itself",
        [(CALL, f"{CALL} if new > 1 else {OWN}")],
        "k",
        "civmr",
        "kernel-not-called",
    ),
    Mutation(
        "arguments-renamed",
        "call",
        "k and v in the signature",
        [("NAME(q, k_cache, v_cache,", "NAME(q, k, v,"), (HEAD, f"{HEAD}    k_cache, v_cache = k, v\n")],
        "civmr",
        "",
        "signature-changed",
    ),
)


def answers() -> list[Answer]:
    """All answers to the notebook."""
    base = BASE.replace("NAME", f"{VARIANT}_attention")
    wrong = [mutation.filled(NAME=f"{VARIANT}_attention").of(VARIANT, base) for mutation in WRONG]
    return [*right_answers(VARIANT, RIGHT), *wrong]
