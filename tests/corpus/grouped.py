"""Answers to 08: query heads that share key heads, by ``F.scaled_dot_product_attention``."""

from __future__ import annotations

from corpus import sdpa
from corpus.answer import Answer, Mutation, right_answers
from corpus.symptoms import SYMPTOMS

VARIANT = "grouped_causal"
DEFINED = "def NAME(q, k, v, num_heads, num_kv_heads, head_dim, mask=None):\n"
SPLIT = """    q = q.view(batch, seq, num_heads, head_dim).transpose(1, 2)
    k = k.view(batch, seq, num_kv_heads, head_dim).transpose(1, 2)
    v = v.view(batch, seq, num_kv_heads, head_dim).transpose(1, 2)
"""
ALLOWED = """    allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    allowed = allowed | ~allowed.any(dim=-1, keepdim=True)
"""
START = f"{DEFINED}    batch, seq, hidden_dim = q.shape\n{SPLIT}{ALLOWED}"
KERNEL = "F.scaled_dot_product_attention"
GQA = ", enable_gqa=True"
CALL = f"{KERNEL}(q, k, v, attn_mask=allowed{GQA})"
MERGE = "    return output.transpose(1, 2).reshape(batch, seq, hidden_dim)\n"
BASE = f"\n{START}    output = {CALL}\n{MERGE}"


def _calls(lines: str) -> str:
    """A right answer up to the kernel's call, which these lines make."""
    return f"\n{START}    group = num_heads // num_kv_heads\n{lines}{MERGE}"


FIVE_AXES = _calls(
    """    q = q.unflatten(1, (num_kv_heads, group))
    k, v = (x.unsqueeze(2).expand(-1, -1, group, -1, -1) for x in (k, v))
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed.expand(batch, 1, seq, seq)[:, :, None])
    output = output.flatten(1, 2)
"""
)
BY_HEAD = _calls(
    """    outputs = []
    for head in range(num_heads):
        mine = slice(head // group, head // group + 1)
        outputs.append(F.scaled_dot_product_attention(q[:, head : head + 1], k[:, mine], v[:, mine], attn_mask=allowed))
    output = torch.cat(outputs, dim=1)
"""
)
STACKED = _calls(
    """    q = q.reshape(batch, num_kv_heads, group * seq, head_dim)
    allowed = allowed.expand(batch, 1, seq, seq).repeat(1, 1, group, 1)
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).reshape(batch, num_heads, seq, head_dim)
"""
)
COPIED = _calls(
    """    k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
"""
)

