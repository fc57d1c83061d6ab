"""Answers to 11: one packed row, borders from ``position_ids``, and ``flash_attn_varlen_func``."""

from __future__ import annotations

from corpus import flash
from corpus.answer import Answer, Mutation, right_answers

VARIANT = "packed_positions"

BASE = """
def NAME(q, k, v, num_heads, head_dim, position_ids):
    total = q.shape[0]
    q = q.view(total, num_heads, head_dim)
    k = k.view(total, num_heads, head_dim)
    v = v.view(total, num_heads, head_dim)
    begins = torch.ones_like(position_ids, dtype=torch.bool)
    begins[1:] = position_ids[1:] != position_ids[:-1] + 1
    starts = begins.nonzero().flatten()
    cu_seqlens = F.pad(starts, (0, 1), value=total).to(torch.int32)
    max_seqlen = int(cu_seqlens.diff().max())
    output = flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=True)
    return output.reshape(total, num_heads * head_dim)
"""

BORDERS = """    begins = torch.ones_like(position_ids, dtype=torch.bool)
    begins[1:] = position_ids[1:] != position_ids[:-1] + 1
    starts = begins.nonzero().flatten()
    cu_seqlens = F.pad(starts, (0, 1), value=total).to(torch.int32)
    max_seqlen = int(cu_seqlens.diff().max())
"""
CALL = "flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=True)"


def _with(borders: str) -> str:
    """The base with other lines that find ``cu_seqlens`` and ``max_seqlen``."""
    return BASE.replace(BORDERS, borders)


