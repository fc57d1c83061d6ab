"""Answers to 05 and 06: packed sequences and ``flash_attn_varlen_func``."""

from __future__ import annotations

from corpus.answer import Answer, Mutation, right_answers

BASE = """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    total = q.shape[0]
    q = q.view(total, num_heads, head_dim)
    k = k.view(total, num_heads, head_dim)
    v = v.view(total, num_heads, head_dim)
    output = flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL)
    return output.reshape(total, num_heads * head_dim)
"""

RIGHT = {
    "view": ("the plain way", BASE),
    "unflatten": (
        "a generator over q, k and v",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    return flash_attn_varlen_func(
        q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL
    ).flatten(1)
""",
    ),
    "keywords": (
        "every argument by name",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    shape = (-1, num_heads, head_dim)
    output = flash_attn_varlen_func(
        q=q.reshape(shape),
        k=k.reshape(shape),
        v=v.reshape(shape),
        cu_seqlens_q=cu_seqlens,
        cu_seqlens_k=cu_seqlens,
        max_seqlen_q=max_seqlen,
        max_seqlen_k=max_seqlen,
        dropout_p=0.0,
        softmax_scale=None,
        causal=CAUSAL,
    )
    return output.reshape(q.shape)
""",
    ),
    "positional": (
        "dropout, scale and causality by position",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.reshape(x.shape[0], num_heads, head_dim) for x in (q, k, v))
    scale = 1 / math.sqrt(head_dim)
    output = flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, 0.0, scale, CAUSAL)
    return output.view(output.shape[0], -1) if output.shape[0] else output.reshape(0, num_heads * head_dim)
""",
    ),
    "from-flash-attn": (
        "imported from the package",
        "\nfrom flash_attn import flash_attn_varlen_func\n\n" + BASE,
    ),
    "from-interface": (
        "imported from the package's interface",
        "\nfrom flash_attn.flash_attn_interface import flash_attn_varlen_func as varlen\n\n"
        + BASE.replace("flash_attn_varlen_func", "varlen"),
    ),
    "from-the-kit": (
        "imported from the learner kit",
        "\nfrom attention_lab.flash import flash_attn_varlen_func\n\n" + BASE,
    ),
    "module-attribute": (
        "through the module",
        "\nimport flash_attn\n\n" + BASE.replace("flash_attn_varlen_func", "flash_attn.flash_attn_varlen_func"),
    ),
    "loop-over-sequences": (
        "one call a sequence",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.reshape(-1, num_heads, head_dim) for x in (q, k, v))
    outputs = []
    borders = cu_seqlens.tolist()
    for start, end in zip(borders, borders[1:]):
        one = torch.tensor([0, end - start], dtype=torch.int32, device=q.device)
        parts = (x[start:end] for x in (q, k, v))
        outputs.append(flash_attn_varlen_func(*parts, one, one, end - start, end - start, causal=CAUSAL))
    return torch.cat(outputs).flatten(1)
""",
    ),
    "loop-over-heads": (
        "one call a head",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    outputs = []
    for head in range(num_heads):
        parts = (x.reshape(-1, num_heads, head_dim)[:, head : head + 1] for x in (q, k, v))
        outputs.append(
            flash_attn_varlen_func(*parts, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL)
        )
    return torch.cat(outputs, dim=1).flatten(1)
""",
    ),
    "window-size": (
        "causality as a window",
        BASE.replace("causal=CAUSAL", "window_size=(-1, 0 if CAUSAL else -1)"),
    ),
    "max-recomputed": (
        "the longest length from cu_seqlens",
        BASE.replace("    output =", "    max_seqlen = int(cu_seqlens.diff().max())\n    output ="),
    ),
    "contiguous-and-deterministic": (
        "contiguous copies, deterministic backward",
        BASE.replace("causal=CAUSAL", "causal=CAUSAL, deterministic=True").replace(
            "    output =", "    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()\n    output ="
        ),
    ),
    "partial": (
        "functools.partial and a helper",
        """
from functools import partial


def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    attend = partial(flash_attn_varlen_func, causal=CAUSAL)

    def heads(x):
        return torch.stack(x.split(head_dim, dim=-1), dim=1)

    output = attend(heads(q), heads(k), heads(v), cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
    return torch.cat(output.unbind(1), dim=-1)
""",
    ),
    "padded-head-dim": (
        "head_dim padded to a multiple of 16 by hand",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    extra = -head_dim % 16
    q, k, v = (F.pad(x.reshape(-1, num_heads, head_dim), (0, extra)) for x in (q, k, v))
    output = flash_attn_varlen_func(
        q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, softmax_scale=head_dim**-0.5, causal=CAUSAL
    )
    return output[..., :head_dim].reshape(-1, num_heads * head_dim)
""",
    ),
}