RIGHT = {
    "enable-gqa": ("one table, and the kernel shares the keys", BASE),
    "two-calls": (
        "is_causal without a mask, a table with one",
        f"""
{DEFINED}    batch, seq, hidden_dim = q.shape
{SPLIT}    if mask is None:
        output = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    else:
        allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril() & mask[:, None, None, :]
        allowed = allowed | ~allowed.any(-1, keepdim=True)
        output = {CALL}
{MERGE}""",
    ),
    "five-axes": ("key heads and groups are axes of their own; an expanded view copies nothing", FIVE_AXES),
    "five-axes-broadcast": (
        "the same, with an axis of size 1 that the kernel broadcasts",
        FIVE_AXES.replace(".expand(-1, -1, group, -1, -1)", ""),
    ),
    "loop-over-key-heads": (
        "one call for each group, with an expanded view of its keys",
        _calls(
            """    outputs = []
    for queries, keys, values in zip(q.split(group, 1), k.split(1, 1), v.split(1, 1)):
        keys, values = (x.expand(-1, group, -1, -1) for x in (keys, values))
        outputs.append(F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed))
    output = torch.cat(outputs, dim=1)
"""
        ),
    ),
    "loop-over-heads": ("one call for each query head, with a slice of its keys", BY_HEAD),
    "stacked-queries": ("a group's heads lie one after the other along the queries", STACKED),
    "stacked-by-token": (
        "a token's queries of one group lie side by side along the queries",
        _calls(
            """    q = q.unflatten(1, (num_kv_heads, group)).transpose(2, 3).flatten(2, 3)
    allowed = allowed.expand(batch, 1, seq, seq).repeat_interleave(group, dim=2)
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    output = output.unflatten(2, (seq, group)).transpose(2, 3).flatten(1, 2)
"""
        ),
    ),
    "groups-as-items": (
        "each group is an item of the batch",
        _calls(
            """    q = q.reshape(batch * num_kv_heads, group, seq, head_dim)
    k, v = (x.reshape(-1, 1, seq, head_dim).expand(-1, group, -1, -1) for x in (k, v))
    allowed = allowed.expand(batch, 1, seq, seq).repeat_interleave(num_kv_heads, dim=0)
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).reshape(batch, num_heads, seq, head_dim)
"""
        ),
    ),
    "loop-over-items": (
        "one call a sequence",
        f"""
{DEFINED}    outputs = []
    for item in range(len(q)):
        seq = q.shape[1]
        queries = q[item].reshape(1, seq, num_heads, head_dim).transpose(1, 2)
        keys, values = (x[item].reshape(1, seq, num_kv_heads, head_dim).transpose(1, 2) for x in (k, v))
        allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()
        if mask is not None:
            allowed = allowed & mask[item]
        allowed = allowed | ~allowed.any(-1, keepdim=True)
        output = F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed, enable_gqa=True)
        outputs.append(output.transpose(1, 2).reshape(seq, -1))
    return torch.stack(outputs)
""",
    ),
    "only-real-tokens": (
        "one call a sequence, on its real tokens alone; padding rows stay zero",
        f"""
{DEFINED}    if mask is None:
        mask = torch.ones(q.shape[:2], dtype=torch.bool, device=q.device)
    output = torch.zeros_like(q)
    for item, real in enumerate(mask):
        places = real.nonzero().squeeze(1)
        if len(places):
            queries = q[item, places].unflatten(1, (num_heads, head_dim)).transpose(0, 1)[None]
            keys, values = (x[item, places].unflatten(1, (num_kv_heads, head_dim)).transpose(0, 1)[None] for x in (k, v))
            result = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
            output[item, places] = result[0].transpose(0, 1).flatten(1)
    return output + 0 * (q + k.sum(-1, keepdim=True) + v.sum(-1, keepdim=True))
""",
    ),
    "float-bias": (
        "a float bias of 0 and a large negative number",
        BASE.replace(
            "    output = ",
            "    bias = torch.zeros(allowed.shape, dtype=q.dtype, device=q.device)\n"
            "    allowed = bias.masked_fill(~allowed, torch.finfo(q.dtype).min / 2)\n    output = ",
        ),
    ),
    "float32-inside": (
        "computes in float32 and converts back",
        BASE.replace(SPLIT, f"    dtype, q, k, v = q.dtype, q.float(), k.float(), v.float()\n{SPLIT}").replace(
            "hidden_dim)\n", "hidden_dim).to(dtype)\n"
        ),
    ),
    "by-keyword": (
        "everything by keyword, and contiguous",
        f"""
{DEFINED}    batch, seq, hidden_dim = q.shape
    query = q.reshape(batch, seq, num_heads, head_dim).permute(0, 2, 1, 3).contiguous()
    key, value = (x.reshape(batch, seq, num_kv_heads, head_dim).permute(0, 2, 1, 3).contiguous() for x in (k, v))
    place = torch.arange(seq, device=q.device)
    table = (place[None, :] <= place[:, None]).expand(batch, num_heads, seq, seq).clone()
    if mask is not None:
        table &= mask.view(batch, 1, 1, seq)
        table |= ~table.any(-1, keepdim=True)
    output = F.scaled_dot_product_attention(
        query=query, key=key, value=value, attn_mask=table, dropout_p=0.0, scale=head_dim**-0.5, enable_gqa=True
    )
    return output.permute(0, 2, 1, 3).contiguous().view(batch, seq, hidden_dim)
""",
    ),
    "einops": (
        "rearrange names the axes",
        f"""
from einops import rearrange, repeat


{DEFINED}    seq, group = q.shape[1], num_heads // num_kv_heads
    q = rearrange(q, "b s (k g d) -> b k g s d", k=num_kv_heads, g=group)
    k, v = (rearrange(x, "b s (k d) -> b k 1 s d", k=num_kv_heads).expand_as(q) for x in (k, v))
    allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & rearrange(mask, "b s -> b 1 1 1 s")
        allowed = allowed | ~allowed.any(-1, keepdim=True)
    return rearrange(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed), "b k g s d -> b s (k g d)")
""",
    ),
    "vmap-over-key-heads": (
        "torch.vmap over the key heads",
        _calls(
            """    q = q.unflatten(1, (num_kv_heads, group))
    k, v = (x.unsqueeze(2).expand_as(q) for x in (k, v))
    allowed = allowed.expand(batch, 1, seq, seq)
    output = torch.vmap(F.scaled_dot_product_attention, in_dims=(1, 1, 1, None), out_dims=1)(q, k, v, allowed)
    output = output.flatten(1, 2)
"""
        ),
    ),
    "alias-aten": (
        "as an ATen operator",
        BASE.replace("F.scaled_dot_product_attention", "torch.ops.aten.scaled_dot_product_attention"),
    ),
    "key-of-zeros": (
        "rows that would see no key see one of zeros, which is added in front",
        f"""
{DEFINED}    batch, seq, hidden_dim = q.shape
{SPLIT}    allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril().expand(batch, 1, seq, seq)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
        k, v = (F.pad(x, (0, 0, 1, 0)) for x in (k, v))
        allowed = torch.cat([~allowed.any(-1, keepdim=True), allowed], dim=-1)
    output = {CALL}
{MERGE}""",
    ),
    "bare-mask": (
        "rows without keys are left to the kernel, which gives zeros for a bool mask in current PyTorch",
        BASE.replace("    allowed = allowed | ~allowed.any(dim=-1, keepdim=True)\n", ""),
    ),
}