RIGHT = {
    "begins": ("a boolean for each token", BASE),
    "diff": (
        "the inner borders from diff, the outer ones written beside them",
        """
def NAME(q, k, v, num_heads, head_dim, position_ids):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    inner = (position_ids.diff() != 1).nonzero().flatten() + 1
    ends = inner.new_tensor([0]), inner, inner.new_tensor([len(position_ids)])
    borders = torch.cat(ends).int()
    longest = borders.diff().max().item()
    return flash_attn_varlen_func(q, k, v, borders, borders, longest, longest, causal=True).flatten(1)
""",
    ),
    "unique-consecutive": (
        "position minus place is constant in a document",
        _with(
            """    offset = position_ids - torch.arange(total, device=q.device)
    _, lengths = offset.unique_consecutive(return_counts=True)
    cu_seqlens = F.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0))
    max_seqlen = int(lengths.max())
"""
        ),
    ),
    "python-loop": (
        "a loop over the positions as a list",
        _with(
            """    borders, before = [], None
    for place, position in enumerate(position_ids.tolist()):
        if before is None or position != before + 1:
            borders.append(place)
        before = position
    borders.append(total)
    cu_seqlens = torch.tensor(borders, dtype=torch.int32, device=q.device)
    max_seqlen = max(end - start for start, end in zip(borders, borders[1:]))
"""
        ),
    ),
    "groupby": (
        "itertools.groupby",
        "\nimport itertools\n"
        + _with(
            """    groups = itertools.groupby(enumerate(position_ids.tolist()), key=lambda pair: pair[1] - pair[0])
    lengths = [len(list(group)) for _, group in groups]
    cu_seqlens = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32, device=q.device)
    max_seqlen = max(lengths)
"""
        ),
    ),
    "bincount": (
        "document numbers first, then their counts",
        _with(
            """    document = (position_ids.diff(prepend=position_ids[:1]) != 1).long()
    document[0] = 0
    lengths = torch.bincount(document.cumsum(0))
    cu_seqlens = torch.zeros(len(lengths) + 1, dtype=torch.int32, device=q.device)
    cu_seqlens[1:] = lengths.cumsum(0)
    max_seqlen = lengths.max().item()
"""
        ),
    ),
    "prepend-and-append": (
        "both outer borders from one diff",
        _with(
            """    jumps = position_ids.diff(prepend=position_ids[:1] - 2, append=position_ids[-1:] + 2)
    cu_seqlens = torch.where(jumps != 1)[0].to(dtype=torch.int32)
    max_seqlen = int((cu_seqlens[1:] - cu_seqlens[:-1]).max())
"""
        ),
    ),
    "numpy": (
        "numpy on the CPU",
        "\nimport numpy as np\n"
        + _with(
            """    positions = position_ids.cpu().numpy()
    inner = np.flatnonzero(np.diff(positions) != 1) + 1
    borders = np.concatenate([[0], inner, [total]]).astype(np.int32)
    cu_seqlens = torch.from_numpy(borders).to(q.device)
    max_seqlen = int(np.diff(borders).max())
"""
        ),
    ),
    "max-is-total": (
        "as many tokens as the row has is long enough for every document",
        BASE.replace("int(cu_seqlens.diff().max())", "total"),
    ),
    "max-from-positions": (
        "no document is longer than its last position says",
        BASE.replace("int(cu_seqlens.diff().max())", "position_ids.max().item() + 1"),
    ),
    "max-as-tensor": (
        "a tensor without axes, which the kernel takes for an integer",
        BASE.replace("int(cu_seqlens.diff().max())", "cu_seqlens.diff().max()"),
    ),
    "loop-over-documents": (
        "one call a document",
        """
def NAME(q, k, v, num_heads, head_dim, position_ids):
    q, k, v = (x.reshape(-1, num_heads, head_dim) for x in (q, k, v))
    inner = ((position_ids[1:] - position_ids[:-1]) != 1).nonzero()[:, 0] + 1
    outputs = []
    for a, b, c in zip(*(x.tensor_split(inner.tolist()) for x in (q, k, v))):
        one = torch.tensor([0, len(a)], dtype=torch.int32, device=q.device)
        outputs.append(flash_attn_varlen_func(a, b, c, one, one, len(a), len(a), causal=True))
    return torch.cat(outputs).flatten(1)
""",
    ),
    "loop-over-heads": (
        "one call a head",
        _with(BORDERS).replace(
            f"    output = {CALL}\n",
            """    outputs = []
    for head in range(num_heads):
        parts = (x[:, head : head + 1] for x in (q, k, v))
        outputs.append(
            flash_attn_varlen_func(*parts, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=True)
        )
    output = torch.cat(outputs, dim=1)
""",
        ),
    ),
    "helper": (
        "a helper that finds the borders, keywords, a window in causality's place",
        """
def borders_of(position_ids):
    follows = torch.cat([position_ids.new_zeros(1).bool(), position_ids[1:] == position_ids[:-1] + 1])
    starts = torch.arange(len(position_ids), device=position_ids.device)[~follows]
    borders = torch.empty(len(starts) + 1, dtype=torch.int32, device=position_ids.device)
    borders[:-1], borders[-1] = starts, len(position_ids)
    return borders, int(torch.max(borders[1:] - borders[:-1]))


def NAME(q, k, v, num_heads, head_dim, position_ids):
    borders, longest = borders_of(position_ids)
    q, k, v = (torch.stack(x.split(head_dim, dim=-1), dim=1) for x in (q, k, v))
    output = flash_attn_varlen_func(
        q=q,
        k=k,
        v=v,
        cu_seqlens_q=borders,
        cu_seqlens_k=borders,
        max_seqlen_q=longest,
        max_seqlen_k=longest,
        window_size=(-1, 0),
    )
    return torch.cat(output.unbind(1), dim=-1)
""",
    ),
    "from-flash-attn": (
        "imported from the package; borders sorted together",
        "\nfrom flash_attn import flash_attn_varlen_func\n"
        + _with(
            """    places = torch.arange(1, total, device=q.device)
    inner = torch.masked_select(places, position_ids[1:] != 1 + position_ids[:-1])
    outer = torch.tensor([0, total], device=q.device)
    cu_seqlens = torch.cat([outer, inner]).sort().values.type(torch.int32)
    max_seqlen = cu_seqlens.diff().max().item()
"""
        ),
    ),
    "cached-by-positions": (
        "the borders are kept, by all that they depend on",
        "\n_borders = {}\n"
        + _with(
            """    key = (tuple(position_ids.tolist()), str(q.device))
    if key not in _borders:
        inner = (position_ids.diff() != 1).nonzero().flatten() + 1
        _borders[key] = F.pad(F.pad(inner, (1, 0)), (0, 1), value=total).int()
    cu_seqlens = _borders[key]
    max_seqlen = int(cu_seqlens.diff().max())
"""
        ),
    ),
}


def _borders(lines: str) -> list[tuple[str, str]]:
    return [(BORDERS, lines)]


BEGINS = "position_ids[1:] != position_ids[:-1] + 1"
MAX = "int(cu_seqlens.diff().max())"