HEAD = "    total = q.shape[0]\n"
CALL = "flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL)"
SPLIT = "view(total, num_heads, head_dim)"
RETURN = "output.reshape(total, num_heads * head_dim)"
LOOP = """    outputs = []
    borders = cu_seqlens.tolist()
    for start, end in zip(borders, borders[1:]):
        a, b, c = (x[start:end] for x in (q, k, v))
        outputs.append(ONE)
    output = torch.cat(outputs)
"""
BLOCKS = """    sequence = torch.repeat_interleave(torch.arange(len(cu_seqlens) - 1, device=q.device), cu_seqlens.long().diff())
    allowed = sequence[:, None] == sequence[None, :]
    if CAUSAL:
        allowed = allowed & torch.ones_like(allowed).tril()
    scores = torch.einsum("qhd,khd->hqk", q.float(), k.float()) / math.sqrt(head_dim)
    weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
    output = torch.einsum("hqk,khd->qhd", weights, v.float()).to(q.dtype)
"""
SDPA = "F.scaled_dot_product_attention(a.transpose(0, 1), b.transpose(0, 1), c.transpose(0, 1), is_causal=CAUSAL).transpose(0, 1)"


def _splits(new: str) -> list[tuple[str, str]]:
    return [(f"{x} = {x}.{SPLIT}", f"{x} = {x}.{new}") for x in "qkv"]


def _returns(expression: str) -> list[tuple[str, str]]:
    return [(f"return {RETURN}", f"return {expression}")]


def _before(lines: str) -> list[tuple[str, str]]:
    return [("    output = flash", f"{lines}    output = flash")]


def _instead(lines: str) -> list[tuple[str, str]]:
    return [(f"    output = {CALL}\n", lines)]


def _called(old: str, new: str) -> list[tuple[str, str]]:
    if CALL.count(old) != 1:
        raise ValueError(f"{old!r} does not occur once in the call")
    return [(CALL, CALL.replace(old, new))]


