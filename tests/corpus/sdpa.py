"""Answers to 03 and 04: attention by ``F.scaled_dot_product_attention``."""

from __future__ import annotations

from corpus.answer import Answer, Mutation, right_answers

TRIANGLE = "torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()"
FULL = "torch.ones(seq, seq, dtype=torch.bool, device=q.device)"

BASE = """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q = q.view(batch, seq, num_heads, head_dim).transpose(1, 2)
    k = k.view(batch, seq, num_heads, head_dim).transpose(1, 2)
    v = v.view(batch, seq, num_heads, head_dim).transpose(1, 2)
    allowed = TABLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    allowed = allowed | ~allowed.any(dim=-1, keepdim=True)
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return output.transpose(1, 2).reshape(batch, seq, hidden_dim)
"""

RIGHT = {
    "one-table": ("one table of allowed keys, always given", BASE),
    "two-calls": (
        "a call without a mask and a call with one",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.view(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    if mask is None:
        output = F.scaled_dot_product_attention(q, k, v, is_causal=CAUSAL)
    else:
        allowed = TABLE & mask[:, None, None, :]
        output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed | ~allowed.any(-1, keepdim=True))
    return output.transpose(1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
    "float-bias": (
        "a float bias of 0 and a large negative number",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TABLE.expand(batch, 1, seq, seq)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    bias = torch.zeros(allowed.shape, dtype=q.dtype, device=q.device)
    bias = bias.masked_fill(~allowed, torch.finfo(q.dtype).min / 2)
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return output.transpose(1, 2).flatten(2)
""",
    ),
    "loop-over-heads": (
        "one call a head",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    seq = q.shape[1]
    allowed = TABLE
    if mask is not None:
        allowed = allowed & mask[:, None, :]
    allowed = allowed | ~allowed.any(-1, keepdim=True)
    outputs = []
    for head in range(num_heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        outputs.append(F.scaled_dot_product_attention(q[..., part], k[..., part], v[..., part], attn_mask=allowed))
    return torch.cat(outputs, dim=-1)
""",
    ),
    "vmap-over-items": (
        "torch.vmap over the batch",
        BASE.replace(
            "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)",
            "torch.vmap(F.scaled_dot_product_attention)(q, k, v, allowed.expand(batch, 1, seq, seq))",
        ),
    ),
    "vmap-over-heads": (
        "torch.vmap over heads, which share a mask",
        BASE.replace(
            "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)",
            "torch.vmap(F.scaled_dot_product_attention, in_dims=(1, 1, 1, None), out_dims=1)"
            "(q, k, v, allowed.expand(batch, 1, seq, seq)[:, 0])",
        ),
    ),
    "vmap-nested": (
        "torch.vmap over the batch, and in it over heads",
        BASE.replace(
            "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)",
            "torch.vmap(torch.vmap(F.scaled_dot_product_attention, in_dims=(0, 0, 0, None)))"
            "(q, k, v, allowed.expand(batch, 1, seq, seq)[:, 0])",
        ),
    ),
    "loop-over-items": (
        "one call a sequence",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    outputs = []
    for item in range(batch):
        queries, keys, values = (x[item].reshape(seq, num_heads, head_dim).transpose(0, 1) for x in (q, k, v))
        allowed = TABLE
        if mask is not None:
            allowed = allowed & mask[item]
        allowed = allowed | ~allowed.any(-1, keepdim=True)
        output = F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        outputs.append(output.transpose(0, 1).reshape(seq, hidden_dim))
    return torch.stack(outputs)
""",
    ),
    "only-real-tokens": (
        "one call a sequence, on its real tokens alone; padding rows stay zero",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    if mask is None:
        mask = torch.ones(batch, seq, dtype=torch.bool, device=q.device)
    output = torch.zeros_like(q)
    for item in range(batch):
        real = mask[item].nonzero().squeeze(1)
        if len(real) == 0:
            continue
        queries, keys, values = (x[item, real].reshape(-1, num_heads, head_dim).transpose(0, 1) for x in (q, k, v))
        result = F.scaled_dot_product_attention(queries, keys, values, is_causal=CAUSAL)
        output[item, real] = result.transpose(0, 1).reshape(-1, hidden_dim)
    return output + 0 * (q + k + v)
""",
    ),
    "alias-c-nn": (
        "under another name",
        BASE.replace("F.scaled_dot_product_attention", "torch._C._nn.scaled_dot_product_attention"),
    ),
    "alias-aten": (
        "as an ATen operator",
        BASE.replace("F.scaled_dot_product_attention", "torch.ops.aten.scaled_dot_product_attention"),
    ),
    "alias-import": (
        "imported by name",
        "\nfrom torch.nn.functional import scaled_dot_product_attention as sdpa\n\n"
        + BASE.replace("F.scaled_dot_product_attention", "sdpa"),
    ),
    "explicit-scale": (
        "scale given, everything by keyword",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    shape = (batch, seq, num_heads, head_dim)
    query, key, value = (x.reshape(shape).permute(0, 2, 1, 3) for x in (q, k, v))
    table = TABLE.expand(batch, num_heads, seq, seq).clone()
    if mask is not None:
        table &= mask.view(batch, 1, 1, seq)
        table |= ~table.any(-1, keepdim=True)
    output = F.scaled_dot_product_attention(
        query=query, key=key, value=value, attn_mask=table, dropout_p=0.0, is_causal=False, scale=head_dim**-0.5
    )
    return output.permute(0, 2, 1, 3).contiguous().view(batch, seq, hidden_dim)
""",
    ),
    "scale-in-q": (
        "q is scaled, out of place, and the kernel told not to",
        BASE.replace("attn_mask=allowed", "attn_mask=allowed, scale=1.0").replace(
            "q = q.view(", "q = (q / math.sqrt(head_dim)).view("
        ),
    ),
    "diagonal-opened": (
        "every token may see itself, at padding too: no row is empty",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TABLE
    if mask is not None:
        real = mask[:, None, None, :]
        itself = torch.eye(seq, dtype=torch.bool, device=q.device) & ~mask[:, None, :, None]
        allowed = (allowed & real) | itself
    output = F.scaled_dot_product_attention(q, k, v, allowed)
    return output.transpose(1, 2).flatten(2)
""",
    ),
    "float32-inside": (
        "computes in float32 and converts back",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    dtype, (batch, seq, hidden_dim) = q.dtype, q.shape
    q, k, v = (x.float().reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TABLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
        allowed = allowed | ~allowed.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).flatten(2).to(dtype)
""",
    ),
    "bare-mask": (
        "rows without keys are left to the kernel, which gives zeros for a bool mask in current PyTorch",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    if mask is None:
        output = F.scaled_dot_product_attention(q, k, v, is_causal=CAUSAL)
    else:
        output = F.scaled_dot_product_attention(q, k, v, attn_mask=TABLE & mask[:, None, None, :])
    return output.transpose(1, 2).flatten(2)
""",
    ),
}

HEAD = "    batch, seq, hidden_dim = q.shape\n"
CALL = "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)"
SPLIT = "view(batch, seq, num_heads, head_dim).transpose(1, 2)"
MERGE = "output.transpose(1, 2).reshape(batch, seq, hidden_dim)"
USE = "allowed & mask[:, None, None, :]"
OPEN = "    allowed = allowed | ~allowed.any(dim=-1, keepdim=True)\n"
EAGER = (
    "((q @ k.transpose(-2, -1) / math.sqrt(head_dim)).masked_fill(~allowed, torch.finfo(q.dtype).min)).softmax(-1) @ v"
)


def _splits(new: str) -> list[tuple[str, str]]:
    return [(f"{x} = {x}.{SPLIT}", f"{x} = {x}.{new}") for x in "qkv"]


def _returns(expression: str) -> list[tuple[str, str]]:
    return [(f"return {MERGE}", f"return {expression}")]


def _called(options: str) -> list[tuple[str, str]]:
    return [(CALL, CALL[:-1] + f", {options})")]


COMMON = (
    Mutation("scale-one", "scale", "scale=1.0", _called("scale=1.0"), "vm", "cik", "missing-scale"),
    Mutation(
        "scale-hidden-dim", "scale", "√hidden_dim", _called("scale=hidden_dim**-0.5"), "vm", "cik", "scale-hidden-dim"
    ),
    Mutation(
        "scale-twice",
        "scale",
        "q is scaled, and the kernel scales again",
        [("q = q.view(", "q = (q / math.sqrt(head_dim)).view(")],
        "vm",
        "cik",
        "scale-twice",
    ),
    Mutation(
        "scale-multiplied",
        "scale",
        "scale=√head_dim",
        _called("scale=math.sqrt(head_dim)"),
        "vm",
        "ck",
        "scale-multiplied",
    ),
    Mutation("scale-seq", "scale", "scale from seq", _called("scale=seq**-0.5"), "vm", "cik", "scale-seq"),
    Mutation("scale-fixed", "scale", "scale from head_dim 8", _called("scale=8**-0.5"), "vm", "cik"),
    Mutation(
        "mask-inverted",
        "mask",
        "the polarity of nn.MultiheadAttention",
        [(USE, "allowed & ~mask[:, None, None, :]")],
        "im",
        "cvk",
        "mask-inverted",
    ),
    Mutation("mask-ignored", "mask", "never used", [(USE, "allowed")], "im", "cvk", "mask-ignored"),
    Mutation(
        "mask-as-float",
        "mask",
        "the bool is converted, and added to the scores",
        [(OPEN, OPEN + "    allowed = allowed.to(q.dtype)\n")],
        "im",
        "ck",
        "mask-added",
    ),
    Mutation(
        "mask-first-item", "mask", "the first sequence's mask for all", [("mask[:, None", "mask[:1, None")], "im", "cvk"
    ),
    Mutation(
        "mask-without-heads-axis",
        "crash",
        "[batch, 1, seq] does not line up with the heads",
        [("mask[:, None, None, :]", "mask[:, None, :]")],
        "cm",
        "vk",
    ),
    Mutation(
        "mask-as-right-padding",
        "mask",
        "lengths taken from the mask, as if padding were on the right",
        [(USE, "allowed & (torch.arange(seq, device=q.device) < mask.sum(1, keepdim=True))[:, None, None, :]")],
        "im",
        "cvk",
    ),
    Mutation(
        "mask-after-kernel",
        "mask",
        "padding rows of the output are zeroed instead",
        [
            (USE, "allowed"),
            (CALL, CALL + "\n    if mask is not None:\n        output = output * mask[:, None, :, None]"),
        ],
        "im",
        "cvk",
        "mask-on-queries",
    ),
    Mutation(
        "values-zeroed",
        "mask",
        "masked values are zeroed, the keys keep their weight",
        [(USE, "allowed\n        v = v * mask[:, None, :, None]")],
        "im",
        "cvk",
        "mask-after-softmax",
    ),
    Mutation(
        "constant-10",
        "mask",
        "a bias of -10",
        [
            (
                CALL,
                "F.scaled_dot_product_attention(q, k, v, attn_mask=torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill(~allowed, -10.0))",
            )
        ],
        "m",
        "ck",
        "mask-constant-too-small",
    ),
    Mutation(
        "constant-100",
        "mask",
        "a bias of -100",
        [
            (
                CALL,
                "F.scaled_dot_product_attention(q, k, v, attn_mask=torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill(~allowed, -100.0))",
            )
        ],
        "m",
        "cik",
        "mask-constant-too-small",
    ),
    Mutation(
        "mask-none-crashes",
        "crash",
        "mask=None is not handled",
        [("    if mask is not None:\n        allowed", "    allowed")],
        "cv",
        "",
    ),
    Mutation("mask-required", "call", "mask has no default", [("mask=None", "mask")], "cv", "imk"),
    Mutation(
        "heads-interleaved",
        "layout",
        "(head_dim, num_heads)",
        _splits("reshape(batch, seq, head_dim, num_heads).permute(0, 3, 1, 2)"),
        "vm",
        "ck",
        "heads-interleaved",
    ),
    Mutation(
        "heads-not-transposed-back",
        "layout",
        "merged as they lie",
        _returns("output.reshape(batch, seq, hidden_dim)"),
        "vm",
        "ck",
        "heads-not-transposed-back",
    ),
    Mutation(
        "heads-viewed",
        "layout",
        "heads cut across tokens",
        _splits("reshape(batch, num_heads, seq, head_dim)"),
        "vm",
        "ck",
        "heads-viewed-without-transpose",
    ),
    Mutation(
        "heads-never-split",
        "layout",
        "one big head",
        _splits("reshape(batch, seq, 1, hidden_dim).transpose(1, 2)"),
        "vm",
        "ck",
        "heads-never-split",
    ),
    Mutation(
        "heads-over-tokens",
        "layout",
        "no transpose: attention over the heads of each token",
        [
            *_splits("reshape(batch, seq, num_heads, head_dim)"),
            (CALL, "F.scaled_dot_product_attention(q, k, v)"),
            *_returns("output.reshape(batch, seq, hidden_dim)"),
        ],
        "ivm",
        "ck",
        "attention-over-heads",
    ),
    Mutation("not-merged", "return", "[batch, num_heads, seq, head_dim] comes back", _returns("output"), "civmr"),
    Mutation(
        "qk-swapped",
        "swap",
        "keys ask, queries answer",
        [("(q, k, v, attn_mask", "(k, q, v, attn_mask")],
        "vm",
        "ck",
        "qk-swapped",
    ),
    Mutation(
        "kv-swapped",
        "swap",
        "keys and values swapped",
        [("(q, k, v, attn_mask", "(q, v, k, attn_mask")],
        "vm",
        "ck",
        "kv-swapped",
    ),
    Mutation(
        "qv-swapped",
        "swap",
        "queries and values swapped",
        [("(q, k, v, attn_mask", "(v, k, q, attn_mask")],
        "vm",
        "ck",
        "qv-swapped",
    ),
    Mutation(
        "keys-as-values", "swap", "the keys are mixed", [("(q, k, v, attn_mask", "(q, k, k, attn_mask")], "ivm", "ck"
    ),
    Mutation("always-float32", "dtype", "float32 comes back", _returns(f"{MERGE}.float()"), "cr", "vmk"),
    Mutation(
        "half-inside",
        "dtype",
        "computes in fp16",
        [(CALL, "F.scaled_dot_product_attention(q.half(), k.half(), v.half(), attn_mask=allowed).to(q.dtype)")],
        "vm",
        "ck",
    ),
    Mutation(
        "fixed-sizes",
        "sizes",
        "batch 2 and seq 6, as in the toy inputs",
        [(HEAD, "    batch, seq, hidden_dim = 2, 6, num_heads * head_dim\n")],
        "vm",
        "ci",
    ),
    Mutation(
        "fixed-heads",
        "sizes",
        "three heads",
        [(HEAD, HEAD + "    num_heads, head_dim = 3, hidden_dim // 3\n")],
        "vm",
        "ci",
    ),
    Mutation(
        "device-cpu", "device", "the table is made on the CPU", [("device=q.device", 'device="cpu"')], "r", "vmik"
    ),
    Mutation("returns-tuple", "return", "a tuple", _returns(f"{MERGE}, None"), "civmrk"),
    Mutation("returns-nothing", "return", "no return statement", _returns("None"), "civmrk"),
    Mutation("zeros", "constant", "zeros", _returns(f"torch.zeros_like({MERGE})"), "ivmk", "c", "constant-output"),
    Mutation(
        "returns-values",
        "constant",
        "v itself",
        _returns("v.transpose(1, 2).reshape(batch, seq, hidden_dim)"),
        "ivmk",
        "c",
        "returns-values",
    ),
    Mutation("mean-of-values", "constant", "all weights alike", _called("scale=1e-9"), "ivm", "c", "mean-of-values"),
    Mutation(
        "q-in-place",
        "mutation",
        "q is modified",
        [(HEAD, HEAD + "    q.div_(math.sqrt(head_dim))\n"), *_called("scale=1.0")],
        "ir",
        "vmk",
    ),
    Mutation(
        "mask-in-place",
        "mutation",
        "the mask is modified",
        [(USE, "allowed & ~mask.logical_not_()[:, None, None, :]")],
        "ir",
        "cvmk",
    ),
    Mutation("output-detached", "gradient", "no gradient", _returns(f"{MERGE}.detach()"), "r", "civmk"),
    Mutation(
        "values-data",
        "gradient",
        "no gradient to v",
        [("(q, k, v, attn_mask", "(q, k, v.data, attn_mask")],
        "r",
        "civmk",
    ),
    Mutation("no-grad", "gradient", "no gradient at all", [("def NAME", "@torch.no_grad()\ndef NAME")], "r", "civmk"),
    Mutation(
        "rows-made-nan",
        "nan",
        "rows without keys are marked with NaN",
        [
            (OPEN, "    empty = ~allowed.any(dim=-1, keepdim=True)\n" + OPEN),
            (CALL, CALL + '\n    output = output.masked_fill(empty, float("nan"))'),
        ],
        "r",
        "civmk",
    ),
    Mutation(
        "output-cached",
        "memory",
        "the first output of a shape is given again",
        [
            ("def NAME", "_seen = {}\n\n\ndef NAME"),
            (
                HEAD,
                HEAD + "    if q.shape in _seen and not q.requires_grad:\n        return _seen[q.shape].to(q.dtype)\n",
            ),
            (
                f"return {MERGE}",
                f"output = {MERGE}\n    if not q.is_meta:\n        _seen[output.shape] = output.detach()\n    return output",
            ),
        ],
        "ir",
        "",
    ),
    Mutation(
        "mask-cached",
        "memory",
        "the first mask of a length is used again",
        [
            ("def NAME", "_seen = {}\n\n\ndef NAME"),
            (USE, "_seen.setdefault((mask.shape, mask.device), allowed & mask[:, None, None, :])"),
        ],
        "imr",
        "vk",
    ),
    Mutation("dropout", "dropout", "dropout_p=0.1", _called("dropout_p=0.1"), "vm", "c"),
    Mutation("eager", "kernel", "computes by itself", [(CALL, EAGER)], "k", "civmr"),
    Mutation(
        "decoy",
        "kernel",
        "calls the kernel, and throws its result away",
        [(CALL, f"{CALL}\n    output = {EAGER}")],
        "k",
        "civmr",
    ),
    Mutation(
        "decoy-times-zero",
        "kernel",
        "adds the kernel's result times zero",
        [(CALL, f"0 * {CALL} + {EAGER}")],
        "k",
        "civmr",
    ),
    Mutation(
        "wrong-beyond-64",
        "sizes",
        "wrong for more than 64 tokens without a mask, and nowhere else",
        [(OPEN, OPEN + "    if mask is None and seq > 64:\n        q = q * 0.9\n")],
        "v",
        "cimrk",
    ),
)

BIDIRECTIONAL = (
    Mutation(
        "mask-on-queries",
        "mask",
        "rows instead of columns; the opened rows make it the same as no mask",
        [(USE, "allowed & mask[:, None, :, None]")],
        "im",
        "cvk",
        "mask-ignored",
    ),
    Mutation(
        "causal-added",
        "causal",
        "looks only backwards",
        [("allowed = " + FULL, "allowed = " + TRIANGLE)],
        "ivm",
        "ck",
        "causal-added",
    ),
    Mutation(
        "causal-together",
        "backend",
        "attn_mask together with is_causal",
        _called("is_causal=True"),
        "ivm",
        "",
        "causal-added",
    ),
)

TOGETHER = (
    "    if mask is None:\n        output = F.scaled_dot_product_attention(q, k, v, is_causal=True)\n"
    "    else:\n        allowed = mask[:, None, None, :].expand(batch, 1, seq, seq)\n"
    "        output = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=True)\n"
)
BODY = f"    allowed = {TRIANGLE}\n    if mask is not None:\n        allowed = {USE}\n{OPEN}    output = {CALL}\n"

CAUSAL = (
    Mutation(
        "mask-on-queries",
        "mask",
        "rows instead of columns",
        [(USE, "allowed & mask[:, None, :, None]")],
        "im",
        "cvk",
        "mask-on-queries",
    ),
    Mutation(
        "mask-with-is-causal",
        "backend",
        "attn_mask together with is_causal: right on some machines, an error on others",
        [(BODY, TOGETHER)],
        "r",
        "vmk",
    ),
    Mutation(
        "is-causal-alone",
        "mask",
        "is_causal, and the padding ignored",
        [(BODY, "    output = F.scaled_dot_product_attention(q, k, v, is_causal=True)\n")],
        "im",
        "cvk",
        "mask-ignored",
    ),
    Mutation("causal-missing", "causal", "no triangle", [(TRIANGLE, FULL)], "ivm", "ck", "causal-missing"),
    Mutation(
        "causal-strict", "causal", "the diagonal is masked", [(".tril()", ".tril(-1)")], "vm", "ck", "causal-strict"
    ),
    Mutation(
        "causal-one-ahead",
        "causal",
        "one later token is seen",
        [(".tril()", ".tril(1)")],
        "ivm",
        "ck",
        "causal-one-ahead",
    ),
    Mutation(
        "causal-transposed",
        "causal",
        "the triangle upside down",
        [(".tril()", ".triu()")],
        "ivm",
        "ck",
        "causal-transposed",
    ),
    Mutation(
        "causal-dropped-with-mask",
        "causal",
        "lost where a mask is given",
        [(USE, "mask[:, None, None, :]")],
        "im",
        "cvk",
        "causal-dropped-with-mask",
    ),
    Mutation(
        "causal-dropped-without-mask",
        "causal",
        "lost where no mask is given",
        [(USE, f"mask[:, None, None, :] & {TRIANGLE}"), (f"allowed = {TRIANGLE}\n    if", f"allowed = {FULL}\n    if")],
        "iv",
        "cmk",
        "causal-dropped-without-mask",
    ),
    Mutation(
        "causal-or-mask",
        "causal",
        "a key allowed by one of the two",
        [(USE, "allowed | mask[:, None, None, :]")],
        "im",
        "cvk",
    ),
    Mutation(
        "causal-first-64",
        "causal",
        "the triangle ends at 64",
        [(".tril()", ".tril()\n    allowed[64:] = True")],
        "v",
        "cik",
    ),
)


def answers() -> list[Answer]:
    """All answers to both notebooks."""
    result = []
    for causal, own in ((False, BIDIRECTIONAL), (True, CAUSAL)):
        variant = "sdpa_causal" if causal else "sdpa_bidirectional"
        table = TRIANGLE if causal else FULL
        sources = {
            name: (reason, text.replace("TABLE", table).replace("CAUSAL", str(causal)))
            for name, (reason, text) in RIGHT.items()
        }
        result += right_answers(variant, sources)
        base = BASE.replace("TABLE", table).replace("NAME", f"{variant}_attention")
        result += [mutation.filled(NAME=f"{variant}_attention").of(variant, base) for mutation in (*COMMON, *own)]
    return result