OWN = (
    Mutation(
        "zeros-only",
        "borders",
        "only zeros begin a document, and the row's first token",
        [("begins[1:] = " + BEGINS, "begins[1:] = position_ids[1:] == 0")],
        "im",
        "cvk",
        "borders-at-zeros-only",
    ),
    Mutation(
        "zeros-and-no-leading-border",
        "borders",
        "only zeros begin a document: a row that begins within one has no first border",
        _borders(
            """    starts = (position_ids == 0).nonzero().flatten()
    cu_seqlens = F.pad(starts, (0, 1), value=total).to(torch.int32)
    max_seqlen = int(cu_seqlens.diff().max())
"""
        ),
        "im",
        "cvk",
    ),
    Mutation(
        "drops-only",
        "borders",
        "a document begins where the count falls",
        [(BEGINS, "position_ids[1:] < position_ids[:-1]")],
        "m",
        "cvk",
        "borders-at-falls-only",
    ),
    Mutation(
        "jumps-missed",
        "borders",
        "a count that jumps ahead goes on",
        [(BEGINS, "position_ids[1:] <= position_ids[:-1]")],
        "m",
        "cvk",
        "jumps-ahead-missed",
    ),
    Mutation(
        "far-steps-only",
        "borders",
        "only steps of more than one, up or down",
        [(BEGINS, "(position_ids[1:] - position_ids[:-1]).abs() > 1")],
        "m",
        "cvk",
        "jumps-missed",
    ),
    Mutation(
        "same-start",
        "borders",
        "all documents start with the row's first position",
        [(BEGINS, "position_ids[1:] == position_ids[0]")],
        "m",
        "cvk",
    ),
    Mutation(
        "border-one-early",
        "borders",
        "the last token of each document is taken for the first of the next",
        _borders(
            """    inner = (position_ids.diff() != 1).nonzero().flatten()
    cu_seqlens = F.pad(F.pad(inner, (1, 0)), (0, 1), value=total).int()
    max_seqlen = int(cu_seqlens.diff().max())
"""
        ),
        "im",
        "cvk",
        "borders-one-off",
    ),
    Mutation(
        "border-one-late",
        "borders",
        "the first token of each document stays with the one before",
        _borders(
            """    inner = ((position_ids.diff() != 1).nonzero().flatten() + 2).clamp(max=total)
    cu_seqlens = F.pad(F.pad(inner, (1, 0)), (0, 1), value=total).int()
    max_seqlen = int(cu_seqlens.diff().max())
"""
        ),
        "im",
        "cvk",
        "borders-one-off",
    ),
    Mutation(
        "no-last-border",
        "borders",
        "the row's end is left out",
        [("F.pad(starts, (0, 1), value=total)", "starts"), (MAX, "total")],
        "civmrk",
        "",
        "outer-border-missing",
    ),
    Mutation(
        "no-leading-border",
        "borders",
        "the row's beginning is left out",
        [("F.pad(starts, (0, 1), value=total)", "F.pad(starts[1:], (0, 1), value=total)"), (MAX, "total")],
        "civmrk",
        "",
        "outer-border-missing",
    ),
    Mutation(
        "zero-as-last-border",
        "borders",
        "the last border is padded with 0",
        [("value=total", "value=0"), (MAX, "total")],
        "civmrk",
        "",
        "cu-seqlens-wrong",
    ),
    Mutation(
        "end-too-early",
        "borders",
        "the last border is the last token's place",
        [("value=total", "value=total - 1"), (MAX, "total")],
        "civmrk",
        "",
        "cu-seqlens-wrong",
    ),
    Mutation("borders-int64", "dtype", "int64 borders", [(".to(torch.int32)", "")], "civmrk", "", "cu-seqlens-dtype"),
    Mutation(
        "borders-int64-by-cumsum",
        "dtype",
        "the sum of the lengths gives int64",
        _borders(
            """    offset = position_ids - torch.arange(total, device=q.device)
    lengths = offset.unique_consecutive(return_counts=True)[1].int()
    cu_seqlens = F.pad(lengths.cumsum(0), (1, 0))
    max_seqlen = int(lengths.max())
"""
        ),
        "civmrk",
        "",
        "cu-seqlens-dtype",
    ),
    Mutation(
        "borders-as-list",
        "dtype",
        "a list of borders",
        [
            (
                "cu_seqlens = F.pad(starts, (0, 1), value=total).to(torch.int32)",
                "cu_seqlens = [*starts.tolist(), total]",
            ),
            (MAX, "total"),
        ],
        "civmrk",
        "",
        "cu-seqlens-wrong",
    ),
    Mutation(
        "max-as-row",
        "dtype",
        "a tensor with an axis as max_seqlen",
        [(MAX, "cu_seqlens.diff().sort().values[-1:]")],
        "civmrk",
        "",
        "max-seqlen-type",
    ),
    Mutation(
        "max-as-float",
        "dtype",
        "a float as max_seqlen",
        [(MAX, "cu_seqlens.diff().float().max().item()")],
        "civmrk",
        "",
        "max-seqlen-type",
    ),
    Mutation(
        "max-of-positions",
        "borders",
        "the largest position: one less than the longest document",
        [(MAX, "int(position_ids.max())")],
        "civm",
        "",
        "max-seqlen-too-small",
    ),
    Mutation(
        "max-of-last",
        "borders",
        "the length of the last document",
        [(MAX, "int(cu_seqlens[-1] - cu_seqlens[-2])")],
        "cm",
        "v",
        "max-seqlen-too-small",
    ),
    Mutation(
        "positions-as-borders",
        "borders",
        "the positions at the borders, and not the borders",
        [("F.pad(starts, (0, 1), value=total)", "F.pad(position_ids[starts], (0, 1), value=total)"), (MAX, "total")],
        "cim",
        "v",
        "cu-seqlens-wrong, sequences-not-separated",
    ),
    Mutation(
        "lengths-as-borders",
        "borders",
        "the lengths instead of their running sum",
        [(MAX, "total\n    cu_seqlens = F.pad(cu_seqlens.diff(), (1, 0))")],
        "cm",
        "v",
        "cu-seqlens-wrong",
    ),
    Mutation(
        "every-token-a-document",
        "borders",
        "each token sees itself alone",
        [("begins[1:] = " + BEGINS, "begins[1:] = True")],
        "ivm",
        "c",
        "returns-values",
    ),
    Mutation(
        "sorted-by-position",
        "borders",
        "tokens are sorted by position, and never put back",
        [
            (
                "    begins = torch",
                "    order = position_ids.argsort(stable=True)\n    q, k, v = q[order], k[order], v[order]\n    begins = torch",
            )
        ],
        "im",
        "cv",
    ),
    Mutation(
        "positions-in-half",
        "dtype",
        "positions in q's dtype: bf16 counts to 256",
        [("    begins = torch", "    position_ids = position_ids.to(q.dtype)\n    begins = torch")],
        "vm",
        "ck",
        "positions-converted",
    ),
    Mutation(
        "positions-in-bytes",
        "dtype",
        "positions in 8 bits",
        [
            ("    begins = torch", "    position_ids = position_ids.to(torch.int8)\n    begins = torch"),
            ("position_ids[:-1] + 1", "position_ids[:-1].int() + 1"),
        ],
        "vm",
        "ck",
        "positions-converted",
    ),
    Mutation(
        "positions-in-16-bits",
        "dtype",
        "positions in 16 bits",
        [
            ("    begins = torch", "    position_ids = position_ids.to(torch.int16)\n    begins = torch"),
            ("position_ids[:-1] + 1", "position_ids[:-1].int() + 1"),
        ],
        "m",
        "cvrk",
        "positions-converted",
    ),
    Mutation(
        "positions-in-place",
        "mutation",
        "the positions are written over",
        [("    starts = begins", "    position_ids[begins] = 0\n    starts = begins")],
        "ir",
        "vmk",
    ),
    Mutation(
        "borders-on-the-cpu",
        "device",
        "borders made on the CPU",
        [("value=total).to(torch.int32)", "value=total).to(torch.int32).cpu()")],
        "r",
        "ivmk",
        "device-hard-coded",
    ),
    Mutation(
        "last-document-lost",
        "borders",
        "a loop that never calls for the last document",
        [
            (
                f"    output = {CALL}\n",
                """    output = torch.zeros_like(q)
    borders = cu_seqlens.tolist()
    for start, end in zip(borders[:-2], borders[1:]):
        one = torch.tensor([0, end - start], dtype=torch.int32, device=q.device)
        a, b, c = (x[start:end] for x in (q, k, v))
        output[start:end] = flash_attn_varlen_func(a, b, c, one, one, end - start, end - start, causal=True)
""",
            )
        ],
        "vmrk",
        "c",
        "constant-output, kernel-not-called",
    ),
)

