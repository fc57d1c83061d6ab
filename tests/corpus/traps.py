"""Wrong answers that look right in most calls: found by asking what a judge could miss."""

from __future__ import annotations

from corpus import eager, flash, sdpa
from corpus.answer import Answer, Mutation

# one line before the padded functions' first, as (text, text with the line)
START = "    batch, seq, hidden_dim = q.shape\n"
OWN = "(q @ k.transpose(-2, -1) / math.sqrt(head_dim)).masked_fill(~allowed, torch.finfo(q.dtype).min).softmax(-1) @ v"


def _start(line: str) -> list[tuple[str, str]]:
    return [(START, f"{START}    {line}\n")]


def _kernel(line: str) -> list[tuple[str, str]]:
    """A line after SDPA's call, which may put another ``output`` in its place; ``own`` is computed by hand."""
    return [(sdpa.CALL, f"{sdpa.CALL}\n    own = {OWN}\n    {line}")]


PADDED = (
    Mutation(
        "limit-512", "sizes", "no more than 512 tokens", _start("assert seq <= 512"), "v", "cimrk", "sizes-hard-coded"
    ),
    Mutation("limit-1024", "sizes", "as 1024", _start("assert seq <= 1024"), "v", "cimrk", "sizes-hard-coded"),
    Mutation(
        "detached-in-fp16",
        "gradient",
        "no gradient to k, in fp16 alone",
        _start("k = k.detach() if k.dtype == torch.float16 else k"),
        "r",
        "civmk",
        "gradient-cut",
    ),
    Mutation(
        "gradient-doubled",
        "gradient",
        "the gradient of v is twice what it should be",
        _start("v = v + (v - v.detach())"),
        "r",
        "civmk",
        "gradient-bent",
    ),
    Mutation(
        "written-without-mask",
        "mutation",
        "v is modified where no mask is given and gradients are wanted",
        _start("if mask is None and q.requires_grad:\n        v.data += 1"),
        "r",
        "civmk",
        "inputs-modified",
    ),
)
EAGER = (
    Mutation(
        "fill-1000",
        "constant",
        "-1000 at masked keys",
        [(eager.FILL, "-1000.0")],
        "m",
        "civrk",
        "mask-constant-too-small",
    ),
    Mutation(
        "sdpa-for-long",
        "kernel",
        "SDPA for more than 16 tokens",
        [
            (
                eager.MERGE,
                f"(output if seq <= 16 else F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)){eager.MERGE[6:]}",
            )
        ],
        "k",
        "civmr",
        "fused-kernel",
    ),
)
SDPA = (
    Mutation(
        "own-times-ratio",
        "kernel",
        "own numbers times one ratio",
        _kernel("output = own * (output / own).median()"),
        "k",
        "v",
        "kernel-in-part",
    ),
    Mutation(
        "own-for-long",
        "kernel",
        "own numbers beyond 16 tokens",
        _kernel("output = output if seq <= 16 else own"),
        "k",
        "civmr",
        "kernel-unused",
    ),
    Mutation(
        "own-in-fp16",
        "kernel",
        "own numbers in fp16",
        _kernel("output = own if q.dtype == torch.float16 else output"),
        "k",
        "civr",
        "kernel-unused",
    ),
    Mutation(
        "own-heads",
        "kernel",
        "one head is the kernel's",
        _kernel("output = torch.cat([output[:, :1], own[:, 1:]], 1)"),
        "k",
        "civmr",
        "kernel-in-part",
    ),
)
FLASH = (
    Mutation(
        "max-1024",
        "borders",
        "1024 at most",
        [("max_seqlen, max_seqlen", "1024, 1024")],
        "v",
        "cimrk",
        "max-seqlen-too-small",
    ),
    Mutation(
        "written-at-empty",
        "mutation",
        "k is modified where a sequence has no tokens",
        [
            (
                flash.HEAD,
                f"{flash.HEAD}    if (cu_seqlens.diff() == 0).any() and q.requires_grad:\n        k.data += 1\n",
            )
        ],
        "r",
        "civk",
        "inputs-modified",
    ),
)


def answers() -> list[Answer]:
    """All of them, for each variant of part one."""
    own = {"eager": (*PADDED, *EAGER), "sdpa": (*PADDED, *SDPA), "flash": FLASH}
    return [
        mutation.of(variant, base)
        for variant, base in first_right().items()
        for mutation in own[variant.partition("_")[0]]
    ]


def first_right() -> dict[str, str]:
    """By variant of part one, the answer that each notebook's own mutations start from: its first right one."""
    first: dict[str, str] = {}
    for group in (eager, sdpa, flash):
        for answer in group.answers():
            if answer.right:
                first.setdefault(answer.variant, answer.source)
    return first