# ---- wrong ones ------------------------------------------------------------------------------------------------------

Changes = list[tuple[str, str]]


def _w(
    base: str, name: str, kind: str, reason: str, changes: Changes, loses: str, keeps: str, diagnosis: str | None = None
) -> Answer:
    function = f"{VARIANT}_attention"
    mutation = Mutation(name, kind, reason, changes, loses, keeps, diagnosis).filled(NAME=function)
    return mutation.of(VARIANT, base.replace("NAME", function))


IN_TURN = "key-heads-in-turn"
SHARE = "    k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))\n"
MINE = "slice(head // group, head // group + 1)"
VIEWED = "view(batch, seq, num_kv_heads, head_dim).transpose(1, 2)"
KEYS = "    k, v = (x.NEW for x in (k, v))\n    output = "


def _keys(new: str) -> Changes:
    """Keys and values are replaced before the kernel is called."""
    return [("    output = ", KEYS.replace("NEW", new))]


GROUPING = (
    _w(
        COPIED,
        "repeat",
        "grouping",
        "repeat instead of repeat_interleave: key heads 0, 1, 0, 1, ...",
        [("x.repeat_interleave(group, dim=1)", "x.repeat(1, group, 1, 1)")],
        "vmrk",
        "ci",
        f"{IN_TURN}, keys-copied",
    ),
    _w(
        BY_HEAD,
        "head-modulo-key-heads",
        "grouping",
        "each query head takes the next key head",
        [(MINE, "slice(head % num_kv_heads, head % num_kv_heads + 1)")],
        "vmr",
        "cik",
        IN_TURN,
    ),
    _w(
        FIVE_AXES,
        "groups-outside",
        "grouping",
        "num_heads is split as (group, num_kv_heads)",
        [
            ("(num_kv_heads, group))\n", "(group, num_kv_heads))\n"),
            ("x.unsqueeze(2).expand(-1, -1, group, -1, -1)", "x.unsqueeze(1).expand(-1, group, -1, -1, -1)"),
        ],
        "vmr",
        "cik",
        IN_TURN,
    ),
    _w(
        BY_HEAD,
        "values-in-turn",
        "grouping",
        "the keys are shared rightly, the values in turn",
        [("v[:, mine]", "v[:, head % num_kv_heads :][:, :1]")],
        "vmr",
        "cik",
        IN_TURN,
    ),
    _w(
        BY_HEAD,
        "keys-in-turn",
        "grouping",
        "the values are shared rightly, the keys in turn",
        [("k[:, mine]", "k[:, head % num_kv_heads :][:, :1]")],
        "vmr",
        "cik",
        IN_TURN,
    ),
    _w(
        BY_HEAD,
        "divided-by-key-heads",
        "grouping",
        "head // num_kv_heads, and no further than the last",
        [
            ("    outputs = []\n", "    outputs, group = [], num_kv_heads\n"),
            (MINE, "slice(min(head // group, num_kv_heads - 1), min(head // group, num_kv_heads - 1) + 1)"),
        ],
        "vmr",
        "cik",
        "group-size-confused",
    ),
    _w(
        BY_HEAD,
        "divided-by-key-heads-without-end",
        "crash",
        "head // num_kv_heads, which may be no key head at all",
        [(MINE, "[head // num_kv_heads]")],
        "cvmr",
        "",
        "group-size-confused",
    ),
    _w(
        BASE,
        "first-key-head-for-all",
        "grouping",
        "all query heads use the first key head",
        [("    output = ", "    k, v = k[:, :1], v[:, :1]\n    output = ")],
        "vmr",
        "cik",
        "one-key-head",
    ),
    _w(
        BASE,
        "mean-of-key-heads",
        "grouping",
        "the key heads are averaged into one",
        _keys("mean(1, keepdim=True)"),
        "vmrk",
        "ci",
        "kernel-not-called, key-heads-averaged",
    ),
    _w(BASE, "key-heads-reversed", "grouping", "the last key head comes first", _keys("flip(1)"), "vmr", "cik"),
    _w(
        STACKED,
        "merged-by-group",
        "grouping",
        "heads come out as (group, num_kv_heads)",
        [
            (
                "    return output.transpose(1, 2)",
                "    output = output.unflatten(1, (num_kv_heads, group)).transpose(1, 2).flatten(1, 2)\n"
                "    return output.transpose(1, 2)",
            )
        ],
        "vmr",
        "ck",
        "heads-merged-in-turn",
    ),
    _w(
        BASE,
        "k-cut-into-num-heads",
        "crash",
        "k and v are cut into num_heads heads",
        [(f"{x} = {x}.{VIEWED}", f"{x} = {x}.{VIEWED.replace('num_kv_heads', 'num_heads')}") for x in "kv"],
        "civmr",
        "",
        "key-heads-ignored",
    ),
    _w(
        BASE,
        "k-cut-thinner",
        "crash",
        "k and v are cut into num_heads heads of a smaller size",
        [
            (f"{x} = {x}.{VIEWED}", f"{x} = {x}.{VIEWED.replace('num_kv_heads, head_dim', 'num_heads, -1')}")
            for x in "kv"
        ],
        "civmr",
        "",
        "key-heads-ignored",
    ),
    _w(
        BASE,
        "k-cut-shorter",
        "crash",
        "k and v are cut into num_heads heads, and into fewer tokens",
        [(f"{x} = {x}.{VIEWED}", f"{x} = {x}.reshape(batch, -1, num_heads, head_dim).transpose(1, 2)") for x in "kv"],
        "civmr",
        "",
        "key-heads-ignored",
    ),
    _w(BASE, "gqa-not-asked", "crash", "enable_gqa is left away", [(GQA, "")], "civmr", "", "key-heads-ignored"),
    _w(
        BASE,
        "group-of-two",
        "sizes",
        "each key head serves two query heads, whatever the sizes",
        [(GQA, ""), *_keys("repeat_interleave(2, dim=1)")],
        "civmrk",
        "",
        "keys-copied, sizes-hard-coded",
    ),
    _w(
        BASE,
        "three-key-heads",
        "sizes",
        "three key heads, as in the toy inputs",
        [(SPLIT, f"    num_kv_heads = 3\n{SPLIT}")],
        "vm",
        "ci",
        "sizes-hard-coded",
    ),
    _w(
        BASE,
        "head-dim-from-key-heads",
        "crash",
        "head_dim is hidden_dim // num_kv_heads",
        [(SPLIT, f"    head_dim = hidden_dim // num_kv_heads\n{SPLIT}")],
        "civmr",
        "",
        "key-heads-ignored",
    ),
)

