"""Answers that a judge may treat unfairly, or miss: one mistake each that costs one thing, and right ones of rare form."""

from __future__ import annotations

from corpus import eager, flash, sdpa
from corpus.answer import Answer, Mutation, right_answers
from corpus.traps import START, first_right

MASKED = eager.MASKED
DEVICES = ("device", "cr", "ivmk", "device-hard-coded")


def _device(name: str, reason: str, changes: list[tuple[str, str]]) -> Mutation:
    kind, loses, keeps, diagnosis = DEVICES
    return Mutation(name, kind, reason, changes, loses, keeps, diagnosis)


PADDED = (
    _device("mask-on-cpu", "the mask is brought to the CPU", [(eager.USE, "allowed & mask.cpu()[:, None, None, :]")]),
    _device(
        "mask-by-numpy",
        "the mask goes through numpy",
        [(eager.USE, "allowed & torch.from_numpy(mask.cpu().numpy())[:, None, None, :]")],
    ),
    _device(
        "sent-home-twice",
        "computed on the CPU, and left there",
        [(START, f"{START}    q, k, v = q.cpu(), k.cpu(), v.cpu()\n    mask = mask if mask is None else mask.cpu()\n")],
    ),
    Mutation(
        "mask-two-axes",
        "mask",
        "[batch, seq] beside [batch, num_heads, seq, seq]",
        [(eager.USE, "allowed & mask")],
        "m",
        "v",
        "mask-axis-missing",
    ),
)
EAGER = (
    Mutation(
        "zero-taken-for-masked",
        "mask",
        "scores are multiplied by the table, and zeros filled",
        [
            (
                MASKED,
                "    scores = scores * allowed\n"
                "    scores = scores.masked_fill(scores == 0, torch.finfo(scores.dtype).min)\n",
            )
        ],
        "vm",
        "cik",
    ),
    Mutation(
        "fill-1e9",
        "constant",
        "fp16 cannot hold -1e9",
        [(eager.FILL, "-1e9")],
        "cr",
        "ivmk",
        "constant-overflows",
    ),
)
SDPA = (
    Mutation(
        "merged-by-view",
        "layout",
        "a view after the transpose, which the default kernel's memory layout allows",
        [(sdpa.MERGE, "output.transpose(1, 2).view(batch, seq, hidden_dim)")],
        "r",
        "civmk",
        "view-after-transpose",
    ),
    Mutation(
        "mask-of-integers",
        "mask",
        "the kernel takes no integers",
        [("attn_mask=allowed", "attn_mask=allowed.long()")],
        "civmr",
        "",
        "mask-of-integers",
    ),
    Mutation(
        "mask-of-ones",
        "mask",
        "the table as numbers is added to the scores",
        [("attn_mask=allowed", "attn_mask=allowed.to(q.dtype)")],
        "imr",
        "k",
        "mask-added",
    ),
)
FLASH = (
    _device(
        "borders-on-cpu",
        "the borders are brought to the CPU",
        [(flash.HEAD, f"{flash.HEAD}    cu_seqlens = cu_seqlens.cpu()\n")],
    ),
    _device(
        "borders-from-list",
        "the borders are built anew, on the CPU",
        [(flash.HEAD, f"{flash.HEAD}    cu_seqlens = torch.tensor(cu_seqlens.tolist(), dtype=torch.int32)\n")],
    ),
    Mutation(
        "always-bf16-inside",
        "precision",
        "fp16 is computed in bf16",
        [
            (flash.HEAD, f"{flash.HEAD}    dtype = q.dtype\n    q, k, v = (x.bfloat16() for x in (q, k, v))\n"),
            (flash.RETURN, f"{flash.RETURN}.to(dtype)"),
        ],
        "r",
        "civmk",
        "precision-lost",
    ),
)

STEPS = """
    allowed = TABLE
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
"""
RIGHT_EAGER = {
    "checkpoint-re-entrant": (
        "needs backward, and refuses autograd.grad",
        "import torch.utils.checkpoint as checkpoint\n"
        f"def steps(q, k, v, num_heads, head_dim, mask):{STEPS}"
        "def NAME(q, k, v, num_heads, head_dim, mask=None):\n"
        "    return checkpoint.checkpoint(steps, q, k, v, num_heads, head_dim, mask, use_reentrant=True)\n",
    ),
    "compiled": (
        "compilers do not run where answers are judged",
        f"@torch.compile\ndef NAME(q, k, v, num_heads, head_dim, mask=None):{STEPS}",
    ),
    "on-the-cpu-and-back": (
        "slow on a GPU, and right",
        "def NAME(q, k, v, num_heads, head_dim, mask=None):\n"
        "    device = q.device\n"
        "    q, k, v, mask = (x if x is None else x.cpu() for x in (q, k, v, mask))\n"
        "    return steps(q, k, v, num_heads, head_dim, mask).to(device)\n"
        f"def steps(q, k, v, num_heads, head_dim, mask):{STEPS}",
    ),
}
JAGGED = """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    if mask is None:
        borders = torch.arange(batch + 1, device=q.device) * seq
        rows = (x.flatten(0, 1).contiguous() for x in (q, k, v))
        q, k, v = (torch.nested.nested_tensor_from_jagged(x, borders).transpose(1, 2) for x in rows)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).values().view(batch, seq, hidden_dim)
    keys = (mask | ~mask.any(-1, keepdim=True))[:, None, None, :]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keys).transpose(1, 2).flatten(2)
"""
RIGHT_FLASH = {
    "borders-looked-at": (
        "reads the borders on the CPU, and leaves the kernel's where they are",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    lengths = cu_seqlens.cpu().diff().tolist()
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    longest = max(lengths)
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, longest, longest, causal=CAUSAL).flatten(1)
""",
    ),
}


def answers() -> list[Answer]:
    """All of them, for each variant of part one."""
    own = {"eager": (*PADDED, *EAGER), "sdpa": (*PADDED, *SDPA), "flash": FLASH}
    wrong = [
        mutation.of(variant, base)
        for variant, base in first_right().items()
        for mutation in own[variant.partition("_")[0]]
    ]
    right = [
        answer
        for causal, direction in ((False, "bidirectional"), (True, "causal"))
        for kernel, sources in (("eager", RIGHT_EAGER), ("flash", RIGHT_FLASH))
        for answer in right_answers(f"{kernel}_{direction}", _for(sources, causal))
    ]
    return wrong + right + right_answers("sdpa_bidirectional", {"jagged": ("nested tensors inside SDPA", JAGGED)})


def _for(sources: dict[str, tuple[str, str]], causal: bool) -> dict[str, tuple[str, str]]:
    """The sources with their placeholders filled for one direction."""
    table = eager.TRIANGLE[causal].replace("seq, seq", "q.shape[1], q.shape[1]")
    return {
        name: (reason, source.replace("TABLE", table).replace("CAUSAL", str(causal)))
        for name, (reason, source) in sources.items()
    }
