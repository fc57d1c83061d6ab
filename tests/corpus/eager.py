"""Answers to 01 and 02: attention by plain tensor operations."""

from __future__ import annotations

from corpus.answer import Answer, Mutation, right_answers

TRIANGLE = {
    False: "torch.ones(seq, seq, dtype=torch.bool, device=q.device)",
    True: "torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()",
}

BASE = """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q = q.view(batch, seq, num_heads, head_dim).transpose(1, 2)
    k = k.view(batch, seq, num_heads, head_dim).transpose(1, 2)
    v = v.view(batch, seq, num_heads, head_dim).transpose(1, 2)
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    output = weights @ v
    return output.transpose(1, 2).reshape(batch, seq, hidden_dim)
"""

RIGHT = {
    "view-transpose": ("the plain way", BASE),
    "unflatten-flatten": (
        "heads by unflatten and flatten, a generator over q, k and v",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    seq = q.shape[1]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = (q @ k.mT) * head_dim**-0.5
    weights = torch.softmax(torch.where(allowed, scores, torch.finfo(scores.dtype).min), dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)
""",
    ),
    "einsum": (
        "einsum over five axes, no transpose at all",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    shape = (batch, seq, num_heads, head_dim)
    q, k, v = q.reshape(shape), k.reshape(shape), v.reshape(shape)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / head_dim**0.5
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed[None, None] & mask[:, None, None, :]
    scores = scores.masked_fill(allowed.logical_not(), torch.finfo(scores.dtype).min)
    return torch.einsum("bhqk,bkhd->bqhd", F.softmax(scores, dim=-1), v).reshape(batch, seq, hidden_dim)
""",
    ),
    "loop-over-heads": (
        "one head after the other, joined by cat",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    seq = q.shape[1]
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed & mask[:, None, :]
    outputs = []
    for head in range(num_heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(head_dim)
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        outputs.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(outputs, dim=-1)
""",
    ),
    "loop-over-items": (
        "one sequence after the other, joined by stack",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    outputs = []
    for item in range(batch):
        queries, keys, values = (x[item].reshape(seq, num_heads, head_dim).permute(1, 0, 2) for x in (q, k, v))
        scores = queries @ keys.permute(0, 2, 1) / math.sqrt(head_dim)
        allowed = TRIANGLE
        if mask is not None:
            allowed = allowed & mask[item]
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        outputs.append((scores.softmax(-1) @ values).permute(1, 0, 2).reshape(seq, hidden_dim))
    return torch.stack(outputs)
""",
    ),
    "bmm": (
        "batch and heads merged into one axis for bmm",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape

    def split(x):
        return x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2).reshape(batch * num_heads, seq, head_dim)

    scores = torch.bmm(split(q), split(k).transpose(1, 2)) / math.sqrt(head_dim)
    allowed = TRIANGLE.expand(batch, seq, seq)
    if mask is not None:
        allowed = allowed & mask.unsqueeze(1)
    allowed = allowed.repeat_interleave(num_heads, dim=0)
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    output = torch.bmm(F.softmax(scores, dim=2), split(v))
    return output.reshape(batch, num_heads, seq, head_dim).transpose(1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
    "minus-infinity-with-rescue": (
        "-inf, but rows without keys are opened before the softmax, so that gradients stay finite",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    allowed = allowed | ~allowed.any(dim=-1, keepdim=True)
    scores = (q @ k.transpose(2, 3) / math.sqrt(head_dim)).masked_fill(~allowed, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
    "additive-bias": (
        "a float bias of 0 and finfo.min is added",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    low = torch.finfo(q.dtype).min / 2
    bias = torch.zeros(allowed.shape, dtype=q.dtype, device=q.device).masked_fill(~allowed, low)
    scores = q @ k.transpose(2, 3) / math.sqrt(head_dim) + bias
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
    "in-place-on-temporaries": (
        "masked_fill_ and div_ on tensors of its own",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    scores = torch.matmul(q, k.transpose(-1, -2))
    scores /= math.sqrt(head_dim)
    blocked = ~TRIANGLE
    scores.masked_fill_(blocked, torch.finfo(scores.dtype).min)
    if mask is not None:
        scores.masked_fill_(~mask.view(batch, 1, 1, seq), torch.finfo(scores.dtype).min)
    return torch.matmul(scores.softmax(-1), v).transpose(1, 2).contiguous().view(batch, seq, hidden_dim)
""",
    ),
    "float32-inside": (
        "computes in float32 and converts back",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    dtype, (batch, seq, hidden_dim) = q.dtype, q.shape
    q, k, v = (x.float().reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = (q @ k.transpose(-2, -1) / math.sqrt(head_dim)).masked_fill(~allowed, -1e30)
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, seq, hidden_dim).to(dtype)
""",
    ),
    "softmax-by-hand": (
        "exp of differences to the row's maximum, divided by the sum; empty rows give zeros",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TRIANGLE
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    scores = torch.where(allowed, scores, torch.full_like(scores, -1e4))
    exponentials = torch.exp(scores - scores.amax(dim=-1, keepdim=True).detach()) * allowed
    weights = exponentials / exponentials.sum(dim=-1, keepdim=True).clamp_min(1e-6)
    return (weights @ v).transpose(1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
    "cached-table": (
        "the table without padding is cached by length and device",
        """
_tables = {}


def table(seq, device):
    if (seq, device) not in _tables:
        q = torch.empty(0, device=device)
        _tables[seq, device] = TRIANGLE
    return _tables[seq, device]


def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    allowed = table(seq, q.device)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    scores = (q @ k.transpose(-2, -1) / math.sqrt(head_dim)).masked_fill(~allowed, torch.finfo(q.dtype).min)
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
    "scale-in-q": (
        "the scale is folded into q, out of place",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q = (q / math.sqrt(head_dim)).reshape(batch, seq, num_heads, head_dim).transpose(1, 2)
    k = k.reshape(batch, seq, num_heads, head_dim).permute(0, 2, 3, 1)
    v = v.reshape(batch, seq, num_heads, head_dim).transpose(1, 2)
    allowed = TRIANGLE
    if mask is not None:
        allowed = torch.logical_and(allowed, mask.unsqueeze(1).unsqueeze(2))
    scores = torch.where(allowed, q @ k, torch.finfo(q.dtype).min)
    return torch.matmul(scores.softmax(-1), v).transpose(1, 2).flatten(-2)
""",
    ),
    "class-and-typing": (
        "helpers in a class, type hints, a closure",
        """
from typing import Optional


class Heads:
    def __init__(self, num_heads: int, head_dim: int):
        self.num_heads, self.head_dim = num_heads, head_dim

    def split(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).movedim(2, 1)

    def merge(self, x: torch.Tensor) -> torch.Tensor:
        return x.movedim(1, 2).flatten(2)


def NAME(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    num_heads: int,
    head_dim: int,
    mask: Optional[torch.Tensor] = None,
) -> torch.Tensor:
    heads, seq = Heads(num_heads, head_dim), q.size(1)

    def blocked() -> torch.Tensor:
        allowed = TRIANGLE
        return ~allowed if mask is None else ~(allowed & mask[:, None, None])

    scores = heads.split(q) @ heads.split(k).transpose(-1, -2) / head_dim**0.5
    weights = scores.masked_fill(blocked(), torch.finfo(scores.dtype).min).softmax(-1)
    return heads.merge(weights @ heads.split(v))
""",
    ),
    "nan-to-num": (
        "masked_fill with -inf, then nan_to_num: masked_fill's backward stops the NaN",
        BASE.replace("torch.finfo(scores.dtype).min", 'float("-inf")').replace(
            "scores.softmax(dim=-1)", "scores.softmax(dim=-1).nan_to_num(0.0)"
        ),
    ),
    "chunked-over-queries": (
        "four queries at a time",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    queries, keys, values = (x.reshape(batch, seq, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    allowed = TRIANGLE.expand(batch, 1, seq, seq)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    outputs = []
    for start in range(0, seq, 4):
        rows = slice(start, start + 4)
        scores = queries[:, :, rows] @ keys.transpose(-2, -1) / math.sqrt(head_dim)
        scores = scores.masked_fill(~allowed[:, :, rows], torch.finfo(scores.dtype).min)
        outputs.append(scores.softmax(-1) @ values)
    return torch.cat(outputs, dim=2).transpose(1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
}

SCALE = " / math.sqrt(head_dim)"
FILL = "torch.finfo(scores.dtype).min"
SPLIT = "view(batch, seq, num_heads, head_dim).transpose(1, 2)"
MERGE = "output.transpose(1, 2).reshape(batch, seq, hidden_dim)"
HEAD = "    batch, seq, hidden_dim = q.shape\n"
MASKED = "    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)\n"
SOFTMAX = "    weights = scores.softmax(dim=-1)\n"
USE = "allowed & mask[:, None, None, :]"
OPENED = "(allowed | ~allowed.any(-1, keepdim=True))"  # rows without keys see all of them
NUMBERS = "vmr"  # a wrong number everywhere costs values, masking and the gradients


def _splits(new: str) -> list[tuple[str, str]]:
    return [(f"{x} = {x}.{SPLIT}", f"{x} = {x}.{new}") for x in "qkv"]


def _returns(expression: str) -> list[tuple[str, str]]:
    return [(f"return {MERGE}", f"return {expression}")]


COMMON = (
    Mutation("missing-scale", "scale", "no scale", [(SCALE, "")], NUMBERS, "cik", "missing-scale"),
    Mutation(
        "scale-hidden-dim",
        "scale",
        "√hidden_dim",
        [(SCALE, " / math.sqrt(hidden_dim)")],
        "vm",
        "cik",
        "scale-hidden-dim",
    ),
    Mutation(
        "scale-head-dim", "scale", "head_dim, not its root", [(SCALE, " / head_dim")], "vm", "cik", "scale-head-dim"
    ),
    Mutation(
        "scale-multiplied",
        "scale",
        "times √head_dim",
        [(SCALE, " * math.sqrt(head_dim)")],
        NUMBERS,
        "ck",
        "scale-multiplied",
    ),
    Mutation("scale-seq", "scale", "√seq", [(SCALE, " / math.sqrt(seq)")], "vm", "cik", "scale-seq"),
    Mutation("scale-fixed", "scale", "√8, whatever head_dim", [(SCALE, " / math.sqrt(8)")], "vm", "cik"),
    Mutation(
        "scale-after-softmax",
        "scale",
        "the weights are scaled instead of the scores",
        [(SCALE, ""), (".softmax(dim=-1)", f".softmax(dim=-1){SCALE}")],
        NUMBERS,
        "ck",
    ),
    Mutation(
        "mask-inverted",
        "mask",
        "True read as masked",
        [(USE, "allowed & ~mask[:, None, None, :]")],
        "im",
        "cvk",
        "mask-inverted",
    ),
    Mutation("mask-ignored", "mask", "never used", [(USE, "allowed")], "im", "cvk", "mask-ignored"),
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
        "mask-multiplied",
        "mask",
        "scores times mask",
        [("scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)", "scores * allowed")],
        "im",
        "ck",
        "mask-multiplied",
    ),
    Mutation(
        "mask-added",
        "mask",
        "the bool is added to the scores",
        [
            (MASKED, MASKED + "    if mask is not None:\n        scores = scores + mask[:, None, None, :]\n"),
            (USE, "allowed"),
        ],
        "im",
        "cvk",
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
    Mutation("constant-1", "mask", "masked scores become -1", [(FILL, "-1.0")], "im", "ck", "mask-constant-too-small"),
    Mutation(
        "constant-10", "mask", "masked scores become -10", [(FILL, "-10.0")], "m", "ck", "mask-constant-too-small"
    ),
    Mutation(
        "constant-100", "mask", "masked scores become -100", [(FILL, "-100.0")], "m", "cik", "mask-constant-too-small"
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
        "arguments-renamed",
        "call",
        "keyword calls fail",
        [("def NAME(q, k, v, num_heads", "def NAME(query, k, v, num_heads"), (HEAD, "    q = query\n" + HEAD)],
        "c",
        "",
    ),
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
        "heads-viewed-both-ways",
        "layout",
        "heads cut across tokens, and merged so",
        [*_splits("reshape(batch, num_heads, seq, head_dim)"), *_returns("output.reshape(batch, seq, hidden_dim)")],
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
    Mutation("not-merged", "return", "[batch, num_heads, seq, head_dim] comes back", _returns("output"), "civmr"),
    Mutation(
        "softmax-over-queries", "softmax", "the wrong axis", [("dim=-1", "dim=-2")], "vm", "ck", "softmax-over-queries"
    ),
    Mutation(
        "softmax-over-heads", "softmax", "the wrong axis", [("dim=-1", "dim=1")], "vm", "ck", "softmax-over-heads"
    ),
    Mutation(
        "softmax-missing",
        "softmax",
        "scores weight the values",
        [(FILL, "0.0"), ("scores.softmax(dim=-1)", "scores")],
        "vm",
        "ck",
        "softmax-missing",
    ),
    Mutation(
        "softmax-overflows",
        "nan",
        "exp without the row's maximum",
        [
            ("scores.softmax(dim=-1)", "scores.exp() / scores.exp().sum(-1, keepdim=True).clamp_min(1e-20)"),
            (FILL, "-1e4"),
        ],
        "v",
        "ck",
    ),
    Mutation(
        "softmax-rounded",
        "numbers",
        "weights rounded to two digits",
        [(".softmax(dim=-1)", ".softmax(dim=-1).mul(100).round().div(100)")],
        "vmr",
        "ck",
    ),
    Mutation(
        "scores-clamped",
        "numbers",
        "scores cut to [-5, 5]",
        [(SCALE, f"{SCALE}\n    scores = scores.clamp(-5, 5)")],
        "v",
        "ck",
    ),
    Mutation(
        "window-of-four",
        "numbers",
        "sees four keys to each side",
        [
            (
                MASKED,
                "    place = torch.arange(seq, device=q.device)\n    allowed = allowed & ((place[:, None] - place[None, :]).abs() <= 4)\n"
                + MASKED,
            )
        ],
        "v",
        "ck",
    ),
    Mutation(
        "qk-swapped",
        "swap",
        "keys ask, queries answer",
        [("q @ k.transpose(-2, -1)", "k @ q.transpose(-2, -1)")],
        "vm",
        "ck",
        "qk-swapped",
    ),
    Mutation(
        "kv-swapped",
        "swap",
        "keys and values swapped",
        [("k = k.view", "k, v = v, k\n    k = k.view")],
        "vm",
        "c",
        "kv-swapped",
    ),
    Mutation(
        "qv-swapped",
        "swap",
        "queries and values swapped",
        [("q = q.view", "q, v = v, q\n    q = q.view")],
        "vm",
        "c",
        "qv-swapped",
    ),
    Mutation("keys-as-values", "swap", "the keys are mixed", [("weights @ v", "weights @ k")], "ivm", "ck"),
    Mutation("always-float32", "dtype", "float32 comes back", _returns(f"{MERGE}.float()"), "cr", "vmk"),
    Mutation(
        "half-inside",
        "dtype",
        "computes in fp16",
        [("weights @ v", "(weights.half() @ v.half()).to(v.dtype)")],
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
    Mutation("returns-weights-too", "return", "a tuple", _returns(f"{MERGE}, weights"), "civmrk"),
    Mutation("returns-numpy", "return", "an array", _returns(f"{MERGE}.detach().double().numpy()"), "civmrk"),
    Mutation("returns-nothing", "return", "no return statement", _returns("None"), "civmrk"),
    Mutation(
        "zeros",
        "constant",
        "zeros",
        _returns("torch.zeros_like(output).transpose(1, 2).reshape(batch, seq, hidden_dim)"),
        "ivm",
        "c",
        "constant-output",
    ),
    Mutation(
        "returns-values",
        "constant",
        "v itself",
        _returns("v.transpose(1, 2).reshape(batch, seq, hidden_dim)"),
        "ivm",
        "c",
        "returns-values",
    ),
    Mutation("mean-of-values", "constant", "all weights alike", [(SCALE, " * 0.0")], "ivm", "c", "mean-of-values"),
    Mutation(
        "q-scaled-in-place",
        "mutation",
        "q is modified",
        [(HEAD, HEAD + "    q.div_(math.sqrt(head_dim))\n"), (SCALE, "")],
        "ir",
        "vmk",
    ),
    Mutation(
        "mask-inverted-in-place",
        "mutation",
        "the mask is modified",
        [(USE, "allowed & ~mask.logical_not_()[:, None, None, :]")],
        "ir",
        "cvmk",
    ),
    Mutation(
        "weights-detached",
        "gradient",
        "no gradient through the weights",
        [("weights @ v", "weights.detach() @ v")],
        "r",
        "civmk",
    ),
    Mutation("values-data", "gradient", "no gradient to v", [("weights @ v", "weights @ v.data")], "r", "civmk"),
    Mutation("no-grad", "gradient", "no gradient at all", [("def NAME", "@torch.no_grad()\ndef NAME")], "r", "civmk"),
    Mutation("minus-infinity", "nan", "rows without keys are NaN", [(FILL, 'float("-inf")')], "r", "civmk"),
    Mutation(
        "bias-then-nan-to-num",
        "nan",
        "an additive -inf bias: clean forward, NaN gradients",
        [
            (MASKED, '    scores = scores + torch.zeros_like(scores).masked_fill(~allowed, float("-inf"))\n'),
            (".softmax(dim=-1)", ".softmax(dim=-1).nan_to_num(0.0)"),
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
    Mutation(
        "dropout", "dropout", "0.1, always", [("weights @ v", "torch.dropout(weights, 0.1, True) @ v")], "vm", "c"
    ),
    Mutation(
        "fused",
        "kernel",
        "SDPA does the work",
        [
            (SOFTMAX, ""),
            (
                "weights @ v",
                "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed | ~allowed.any(-1, keepdim=True))",
            ),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "fused-by-alias",
        "kernel",
        "SDPA under another name",
        [
            (SOFTMAX, ""),
            (
                "weights @ v",
                "torch._C._nn.scaled_dot_product_attention(q, k, v, attn_mask=allowed | ~allowed.any(-1, keepdim=True))",
            ),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "fused-by-vmap",
        "kernel",
        "SDPA under torch.vmap",
        [
            (SOFTMAX, ""),
            (
                "weights @ v",
                f"torch.vmap(F.scaled_dot_product_attention)(q, k, v, {OPENED}.expand(batch, 1, seq, seq))",
            ),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "fused-with-ones",
        "kernel",
        "SDPA sums a column of ones too, by which its result is divided",
        [
            (SOFTMAX, "    ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1).float()\n"),
            (
                "output = weights @ v",
                f"sums = F.scaled_dot_product_attention(q.float(), k.float(), ones, attn_mask={OPENED})\n"
                "    output = (sums[..., :-1] / sums[..., -1:]).to(q.dtype)",
            ),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "wrong-beyond-64",
        "sizes",
        "wrong for more than 64 tokens without a mask, and nowhere else",
        [(SOFTMAX, "    if mask is None and seq > 64:\n        scores = scores * 0.9\n" + SOFTMAX)],
        "v",
        "cimrk",
    ),
)

BIDIRECTIONAL = (
    Mutation(
        "mask-after-softmax",
        "mask",
        "struck out afterwards",
        [(MASKED, ""), (".softmax(dim=-1)", ".softmax(dim=-1) * allowed")],
        "m",
        "cvk",
        "mask-after-softmax",
    ),
    Mutation(
        "causal-added",
        "causal",
        "looks only backwards",
        [(TRIANGLE[False], TRIANGLE[True])],
        "ivm",
        "ck",
        "causal-added",
    ),
    Mutation(
        "flash-form-in-bf16",
        "kernel",
        "the padded form of flash-attn, in bf16 alone",
        [
            ("def NAME", "from flash_attn import flash_attn_func\n\n\ndef NAME"),
            (
                "output = weights @ v",
                "output = weights @ v\n    if mask is None and q.dtype == torch.bfloat16:\n"
                "        output = flash_attn_func(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)",
            ),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "flash-unseen-in-bf16",
        "kernel",
        "flash_attn_varlen_func behind PyTorch's overrides, in bf16 alone",
        [
            (
                "output = weights @ v",
                "output = weights @ v\n    if mask is None and q.dtype == torch.bfloat16:\n"
                "        ends = torch.arange(batch + 1, dtype=torch.int32, device=q.device) * seq\n"
                "        packed = (x.transpose(1, 2).flatten(0, 1) for x in (q, k, v))\n"
                "        with torch._C.DisableTorchFunction():\n"
                "            output = flash_attn_varlen_func(*packed, ends, ends, seq, seq)\n"
                "        output = output.unflatten(0, (batch, seq)).transpose(1, 2)",
            ),
        ],
        "k",
        "civmr",
    ),
    Mutation(
        "constant-50",
        "mask",
        "masked scores become -50: only low scores show it",
        [(FILL, "-50.0")],
        "m",
        "civrk",
        "mask-constant-too-small",
    ),
)

CAUSAL = (
    Mutation(
        "everything-after-softmax",
        "mask",
        "struck out afterwards",
        [(MASKED, ""), (".softmax(dim=-1)", ".softmax(dim=-1) * allowed")],
        "ivm",
        "ck",
        "mask-after-softmax",
    ),
    Mutation(
        "padding-after-softmax",
        "mask",
        "padding struck out afterwards",
        [
            (USE, "allowed"),
            (
                ".softmax(dim=-1)",
                ".softmax(dim=-1)\n    if mask is not None:\n        weights = weights * mask[:, None, None, :]",
            ),
        ],
        "m",
        "cvk",
        "mask-after-softmax",
    ),
    Mutation(
        "causal-missing", "causal", "no triangle", [(TRIANGLE[True], TRIANGLE[False])], "ivm", "ck", "causal-missing"
    ),
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
        [
            (USE, f"mask[:, None, None, :] & {TRIANGLE[True]}"),
            (f"allowed = {TRIANGLE[True]}\n    if", f"allowed = {TRIANGLE[False]}\n    if"),
        ],
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
    Mutation(
        "triangle-cached",
        "memory",
        "the first triangle is used for all lengths",
        [
            ("def NAME", "_seen = []\n\n\ndef NAME"),
            (f"allowed = {TRIANGLE[True]}", f"_seen.append({TRIANGLE[True]})\n    allowed = _seen[0]"),
        ],
        "v",
        "",
    ),
)


def answers() -> list[Answer]:
    """All answers to both notebooks."""
    result = []
    for causal, own in ((False, BIDIRECTIONAL), (True, CAUSAL)):
        variant = "eager_causal" if causal else "eager_bidirectional"
        sources = {name: (reason, text.replace("TRIANGLE", TRIANGLE[causal])) for name, (reason, text) in RIGHT.items()}
        result += right_answers(variant, sources)
        base = BASE.replace("TRIANGLE", TRIANGLE[causal]).replace("NAME", f"{variant}_attention")
        result += [mutation.filled(NAME=f"{variant}_attention").of(variant, base) for mutation in (*COMMON, *own)]
    return result
