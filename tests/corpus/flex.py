"""Answers to 12: FlexAttention over documents, optionally within a window."""

from __future__ import annotations

from corpus.answer import Answer, Mutation, right_answers

VARIANT = "flex_document"

SPLIT = "    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(0, 1)[None] for x in (q, k, v))\n"
BASE = f"""
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    tokens = q.shape[0]
{SPLIT}
    def mask_mod(b, h, q_idx, kv_idx):
        seen = (kv_idx <= q_idx) & (document_ids[q_idx] == document_ids[kv_idx])
        if window is not None:
            seen = seen & (q_idx - kv_idx < window)
        return seen

    block_mask = create_block_mask(mask_mod, None, None, tokens, tokens, device=q.device)
    output = flex_attention(q, k, v, block_mask=block_mask)
    return output[0].transpose(0, 1).flatten(1)
"""

RIGHT = {
    "closure": ("the plain way: one mask function that knows labels and window", BASE),
    "b-and-h-given": (
        "a block mask for each head, positional arguments, reshape and permute",
        """
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    total, hidden = q.shape
    q, k, v = (x.reshape(1, total, num_heads, head_dim).permute(0, 2, 1, 3) for x in (q, k, v))
    reach = total if window is None else window

    def seen(batch, head, query, key):
        return (query >= key) & (query < key + reach) & (document_ids[query] == document_ids[key])

    blocks = create_block_mask(seen, 1, num_heads, total, total, q.device)
    return flex_attention(q, k, v, None, blocks).permute(0, 2, 1, 3).reshape(total, hidden)
""",
    ),
    "and-masks": (
        "small mask functions, put together by and_masks",
        """
from torch.nn.attention.flex_attention import and_masks

def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    def causal(b, h, i, j):
        return i >= j

    def document(b, h, i, j):
        return document_ids[i] == document_ids[j]

    def near(b, h, i, j):
        return i - j < window

    masks = [causal, document] if window is None else [causal, document, near]
    n = len(q)
    block_mask = create_block_mask(and_masks(*masks), B=None, H=None, Q_LEN=n, KV_LEN=n, device=q.device)
    heads = [x.view(n, num_heads, head_dim).transpose(0, 1).unsqueeze(0) for x in (q, k, v)]
    return flex_attention(*heads, block_mask=block_mask).squeeze(0).transpose(0, 1).reshape(n, -1)
""",
    ),
    "own-scale": (
        "the queries are scaled before, and the kernel with scale=1",
        """
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    def split(x):
        return x.unflatten(-1, (num_heads, head_dim)).movedim(0, 1).unsqueeze(0)

    q = (q.float() * head_dim**-0.5).to(q.dtype) if q.dtype == torch.float32 else q
    scale = 1.0 if q.dtype == torch.float32 else None

    def mask_mod(b, h, q_idx, kv_idx):
        distance = q_idx - kv_idx
        seen = (distance >= 0) & (document_ids[q_idx] == document_ids[kv_idx])
        return seen if window is None else seen & (distance < window)

    mask = create_block_mask(mask_mod, None, None, q.shape[0], q.shape[0], device=q.device)
    output = flex_attention(split(q), split(k), split(v), block_mask=mask, scale=scale)
    return output.squeeze(0).movedim(0, 1).flatten(-2)
""",
    ),
    "starts": (
        "first the place where each document starts: a key at or after it, and not after the query",
        f"""
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    tokens = len(q)
    place = torch.arange(tokens, device=q.device)
    new = torch.ones(tokens, dtype=torch.bool, device=q.device)
    new[1:] = document_ids[1:] != document_ids[:-1]
    first = torch.where(new, place, 0).cummax(0).values
    if window is not None:
        first = torch.maximum(first, place - window + 1)
{SPLIT}
    def mask_mod(b, h, q_idx, kv_idx):
        return (kv_idx >= first[q_idx]) & (kv_idx <= q_idx)

    block_mask = create_block_mask(mask_mod, None, None, tokens, tokens, device=q.device)
    return flex_attention(q, k, v, block_mask=block_mask)[0].transpose(0, 1).flatten(1)
""",
    ),
    "renumbered": (
        "labels as small numbers, by unique_consecutive",
        f"""
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    _, document = torch.unique_consecutive(document_ids, return_inverse=True)
    n = q.size(0)
{SPLIT}
    def mask_mod(b, h, q_idx, kv_idx):
        return torch.logical_and(q_idx >= kv_idx, document[q_idx] == document[kv_idx])

    def with_window(b, h, q_idx, kv_idx):
        return torch.logical_and(mask_mod(b, h, q_idx, kv_idx), kv_idx > q_idx - window)

    chosen = mask_mod if window is None else with_window
    block_mask = create_block_mask(chosen, None, None, n, n, device=q.device)
    out = flex_attention(q, k, v, block_mask=block_mask)
    return out.squeeze(0).transpose(0, 1).reshape(n, num_heads * head_dim)
""",
    ),
    "table": (
        "the whole matrix first, which the mask function looks up",
        f"""
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    tokens = q.shape[0]
    seen = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).tril()
    if window is not None:
        seen = seen & ~seen.tril(-window)
    seen = seen & (document_ids[:, None] == document_ids[None, :])
{SPLIT}
    def mask_mod(b, h, q_idx, kv_idx):
        return seen[q_idx, kv_idx]

    block_mask = create_block_mask(mask_mod, None, None, tokens, tokens, device=q.device)
    return flex_attention(q, k, v, block_mask=block_mask)[0].transpose(0, 1).flatten(1)
""",
    ),
    "one-head-at-a-time": (
        "a call for each head, with one block mask for all",
        """
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    n = q.shape[0]
    reach = n if window is None else window

    def mask_mod(b, h, i, j):
        return (j <= i) & (i - j < reach) & (document_ids[i] == document_ids[j])

    block_mask = create_block_mask(mask_mod, None, None, n, n, device=q.device)
    outputs = []
    for head in range(num_heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        outputs.append(flex_attention(q[None, None, :, part], k[None, None, :, part], v[None, None, :, part],
                                      block_mask=block_mask)[0, 0])
    return torch.cat(outputs, dim=-1)
""",
    ),
    "one-document-at-a-time": (
        "a call for each document, each with a triangle of its own",
        """
def within(reach):  # not the loop's own variable: the backward pass asks once more, after the loop
    return lambda b, h, i, j: (j <= i) & (i < j + reach)


def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    lengths = torch.unique_consecutive(document_ids, return_counts=True)[1].tolist()

    def heads(x):
        return x.reshape(len(x), num_heads, head_dim).transpose(0, 1)[None]

    outputs = []
    for queries, keys, values in zip(q.split(lengths), k.split(lengths), v.split(lengths)):
        n = len(queries)
        block_mask = create_block_mask(within(n if window is None else window), None, None, n, n, device=q.device)
        output = flex_attention(heads(queries), heads(keys), heads(values), block_mask=block_mask)
        outputs.append(output[0].transpose(0, 1).flatten(1))
    return torch.cat(outputs)
""",
    ),
    "small-blocks": (
        "blocks of 32 in place of 128, and einops",
        """
from einops import rearrange

def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    q, k, v = (rearrange(x, "t (h d) -> 1 h t d", h=num_heads) for x in (q, k, v))
    t = q.shape[2]

    def mask_mod(b, h, q_idx, kv_idx):
        seen = (document_ids[q_idx] == document_ids[kv_idx]) & (q_idx >= kv_idx)
        return seen if window is None else seen & (q_idx - kv_idx <= window - 1)

    block_mask = create_block_mask(mask_mod, None, None, t, t, device=q.device, BLOCK_SIZE=32)
    return rearrange(flex_attention(q, k, v, block_mask=block_mask), "1 h t d -> t (h d)")
""",
    ),
    "compiled": (
        "both functions compiled, as one would on a GPU; the judge compiles nothing",
        f"""
compiled_flex = torch.compile(flex_attention)

def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    tokens = len(document_ids)
{SPLIT}
    def mask_mod(b, h, q_idx, kv_idx):
        seen = (q_idx >= kv_idx) & (document_ids[q_idx] == document_ids[kv_idx])
        return seen if window is None else seen & (q_idx - kv_idx < window)

    block_mask = create_block_mask(mask_mod, None, None, tokens, tokens, device=q.device)
    return compiled_flex(q, k, v, block_mask=block_mask)[0].transpose(0, 1).flatten(1)
""",
    ),
    "made-outside": (
        "the mask function is made by a function of its own, outside",
        """
def make_mask(document_ids, window):
    def inside(b, h, q_idx, kv_idx):
        return document_ids[q_idx] == document_ids[kv_idx]

    def causal(b, h, q_idx, kv_idx):
        return (q_idx >= kv_idx) & inside(b, h, q_idx, kv_idx)

    if window is None:
        return causal
    return lambda b, h, q_idx, kv_idx: causal(b, h, q_idx, kv_idx) & (q_idx < kv_idx + window)

def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    n = q.shape[0]
    to_heads = lambda x: x.contiguous().view(n, num_heads, head_dim).transpose(0, 1).contiguous().unsqueeze(0)
    block_mask = create_block_mask(make_mask(document_ids, window), 1, 1, n, n, device=q.device)
    output = flex_attention(to_heads(q), to_heads(k), to_heads(v), block_mask=block_mask)
    return output.transpose(1, 2).reshape(n, num_heads * head_dim)
""",
    ),
    "score-scaled": (
        "the scale is a score_mod, the masking is the block mask's",
        f"""
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    n = q.shape[0]
{SPLIT}
    def scaled(score, b, h, q_idx, kv_idx):
        return score / math.sqrt(head_dim)

    def mask_mod(b, h, q_idx, kv_idx):
        seen = (q_idx >= kv_idx) & (document_ids[q_idx] == document_ids[kv_idx])
        return seen if window is None else seen & (q_idx - kv_idx < window)

    block_mask = create_block_mask(mask_mod, None, None, n, n, device=q.device)
    output = flex_attention(q, k, v, score_mod=scaled, block_mask=block_mask, scale=1.0)
    return output[0].transpose(0, 1).flatten(1)
""",
    ),
    "documents-as-batch": (
        "documents padded into a batch of their own, and a triangle in each",
        """
def NAME(q, k, v, num_heads, head_dim, document_ids, window=None):
    lengths = torch.unique_consecutive(document_ids, return_counts=True)[1].tolist()
    longest = max(lengths)

    def padded(x):
        rows = [F.pad(part, (0, 0, 0, longest - len(part))) for part in x.split(lengths)]
        return torch.stack(rows).unflatten(-1, (num_heads, head_dim)).transpose(1, 2)

    reach = longest if window is None else window

    def mask_mod(b, h, q_idx, kv_idx):
        return (q_idx >= kv_idx) & (q_idx - kv_idx < reach)

    block_mask = create_block_mask(mask_mod, None, None, longest, longest, device=q.device)
    output = flex_attention(padded(q), padded(k), padded(v), block_mask=block_mask).transpose(1, 2).flatten(2)
    return torch.cat([row[:length] for row, length in zip(output, lengths)])
""",
    ),
}