# ---- the keys are copied: the numbers are right ----------------------------------------------------------------------

COPIES = (
    _w(COPIED, "copied", "memory", "repeat_interleave", [], "k", "civmr", "keys-copied"),
    _w(
        COPIED,
        "copied-by-reshape",
        "memory",
        "an expanded view, which reshape has to copy",
        [
            (
                "x.repeat_interleave(group, dim=1)",
                "x.unsqueeze(2).expand(-1, -1, group, -1, -1).reshape(batch, num_heads, seq, head_dim)",
            )
        ],
        "k",
        "civmr",
        "keys-copied",
    ),
    _w(
        COPIED,
        "copied-by-index",
        "memory",
        "each query head picks its key head",
        [("x.repeat_interleave(group, dim=1)", "x[:, torch.arange(num_heads, device=q.device) // group]")],
        "k",
        "civmr",
        "keys-copied",
    ),
    _w(
        BASE,
        "keys-copied-alone",
        "memory",
        "the values are shared, the keys copied",
        [("    output = ", "    k = k.repeat_interleave(num_heads // num_kv_heads, dim=1)\n    output = ")],
        "k",
        "civmr",
        "keys-copied",
    ),
    _w(
        BASE,
        "copied-for-long",
        "memory",
        "copies for more than 16 tokens",
        [
            (
                "    output = ",
                "    if seq > 16:\n"
                "        k, v = (x.repeat_interleave(num_heads // num_kv_heads, dim=1) for x in (k, v))\n"
                "    output = ",
            )
        ],
        "k",
        "civmr",
        "keys-copied",
    ),
    _w(
        BASE,
        "copied-for-gradients",
        "memory",
        "copies where gradients are wanted",
        [
            (
                "    output = ",
                "    if k.requires_grad:\n"
                "        k, v = (x.repeat_interleave(num_heads // num_kv_heads, dim=1) for x in (k, v))\n"
                "    output = ",
            )
        ],
        "k",
        "civmr",
        "keys-copied",
    ),
    _w(
        BASE,
        "copied-with-mask",
        "memory",
        "copies where a mask is given",
        [
            (
                "    output = ",
                "    if mask is not None:\n"
                "        k, v = (x.repeat_interleave(num_heads // num_kv_heads, dim=1) for x in (k, v))\n"
                "    output = ",
            )
        ],
        "k",
        "civmr",
        "keys-copied",
    ),
)