# What befalls any packed function: of 05's and 06's answers those that this one can give, too
SHARED = (
    "scale-one",
    "scale-hidden-dim",
    "scale-twice",
    "heads-first",
    "heads-interleaved",
    "heads-viewed",
    "heads-not-transposed-back",
    "heads-never-split",
    "not-merged",
    "one-sequence",
    "equal-lengths",
    "border-forgotten",
    "max-too-small",
    "max-fixed",
    "float32-cast",
    "always-float32",
    "qk-swapped",
    "kv-swapped",
    "fixed-heads",
    "returns-nothing",
    "returns-values",
    "q-in-place",
    "output-detached",
    "borders-cached",
    "dropout",
    "sdpa",
    "eager",
    "decoy",
    "flash-attn-func",
    "wrong-for-many",
    "causal-missing",
    "causal-one-ahead",
    "causal-transposed",
)


def answers() -> list[Answer]:
    """All answers to the notebook."""
    base = BASE.replace("NAME", f"{VARIANT}_attention")
    shared = {mutation.name: mutation for mutation in (*flash.COMMON, *flash.CAUSAL)}
    wrong = [*OWN, *(shared[name].filled(NAME=f"{VARIANT}_attention", CAUSAL="True") for name in SHARED)]
    return [*right_answers(VARIANT, RIGHT), *(mutation.of(VARIANT, base) for mutation in wrong)]