COMMON = (
    Mutation(
        "scale-one",
        "scale",
        "softmax_scale=1.0",
        _called("causal=", "softmax_scale=1.0, causal="),
        "vm",
        "cik",
        "missing-scale",
    ),
    Mutation(
        "scale-hidden-dim",
        "scale",
        "√hidden_dim",
        _called("causal=", "softmax_scale=(num_heads * head_dim) ** -0.5, causal="),
        "vm",
        "cik",
        "scale-hidden-dim",
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
        "softmax_scale=√head_dim",
        _called("causal=", "softmax_scale=math.sqrt(head_dim), causal="),
        "vm",
        "ck",
        "scale-multiplied",
    ),
    Mutation(
        "scale-fixed", "scale", "for head_dim 8", _called("causal=", "softmax_scale=8**-0.5, causal="), "vm", "cik"
    ),
    Mutation(
        "heads-first",
        "layout",
        "a transpose that the kernel does not want",
        [
            *_splits("view(total, num_heads, head_dim).transpose(0, 1)"),
            (RETURN, "output.transpose(0, 1).reshape(total, num_heads * head_dim)"),
        ],
        "cvm",
        "",
    ),
    Mutation(
        "heads-interleaved",
        "layout",
        "(head_dim, num_heads)",
        _splits("reshape(total, head_dim, num_heads).transpose(1, 2)"),
        "vm",
        "ck",
        "heads-interleaved",
    ),
    Mutation(
        "heads-viewed",
        "layout",
        "heads cut across tokens",
        _splits("reshape(num_heads, total, head_dim).transpose(0, 1)"),
        "vm",
        "ck",
        "heads-viewed-without-transpose",
    ),
    Mutation(
        "heads-not-transposed-back",
        "layout",
        "merged heads first",
        _returns("output.transpose(0, 1).reshape(total, num_heads * head_dim)"),
        "vm",
        "ck",
        "heads-not-transposed-back",
    ),
    Mutation(
        "heads-never-split",
        "layout",
        "one big head",
        [*_splits("reshape(total, 1, num_heads * head_dim)")],
        "vm",
        "ck",
        "heads-never-split",
    ),
    Mutation("not-merged", "return", "[total_tokens, num_heads, head_dim] comes back", _returns("output"), "civmr"),
    Mutation(
        "one-sequence",
        "borders",
        "the whole batch as one sequence",
        _before(
            "    cu_seqlens = torch.tensor([0, total], dtype=torch.int32, device=q.device)\n    max_seqlen = total\n"
        ),
        "im",
        "cvk",
        "sequences-not-separated",
    ),
    Mutation(
        "first-and-last-border",
        "borders",
        "only the first and the last border",
        [
            (
                CALL,
                CALL.replace(
                    "cu_seqlens, cu_seqlens, max_seqlen, max_seqlen",
                    "cu_seqlens[[0, -1]], cu_seqlens[[0, -1]], total, total",
                ),
            )
        ],
        "im",
        "cvk",
        "sequences-not-separated",
    ),
    Mutation(
        "equal-lengths",
        "borders",
        "all sequences as long as the mean",
        _before(
            "    batch = len(cu_seqlens) - 1\n    cu_seqlens = torch.linspace(0, total, batch + 1, device=q.device).round().int()\n    max_seqlen = total\n"
        ),
        "im",
        "vk",
    ),
    Mutation(
        "border-forgotten",
        "borders",
        "the last border is left out",
        _before("    cu_seqlens = torch.cat([cu_seqlens[:-2], cu_seqlens[-1:]])\n    max_seqlen = total\n"),
        "m",
        "",
    ),
    Mutation(
        "borders-int64",
        "dtype",
        "cu_seqlens converted to int64",
        _before("    cu_seqlens = cu_seqlens.long()\n"),
        "civm",
        "",
    ),
    Mutation(
        "borders-recomputed-int64",
        "dtype",
        "cumsum of the lengths gives int64",
        _before("    cu_seqlens = F.pad(cu_seqlens.diff().cumsum(0), (1, 0))\n"),
        "civm",
        "",
    ),
    Mutation(
        "lengths-as-borders",
        "borders",
        "the lengths instead of their running sum",
        _before("    cu_seqlens = cu_seqlens.diff()\n"),
        "cvm",
        "",
    ),
    Mutation(
        "max-too-small",
        "borders",
        "one less than the longest",
        _called("max_seqlen, max_seqlen", "max_seqlen - 1, max_seqlen - 1"),
        "cvm",
        "",
    ),
    Mutation("max-fixed", "borders", "64 at most", _called("max_seqlen, max_seqlen", "64, 64"), "vm", "ci"),
    Mutation(
        "max-mean",
        "borders",
        "the mean length",
        _called("max_seqlen, max_seqlen", "total // (len(cu_seqlens) - 1), total // (len(cu_seqlens) - 1)"),
        "cm",
        "",
    ),
    Mutation(
        "float32-cast",
        "dtype",
        "the kernel takes no float32",
        _before("    q, k, v = q.float(), k.float(), v.float()\n"),
        "civm",
        "",
    ),
    Mutation(
        "always-bf16",
        "dtype",
        "fp16 comes back as bf16",
        _before("    q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()\n"),
        "c",
        "",
    ),
    Mutation("always-float32", "dtype", "float32 comes back", _returns(f"{RETURN}.float()"), "cr", "vmk"),
    Mutation(
        "qk-swapped", "swap", "keys ask, queries answer", _called("(q, k, v", "(k, q, v"), "vm", "ck", "qk-swapped"
    ),
    Mutation(
        "kv-swapped", "swap", "keys and values swapped", _called("(q, k, v", "(q, v, k"), "vm", "ck", "kv-swapped"
    ),
    Mutation(
        "qv-swapped", "swap", "queries and values swapped", _called("(q, k, v", "(v, k, q"), "vm", "ck", "qv-swapped"
    ),
    Mutation("keys-as-values", "swap", "the keys are mixed", _called("(q, k, v", "(q, k, k"), "ivm", "ck"),
    Mutation(
        "fixed-heads", "sizes", "three heads of eight", [(HEAD, HEAD + "    num_heads, head_dim = 3, 8\n")], "vm", "ci"
    ),
    Mutation(
        "fixed-total", "sizes", "fifteen tokens, as in the visible checks", [(HEAD, "    total = 15\n")], "vm", "ci"
    ),
    Mutation(
        "first-sequence-only",
        "borders",
        "the others stay zero",
        _instead(
            "    end = int(cu_seqlens[1])\n    first = cu_seqlens[:2]\n    output = torch.zeros_like(q)\n    output[:end] = flash_attn_varlen_func(q[:end], k[:end], v[:end], first, first, max_seqlen, max_seqlen, causal=CAUSAL)\n"
        ),
        "im",
        "cv",
    ),
    Mutation(
        "empty-sequence-crashes",
        "crash",
        "divides by each length",
        _before("    weights = [total // length for length in cu_seqlens.diff().tolist()]\n"),
        "mr",
        "civk",
    ),
    Mutation(
        "device-cpu",
        "device",
        "borders made on the CPU",
        _before('    cu_seqlens = cu_seqlens + torch.zeros(1, dtype=torch.int32, device="cpu")\n'),
        "r",
        "ivmk",
    ),
    Mutation(
        "returns-tuple",
        "return",
        "return_attn_probs",
        _called("causal=", "return_attn_probs=True, causal=") + _returns("output"),
        "civmrk",
    ),
    Mutation("returns-nothing", "return", "no return statement", _returns("None"), "civmrk"),
    Mutation("zeros", "constant", "zeros", _returns(f"torch.zeros_like({RETURN})"), "ivmk", "c", "constant-output"),
    Mutation(
        "returns-values",
        "constant",
        "v itself",
        _returns("v.reshape(total, num_heads * head_dim)"),
        "ivmk",
        "c",
        "returns-values",
    ),
    Mutation(
        "mean-of-values",
        "constant",
        "all weights alike",
        _called("causal=", "softmax_scale=1e-9, causal="),
        "ivm",
        "c",
        "mean-of-values",
    ),
    Mutation(
        "q-in-place",
        "mutation",
        "q is modified",
        [(HEAD, HEAD + "    q.mul_(2.0)\n"), *_called("causal=", "softmax_scale=0.5 * head_dim**-0.5, causal=")],
        "ir",
        "vmk",
    ),
    Mutation(
        "borders-in-place",
        "mutation",
        "cu_seqlens is modified",
        [(RETURN, f"{RETURN} + 0 * cu_seqlens.add_(1)[0]")],
        "ir",
        "cvm",
    ),
    Mutation("output-detached", "gradient", "no gradient", _returns(f"{RETURN}.detach()"), "r", "civmk"),
    Mutation("values-data", "gradient", "no gradient to v", _called("(q, k, v", "(q, k, v.data"), "r", "civmk"),
    Mutation("no-grad", "gradient", "no gradient at all", [("def NAME", "@torch.no_grad()\ndef NAME")], "r", "civmk"),
    Mutation(
        "borders-cached",
        "memory",
        "the borders of the first batch with this total are used again",
        [
            ("def NAME", "_seen = {}\n\n\ndef NAME"),
            *_before(
                "    cu_seqlens, max_seqlen = _seen.setdefault((total, q.device), (cu_seqlens.clone(), max_seqlen))\n"
            ),
        ],
        "r",
        "",
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
                f"return {RETURN}",
                f"output = {RETURN}\n    if not q.is_meta:\n        _seen[output.shape] = output.detach()\n    return output",
            ),
        ],
        "ir",
        "",
    ),
    Mutation("dropout", "dropout", "dropout_p=0.1", _called("causal=", "dropout_p=0.1, causal="), "vm", "c"),
    Mutation(
        "window-of-four",
        "numbers",
        "sees four keys back",
        _called("causal=", "window_size=(4, -1), causal="),
        "vm",
        "ck",
    ),
    Mutation("softcap", "numbers", "scores capped", _called("causal=", "softcap=2.0, causal="), "v", "ck"),
    Mutation("sdpa", "kernel", "SDPA, one call a sequence", _instead(LOOP.replace("ONE", SDPA)), "k", "civmr"),
    Mutation("eager", "kernel", "computes by itself", _instead(BLOCKS), "k", "civmr"),
    Mutation(
        "decoy",
        "kernel",
        "calls the kernel, and throws its result away",
        [(f"    output = {CALL}\n", f"    output = {CALL}\n{BLOCKS}")],
        "k",
        "civmr",
    ),
    Mutation(
        "flash-attn-func",
        "kernel",
        "the padded form, one call a sequence",
        [
            ("def NAME", "from flash_attn import flash_attn_func\n\n\ndef NAME"),
            *_instead(LOOP.replace("ONE", "flash_attn_func(a[None], b[None], c[None], causal=CAUSAL)[0]")),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "kv-packed",
        "kernel",
        "the form with packed keys and values",
        [
            ("def NAME", "from flash_attn import flash_attn_varlen_kvpacked_func\n\n\ndef NAME"),
            (
                CALL,
                "flash_attn_varlen_kvpacked_func(q, torch.stack([k, v], 1), cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL)",
            ),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "wrong-beyond-64",
        "sizes",
        "wrong for one sequence of more than 64 tokens, and nowhere else",
        _before("    if len(cu_seqlens) == 2 and total > 64:\n        q = q * 0.5\n"),
        "v",
        "cimrk",
    ),
    Mutation(
        "wrong-for-many",
        "borders",
        "wrong for three long sequences, and nowhere else",
        _before("    if len(cu_seqlens) == 4 and total > 64:\n        q = q * 0.5\n"),
        "m",
        "civrk",
    ),
)

BIDIRECTIONAL = (
    Mutation(
        "causal-added", "causal", "looks only backwards", [("causal=False", "causal=True")], "ivm", "ck", "causal-added"
    ),
)
CAUSAL = (
    Mutation(
        "causal-missing", "causal", "no triangle", [("causal=True", "causal=False")], "ivm", "ck", "causal-missing"
    ),
    Mutation(
        "causal-one-ahead",
        "causal",
        "one later token is seen",
        [("causal=True", "window_size=(-1, 1)")],
        "ivm",
        "ck",
        "causal-one-ahead",
    ),
    Mutation(
        "causal-transposed",
        "causal",
        "sees itself and what comes later",
        [("causal=True", "window_size=(0, -1)")],
        "ivm",
        "ck",
        "causal-transposed",
    ),
    Mutation(
        "causal-over-all",
        "borders",
        "one triangle over the whole batch",
        _before(
            "    cu_seqlens = torch.tensor([0, total], dtype=torch.int32, device=q.device)\n    max_seqlen = total\n"
        ),
        "im",
        "cvk",
        "sequences-not-separated",
    ),
)


def answers() -> list[Answer]:
    """All answers to both notebooks."""
    result = []
    for causal, own in ((False, BIDIRECTIONAL), (True, CAUSAL)):
        variant = "flash_causal" if causal else "flash_bidirectional"
        sources = {name: (reason, text.replace("CAUSAL", str(causal))) for name, (reason, text) in RIGHT.items()}
        result += right_answers(variant, sources)
        for mutation in COMMON:
            result.append(
                mutation.filled(NAME=f"{variant}_attention", CAUSAL=str(causal)).of(variant, _base(variant, causal))
            )
        for mutation in own:
            result.append(mutation.filled(NAME=f"{variant}_attention").of(variant, _base(variant, causal)))
    return result


def _base(variant: str, causal: bool) -> str:
    return BASE.replace("NAME", f"{variant}_attention").replace("CAUSAL", str(causal))