# ---- triangles and masks of stacked queries --------------------------------------------------------------------------

STACKING = (
    _w(
        STACKED,
        "stacked-is-causal",
        "causal",
        "is_causal on stacked queries: only the first head of a group is causal",
        [
            (
                "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)",
                "(F.scaled_dot_product_attention(q, k, v, is_causal=True) if mask is None else\n"
                "              F.scaled_dot_product_attention(q, k, v, attn_mask=allowed))",
            )
        ],
        "ivr",
        "cmk",
    ),
    _w(
        STACKED,
        "stacked-mask-by-token",
        "mask",
        "the table of stacked queries is in another order",
        [(".repeat(1, 1, group, 1)", ".repeat_interleave(group, dim=2)")],
        "ivmr",
        "ck",
    ),
)

# ---- gradients -------------------------------------------------------------------------------------------------------

GRADIENTS = (
    _w(
        BY_HEAD,
        "gradient-of-first-head",
        "gradient",
        "only the first head of a group sends a gradient to its keys",
        [
            ("    outputs = []\n", "    outputs, keys, values = [], k, v\n"),
            (
                "        outputs.append(",
                "        k, v = (x.detach() if head % group else x for x in (keys, values))\n        outputs.append(",
            ),
        ],
        "r",
        "civmk",
        "gradient-bent",
    ),
    _w(
        BASE,
        "gradient-averaged",
        "gradient",
        "the gradients of k and v are the mean over the group instead of the sum",
        [
            (
                "    output = ",
                "    group = num_heads // num_kv_heads\n"
                + KEYS.replace("x.NEW", "x / group + (x - x / group).detach()"),
            )
        ],
        "r",
        "civmk",
        "gradient-bent",
    ),
    _w(BASE, "keys-detached", "gradient", "no gradient to k and v", _keys("detach()"), "r", "civmk", "gradient-cut"),
)