_CAUSAL, _SAME = "(kv_idx <= q_idx)", "(document_ids[q_idx] == document_ids[kv_idx])"
_SEEN = f"seen = {_CAUSAL} & {_SAME}"
_WINDOW = "            seen = seen & (q_idx - kv_idx < window)\n"
_BLOCKS = "create_block_mask(mask_mod, None, None, tokens, tokens, device=q.device)"
_CALL = "flex_attention(q, k, v, block_mask=block_mask)"
_RETURN = "output[0].transpose(0, 1).flatten(1)"
_TO_HEADS = "x.unflatten(-1, (num_heads, head_dim)).transpose(0, 1)[None]"
_IF = "        if window is not None:\n" + _WINDOW

WRONG = (
    # ---- who sees whom
    Mutation("no-triangle", "causal", "later keys of the document are seen", [(f"{_CAUSAL} & ", "")], "vmi", "ck", "causal-missing"),
    Mutation("strict-triangle", "causal", "no query sees itself", [("kv_idx <= q_idx", "kv_idx < q_idx")], "vm", "ck", "causal-strict"),
    Mutation("one-ahead", "causal", "one key too many", [("kv_idx <= q_idx", "kv_idx <= q_idx + 1")], "vmi", "ck", "causal-one-ahead"),
    Mutation("one-head-looks-ahead", "causal", "the mask depends on the head", [("kv_idx <= q_idx", "kv_idx <= q_idx + (h > 0)")], "vmi", "ck"),
    Mutation("triangle-turned", "causal", "queries see later keys", [("kv_idx <= q_idx", "kv_idx >= q_idx")], "vmi", "ck", "causal-transposed"),
    Mutation("indices-swapped", "order", "the mask function takes the key's place first", [("(b, h, q_idx, kv_idx)", "(b, h, kv_idx, q_idx)")], "vmi", "ck", "places-swapped"),
    Mutation("no-documents", "borders", "documents are not kept apart", [(f" & {_SAME}", "")], "mi", "cvk", "sequences-not-separated"),
    Mutation("documents-or-triangle", "borders", "a key is seen if either allows it", [(f"{_CAUSAL} & ", f"{_CAUSAL} | ")], "vmi", "ck", "documents-or-causal"),
    Mutation("everything-seen", "causal", "the mask function hides nothing", [(_SEEN, "seen = kv_idx >= 0"), (_WINDOW, "            pass\n")], "vmi", "ck", "nothing-hidden"),
    Mutation("labels-in-order", "borders", "labels are taken to rise", [("document_ids[q_idx] == ", "document_ids[q_idx] >= ")], "mi", "cvk", "labels-compared-by-size"),
    Mutation("neighbours-of-the-first", "borders", "one query's label for all", [("document_ids[q_idx] ==", "document_ids[q_idx * 0] ==")], "mi", "ck"),
    Mutation("labels-in-fp32", "borders", "large labels become one in fp32", [("    tokens = q.shape[0]\n", "    tokens = q.shape[0]\n    document_ids = document_ids.float()\n")], "m", "civk"),
    Mutation("labels-in-int16", "borders", "large labels overflow", [("    tokens = q.shape[0]\n", "    tokens = q.shape[0]\n    document_ids = document_ids.to(torch.int16)\n")], "m", "civk"),
    Mutation("label-one-off", "borders", "the key's label is taken from the token after it", [("document_ids[kv_idx])", "document_ids[(kv_idx + 1).clamp(max=tokens - 1)])")], "mi", "cvk"),
    # ---- window
    Mutation("window-ignored", "window", "the window has no effect", [(_IF, "")], "mi", "cvk", "window-missing"),
    Mutation("window-one-more", "window", "the query itself is not counted", [("q_idx - kv_idx < window", "q_idx - kv_idx <= window")], "mi", "cvk", "window-off-by-one"),
    Mutation("window-one-less", "window", "one key too few", [("q_idx - kv_idx < window", "q_idx - kv_idx < window - 1")], "mi", "cvk", "window-off-by-one"),
    Mutation("window-turned", "window", "the distance has the wrong sign", [("q_idx - kv_idx < window", "kv_idx - q_idx < window")], "mi", "cvk", "window-missing"),
    Mutation("window-alone", "window", "the window takes the place of the other conditions", [(_WINDOW, "            seen = (q_idx - kv_idx < window) & (q_idx >= kv_idx)\n")], "m", "cvk", "documents-dropped-with-window"),
    Mutation("window-both-ways", "window", "with a window, later keys are seen too", [(_WINDOW, f"            seen = {_SAME} & ((q_idx - kv_idx).abs() < window)\n")], "m", "cvk", "window-both-ways"),
    Mutation("window-or", "window", "the window adds keys instead of taking some away", [("seen & (q_idx - kv_idx < window)", "seen | (q_idx - kv_idx < window)")], "mi", "cvk"),
    Mutation("window-truthy", "window", "the window is asked whether it is large", [("if window is not None", "if window is not None and window > 2")], "mi", "cvk", "window-missing"),
    Mutation("window-from-four", "window", "small windows are taken for none", [("if window is not None:\n", "if window is not None and window >= 4:\n")], "mi", "cvk", "window-missing"),
    Mutation("window-required", "contract", "the window has no default", [("window=None", "window")], "c", "ivmk", "signature-changed"),
    # ---- tensors in Python's conditions
    Mutation("and-on-tensors", "vmap", "and in place of &", [(f"{_CAUSAL} & {_SAME}", "kv_idx <= q_idx and document_ids[q_idx] == document_ids[kv_idx]")], "civmrk", "", "control-flow-on-tensors"),
    Mutation("if-on-tensors", "vmap", "if asks a tensor", [(f"        {_SEEN}\n", f"        if kv_idx > q_idx:\n            return False\n        seen = {_SAME}\n")], "civmrk", "", "control-flow-on-tensors"),
    Mutation("item-in-mask", "vmap", "item reads a number in the mask function", [("document_ids[q_idx] ==", "document_ids[q_idx].item() ==")], "civmrk", "", "control-flow-on-tensors"),
    Mutation("mask-of-two-places", "vmap", "the mask function takes the query's and the key's place alone", [("(b, h, q_idx, kv_idx)", "(q_idx, kv_idx)")], "civmrk", "", "mask-function-arguments"),
    # ---- the call
    Mutation("device-left-away", "device", "the block mask is made on the machine's own device", [(", device=q.device", "")], "cr", "ivmk", "device-hard-coded"),
    Mutation("device-cpu", "device", "the block mask is made on the CPU", [("device=q.device", 'device="cpu"')], "cr", "ivmk", "device-hard-coded"),
    Mutation("triangle-on-cpu", "device", "a table on the CPU", [("kv_idx <= q_idx", "triangle[q_idx, kv_idx]"), ("    tokens = q.shape[0]\n", "    tokens = q.shape[0]\n    triangle = torch.ones(tokens, tokens, dtype=torch.bool).tril()\n")], "cr", "ivmk", "device-hard-coded"),
    Mutation("no-block-mask", "kernel", "a score_mod masks, and there is no block mask", [(f"    block_mask = {_BLOCKS}\n", "    def score_mod(score, b, h, q_idx, kv_idx):\n        return torch.where(mask_mod(b, h, q_idx, kv_idx), score, -float(\"inf\"))\n\n"), (_CALL, "flex_attention(q, k, v, score_mod=score_mod)")], "k", "civm", "kernel-not-called"),
    Mutation("block-mask-of-everything", "kernel", "the block mask hides nothing, a score_mod does", [(f"    block_mask = {_BLOCKS}\n", "    block_mask = create_block_mask(lambda b, h, i, j: j >= 0, None, None, tokens, tokens, device=q.device)\n\n    def score_mod(score, b, h, q_idx, kv_idx):\n        return torch.where(mask_mod(b, h, q_idx, kv_idx), score, -float(\"inf\"))\n\n"), (_CALL, "flex_attention(q, k, v, score_mod=score_mod, block_mask=block_mask)")], "k", "civm", "kernel-not-called"),
    Mutation("sdpa", "kernel", "SDPA with the same mask", [(_CALL, "F.scaled_dot_product_attention(q, k, v, attn_mask=torch.stack([mask_mod(0, 0, torch.tensor(i, device=q.device), torch.arange(tokens, device=q.device)) for i in range(tokens)]))")], "k", "ivm", "kernel-not-called"),
    Mutation("eager", "kernel", "scores and softmax by hand", [(_CALL, "(q @ k.mT / head_dim**0.5).masked_fill(~seen, -float('inf')).softmax(-1) @ v"), (f"    block_mask = {_BLOCKS}\n", "    place = torch.arange(tokens, device=q.device)\n    seen = mask_mod(0, 0, place[:, None], place)\n")], "k", "civm", "kernel-not-called"),
    Mutation("decoy", "kernel", "the kernel's result is thrown away", [(f"    output = {_CALL}\n", f"    {_CALL}\n    place = torch.arange(tokens, device=q.device)\n    seen = mask_mod(0, 0, place[:, None], place)\n    output = (q @ k.mT / head_dim**0.5).masked_fill(~seen, -float('inf')).softmax(-1) @ v\n")], "k", "civm", "kernel-unused"),
    Mutation("scaled-twice", "scale", "the kernel scales, and so does the function", [(_CALL, "flex_attention(q / head_dim**0.5, k, v, block_mask=block_mask)")], "vm", "ck", "scale-twice"),
    Mutation("not-scaled", "scale", "scale=1", [("block_mask=block_mask)", "block_mask=block_mask, scale=1.0)")], "vm", "ck", "missing-scale"),
    Mutation("scaled-by-hidden-dim", "scale", "√hidden_dim", [("block_mask=block_mask)", "block_mask=block_mask, scale=(num_heads * head_dim) ** -0.5)")], "vm", "ck", "scale-hidden-dim"),
    Mutation("keys-and-values-swapped", "operands", "k and v change places", [("flex_attention(q, k, v,", "flex_attention(q, v, k,")], "vm", "c", "kv-swapped"),
    # ---- heads
    Mutation("heads-after-tokens", "heads", "the tokens come before the heads", [(_TO_HEADS, "x.unflatten(-1, (num_heads, head_dim))[None]"), (_RETURN, "output[0].flatten(1)")], "civmr", "", "heads-after-tokens"),
    Mutation("heads-interleaved", "heads", "split as (head_dim, num_heads)", [(_TO_HEADS, "x.unflatten(-1, (head_dim, num_heads)).permute(2, 0, 1)[None]"), (_RETURN, "output[0].permute(1, 2, 0).flatten(1)")], "vm", "ck", "heads-interleaved"),
    Mutation("heads-not-moved-back", "heads", "merged without moving the heads back", [(_RETURN, "output[0].reshape(tokens, -1)")], "vm", "ck", "heads-not-transposed-back"),
    Mutation("heads-not-merged", "heads", "the output keeps its heads", [(_RETURN, "output[0].transpose(0, 1)")], "civmr", "", "heads-not-merged"),
    Mutation("no-batch-axis", "heads", "three axes in place of four", [("[None] for x in", " for x in"), ("output[0].t", "output.t")], "civmr", "", "batch-axis-missing"),
    # ---- memory, dtypes, inputs
    Mutation("block-mask-cached", "memory", "the block mask is kept for the next call of as many tokens", [("def NAME(", "KEPT = {}\n\ndef NAME("), (f"    block_mask = {_BLOCKS}\n", f"    if tokens not in KEPT:\n        KEPT[tokens] = {_BLOCKS}\n    block_mask = KEPT[tokens]\n")], "cr", "vk", "device-hard-coded, window-missing"),
    Mutation("fixed-length", "sizes", "a block mask for 15 tokens", [(_BLOCKS, "create_block_mask(mask_mod, None, None, 15, 15, device=q.device)")], "vm", "ck", "sizes-hard-coded"),
    Mutation("padded-to-blocks", "sizes", "lengths are rounded up to a block of 128", [(_BLOCKS, "create_block_mask(mask_mod, None, None, 128, 128, device=q.device)")], "civmrk", "", "block-mask-size"),
    Mutation("always-float32", "dtype", "the output is fp32", [(_RETURN, f"{_RETURN}.float()")], "cr", "vmk", "dtype-changed"),
    Mutation("unscaled-in-fp16", "dtype", "the scale is forgotten in fp16", [("block_mask=block_mask)", "block_mask=block_mask, scale=1.0 if q.dtype == torch.float16 else None)")], "r", "cvmk"),
    Mutation("bf16-inside", "dtype", "fp32 is rounded to bf16 inside", [(_TO_HEADS, _TO_HEADS + ".bfloat16()"), (_RETURN, f"{_RETURN}.to(dtype)"), ("    tokens = q.shape[0]\n", "    tokens, dtype = q.shape[0], q.dtype\n")], "vm", "ck", "precision-lost"),
    Mutation("q-in-place", "inputs", "q is scaled in place", [("    tokens = q.shape[0]\n", "    tokens = q.shape[0]\n    q *= head_dim**-0.5\n"), ("block_mask=block_mask)", "block_mask=block_mask, scale=1.0)")], "ir", "", "inputs-modified"),
    Mutation("labels-in-place", "inputs", "the labels are renumbered in place", [("    tokens = q.shape[0]\n", "    tokens = q.shape[0]\n    document_ids -= document_ids.min()\n")], "ir", "", "inputs-modified"),
    Mutation("returns-nothing", "contract", "no return", [(f"    return {_RETURN}\n", f"    {_RETURN}\n")], "civmr", "", "returns-nothing"),
    Mutation("returns-block-mask-too", "contract", "a tuple", [(f"return {_RETURN}", f"return {_RETURN}, block_mask")], "civmr", "", "returns-too-much"),
    Mutation("dropout", "random", "dropout on the output", [(f"return {_RETURN}", f"return F.dropout({_RETURN}, 0.1)")], "ivm", "c", "kernel-in-part, random-output"),
)  # fmt: skip


def answers() -> list[Answer]:
    """All of them."""
    right = right_answers(VARIANT, RIGHT)
    return [*right, *(mutation.filled(NAME=f"{VARIANT}_attention").of(VARIANT, right[0].source) for mutation in WRONG)]