# ---- as in 03 and 04 -------------------------------------------------------------------------------------------------

OWN = "(q @ k.mT / math.sqrt(head_dim)).masked_fill(~allowed, torch.finfo(q.dtype).min).softmax(-1) @ v"
COPY = "k, v = (x.repeat_interleave(num_heads // num_kv_heads, dim=1) for x in (k, v))"
BIAS = "torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill(~allowed, LOW)"
GIVEN = "attn_mask=allowed"

OTHERS = (
    _w(
        BASE,
        "heads-interleaved",
        "layout",
        "(head_dim, num_heads), for all three",
        [
            (
                f"{x} = {x}.view(batch, seq, {heads}, head_dim).transpose(1, 2)",
                f"{x} = {x}.reshape(batch, seq, head_dim, {heads}).permute(0, 3, 1, 2)",
            )
            for x, heads in (("q", "num_heads"), ("k", "num_kv_heads"), ("v", "num_kv_heads"))
        ],
        "vm",
        "ck",
        "heads-interleaved",
    ),
    _w(
        BASE,
        "heads-viewed",
        "layout",
        "heads cut across tokens",
        [
            (
                f"{x} = {x}.view(batch, seq, {heads}, head_dim).transpose(1, 2)",
                f"{x} = {x}.reshape(batch, {heads}, seq, head_dim)",
            )
            for x, heads in (("q", "num_heads"), ("k", "num_kv_heads"), ("v", "num_kv_heads"))
        ],
        "vm",
        "ck",
        "heads-viewed-without-transpose",
    ),
    _w(
        BY_HEAD,
        "qk-swapped",
        "swap",
        "keys ask, queries answer",
        [("(q[:, head : head + 1], k[:, mine], v", "(k[:, mine], q[:, head : head + 1], v")],
        "vm",
        "ck",
        "qk-swapped",
    ),
    _w(
        BY_HEAD,
        "kv-swapped",
        "swap",
        "keys and values swapped",
        [("k[:, mine], v[:, mine]", "v[:, mine], k[:, mine]")],
        "vm",
        "ck",
        "kv-swapped",
    ),
    _w(
        BASE,
        "constant-10",
        "constant",
        "a bias of -10",
        [(GIVEN, f"attn_mask={BIAS.replace('LOW', '-10.0')}")],
        "m",
        "ck",
        "mask-constant-too-small",
    ),
    _w(
        BASE,
        "constant-100",
        "constant",
        "a bias of -100",
        [(GIVEN, f"attn_mask={BIAS.replace('LOW', '-100.0')}")],
        "m",
        "cik",
        "mask-constant-too-small",
    ),
    _w(
        BASE,
        "eager",
        "kernel",
        "computes by itself",
        [("    output = ", f"    {COPY}\n    output = "), (CALL, OWN)],
        "k",
        "civmr",
        "kernel-not-called",
    ),
    _w(
        BASE,
        "decoy",
        "kernel",
        "calls the kernel, and throws its result away",
        [(CALL, f"{CALL}\n    {COPY}\n    output = {OWN}")],
        "k",
        "civmr",
        "kernel-unused",
    ),
    _w(
        BASE,
        "returns-values",
        "constant",
        "the values themselves, one for each head",
        [(CALL, f"{CALL}\n    output = v.repeat_interleave(num_heads // num_kv_heads, dim=1)")],
        "ivmk",
        "c",
        "kernel-unused, returns-values",
    ),
    _w(
        BASE,
        "key-heads-kept",
        "sizes",
        "the group of the first call is used again",
        [
            (DEFINED, f"_first = {{}}\n\n\n{DEFINED}"),
            (SPLIT, f"    num_kv_heads = _first.setdefault('key heads', num_kv_heads)\n{SPLIT}"),
        ],
        "vmr",
        "",
        "sizes-hard-coded",
    ),
    _w(
        BASE,
        "arguments-in-another-order",
        "call",
        "head_dim stands before num_kv_heads",
        [("num_kv_heads, head_dim, mask=None", "head_dim, num_kv_heads, mask=None")],
        "c",
        "",
    ),
    _w(
        BASE,
        "key-heads-last",
        "call",
        "num_kv_heads has a default, and stands last",
        [("num_kv_heads, head_dim, mask=None", "head_dim, mask=None, num_kv_heads=None")],
        "c",
        "",
    ),
)

# Mistakes of 03 and 04 that are the same here, by their names there
AS_BEFORE = (
    "scale-one",
    "scale-hidden-dim",
    "scale-twice",
    "scale-multiplied",
    "mask-inverted",
    "mask-ignored",
    "mask-as-float",
    "mask-first-item",
    "mask-without-heads-axis",
    "mask-as-right-padding",
    "values-zeroed",
    "mask-none-crashes",
    "heads-not-transposed-back",
    "not-merged",
    "keys-as-values",
    "always-float32",
    "device-cpu",
    "returns-nothing",
    "mean-of-values",
    "q-in-place",
    "rows-made-nan",
    "output-cached",
    "mask-cached",
    "wrong-beyond-64",
    "mask-on-queries",
    "mask-with-is-causal",
    "is-causal-alone",
    "causal-missing",
    "causal-strict",
    "causal-dropped-with-mask",
    "causal-or-mask",
)


# ... but for what they keep: of so many heads one may have scores so large that a key does not matter
KEEPS = {"scale-one": "ck"}


def _shared(text: str) -> str:
    """A change of the older notebooks, with the keys shared by the kernel."""
    text = text.replace("attn_mask=allowed", f"attn_mask=allowed{GQA}")
    return text.replace("(q, k, v, is_causal=True", f"(q, k, v{GQA}, is_causal=True")


def _as_before() -> list[Answer]:
    known = {mutation.name: mutation for mutation in (*sdpa.COMMON, *sdpa.CAUSAL)}
    return [
        _w(
            BASE,
            name,
            known[name].kind,
            known[name].reason,
            [(_shared(old), _shared(new)) for old, new in known[name].changes],
            known[name].loses,
            KEEPS.get(name, known[name].keeps),
            SYMPTOMS["sdpa"].get(name, known[name].diagnosis),
        )
        for name in AS_BEFORE
    ]


def answers() -> list[Answer]:
    """All of them."""
    return [*right_answers(VARIANT, RIGHT), *GROUPING, *COPIES, *STACKING, *GRADIENTS, *OTHERS, *_as_before()]
