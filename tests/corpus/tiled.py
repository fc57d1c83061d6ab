"""Answers to 07: attention tile by tile."""

from __future__ import annotations

from corpus.answer import Answer, Mutation, right_answers

VARIANT = "tiled_causal"

SPLIT = "    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))\n"
BASE = f"""
def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
{SPLIT}    seq, low = q.shape[-2], torch.finfo(q.dtype).min
    place = torch.arange(seq, device=q.device)
    maximum = torch.full_like(q[..., :1], low)
    total = torch.zeros_like(maximum)
    gathered = torch.zeros_like(q)
    for start in range(0, seq, block_size):
        tile = slice(start, start + block_size)
        scores = q @ k[..., tile, :].transpose(-2, -1) / math.sqrt(head_dim)
        allowed = place[tile] <= place[:, None]
        if mask is not None:
            allowed = allowed & mask[:, None, None, tile]
        scores = scores.masked_fill(~allowed, low)
        larger = torch.maximum(maximum, scores.amax(-1, keepdim=True))
        shares = torch.exp(scores - larger) * allowed
        rescale = torch.exp(maximum - larger)
        total = rescale * total + shares.sum(-1, keepdim=True)
        gathered = rescale * gathered + shares @ v[..., tile, :]
        maximum = larger
    output = gathered / total.masked_fill(total == 0, 1.0)
    return output.transpose(1, 2).flatten(2)
"""

RIGHT = {
    "one-loop": ("the plain way: tiles of keys, all queries at once", BASE),
    "tiles-of-queries-too": (
        "two loops; tiles of later keys are skipped",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.reshape(batch, seq, num_heads, head_dim).permute(0, 2, 1, 3) for x in (q, k, v))
    place, outputs = torch.arange(seq, device=q.device), []
    for first in range(0, seq, block_size):
        queries, rows = q[:, :, first : first + block_size], place[first : first + block_size]
        top = torch.full_like(queries[..., :1], torch.finfo(q.dtype).min)
        total, gathered = torch.zeros_like(top), torch.zeros_like(queries)
        for start in range(0, first + len(rows), block_size):
            keys = place[start : start + block_size]
            seen = rows[:, None] >= keys
            if mask is not None:
                seen = seen & mask[:, None, None, start : start + block_size]
            scores = queries @ k[:, :, start : start + block_size].mT * head_dim**-0.5
            scores = torch.where(seen, scores, torch.finfo(q.dtype).min)
            new = torch.maximum(top, scores.max(dim=-1, keepdim=True).values)
            weights = (scores - new).exp().masked_fill(~seen, 0)
            shrink = (top - new).exp()
            total = total * shrink + weights.sum(dim=-1, keepdim=True)
            gathered = gathered * shrink + weights @ v[:, :, start : start + block_size]
            top = new
        outputs.append(gathered / torch.where(total > 0, total, 1))
    return torch.cat(outputs, dim=2).permute(0, 2, 1, 3).reshape(batch, seq, hidden_dim)
""",
    ),
    "minus-infinity": (
        "-inf before the first tile and at masked keys, and a maximum of 0 where a row has seen nothing",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    batch, heads, seq, _ = q.shape
    place = torch.arange(seq, device=q.device)
    maximum = q.new_full((batch, heads, seq, 1), float("-inf"))
    total, gathered = q.new_zeros(batch, heads, seq, 1), q.new_zeros(q.shape)
    for keys, values, places, real in zip(
        k.split(block_size, 2),
        v.split(block_size, 2),
        place.split(block_size),
        [None] * seq if mask is None else mask.split(block_size, 1),
    ):
        scores = torch.einsum("bhqd,bhkd->bhqk", q, keys) / math.sqrt(head_dim)
        scores = scores.masked_fill(places > place[:, None], float("-inf"))
        if real is not None:
            scores = scores.masked_fill(~real[:, None, None, :], float("-inf"))
        larger = torch.maximum(maximum, scores.amax(-1, keepdim=True)).detach()
        safe = larger.masked_fill(larger == float("-inf"), 0.0)
        shares, rescale = torch.exp(scores - safe), torch.exp(maximum - safe)
        total = total * rescale + shares.sum(-1, keepdim=True)
        gathered = gathered * rescale + torch.einsum("bhqk,bhkd->bhqd", shares, values)
        maximum = larger
    return (gathered / total.masked_fill(total == 0, 1.0)).transpose(1, 2).flatten(2)
""",
    ),
    "log-sum-exp": (
        "each tile's own softmax, merged by the logarithms of the sums",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    dtype = q.dtype
    q, k, v = q.float(), k.float(), v.float()
    seq = q.shape[2]
    place = torch.arange(seq, device=q.device)
    output = torch.zeros_like(q)
    logs = torch.full_like(q[..., :1], -1e30)
    for start in range(0, seq, block_size):
        keys = place[start : start + block_size]
        seen = keys <= place[:, None]
        if mask is not None:
            seen = seen & mask[:, None, None, start : start + block_size]
        scores = (q @ k[:, :, keys].mT / head_dim**0.5).masked_fill(~seen, -1e30)
        tile = scores.softmax(-1) @ v[:, :, keys]
        log = scores.logsumexp(-1, keepdim=True)
        share = torch.sigmoid(log - logs)
        output = output + share * (tile - output)
        logs = torch.logaddexp(logs, log)
    return output.transpose(1, 2).flatten(2).to(dtype)
""",
    ),
    "two-passes": (
        "first the maxima of all tiles, then the sums: more work, no rescaling",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    place, low = torch.arange(q.shape[2], device=q.device), torch.finfo(q.dtype).min

    def tiles():
        for start in range(0, len(place), block_size):
            part = slice(start, start + block_size)
            seen = place[part] <= place[:, None]
            if mask is not None:
                seen = seen & mask[:, None, None, part]
            yield seen, (q @ k[:, :, part].mT / math.sqrt(head_dim)).masked_fill(~seen, low), v[:, :, part]

    maximum = torch.full_like(q[..., :1], low)
    for _, scores, _ in tiles():
        maximum = torch.maximum(maximum, scores.amax(-1, keepdim=True))
    maximum = maximum.detach()
    total, output = 0, 0
    for seen, scores, values in tiles():
        shares = torch.exp(scores - maximum) * seen
        total, output = total + shares.sum(-1, keepdim=True), output + shares @ values
    return (output / total.clamp_min(1e-6)).transpose(1, 2).flatten(2)
""",
    ),
    "loop-over-heads": (
        "each sequence and head by itself",
        """
def one_head(q, k, v, mask, block_size):
    seq, low = len(q), torch.finfo(q.dtype).min
    place = torch.arange(seq, device=q.device)
    m, l, o = q.new_full((seq, 1), low), q.new_zeros(seq, 1), torch.zeros_like(q)
    for start in range(0, seq, block_size):
        end = min(seq, start + block_size)
        seen = place[start:end] <= place[:, None]
        if mask is not None:
            seen = seen & mask[start:end]
        s = (q @ k[start:end].T * q.shape[1] ** -0.5).masked_fill(~seen, low)
        new = torch.maximum(m, s.max(1, keepdim=True)[0])
        p = torch.exp(s - new) * seen
        l = l * torch.exp(m - new) + p.sum(1, keepdim=True)
        o = o * torch.exp(m - new) + p @ v[start:end]
        m = new
    return o / (l + (l == 0))


def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    rows = []
    for b in range(len(q)):
        heads = [
            one_head(*(x[b, :, h * head_dim : (h + 1) * head_dim] for x in (q, k, v)),
                     None if mask is None else mask[b], block_size)
            for h in range(num_heads)
        ]
        rows.append(torch.cat(heads, 1))
    return torch.stack(rows)
""",
    ),
    "in-place-without-gradients": (
        "writes into its accumulators where no gradient is wanted",
        BASE.replace(
            "        total = rescale * total + shares.sum(-1, keepdim=True)\n"
            "        gathered = rescale * gathered + shares @ v[..., tile, :]\n",
            "        if torch.is_grad_enabled() and q.requires_grad:\n"
            "            total = rescale * total + shares.sum(-1, keepdim=True)\n"
            "            gathered = rescale * gathered + shares @ v[..., tile, :]\n"
            "        else:\n"
            "            total.mul_(rescale).add_(shares.sum(-1, keepdim=True))\n"
            "            gathered.mul_(rescale).add_(shares @ v[..., tile, :])\n",
        ),
    ),
    "in-place": (
        "writes into its accumulators; autograd has kept what it needs",
        BASE.replace(
            "        total = rescale * total + shares.sum(-1, keepdim=True)\n"
            "        gathered = rescale * gathered + shares @ v[..., tile, :]\n",
            "        total *= rescale\n        total += shares.sum(-1, keepdim=True)\n"
            "        gathered *= rescale\n        gathered += shares @ v[..., tile, :]\n",
        ),
    ),
    "float32-inside": (
        "computes in float32 and converts back",
        BASE.replace(SPLIT, "    dtype = q.dtype\n" + SPLIT.replace("(x.unflatten", "(x.float().unflatten")).replace(
            "flatten(2)\n", "flatten(2).to(dtype)\n"
        ),
    ),
    "shares-not-masked": (
        "masked keys get exp(0) = 1 in a row that has seen nothing: the first real key's maximum takes that away",
        BASE.replace(" * allowed\n", "\n"),
    ),
    "exp2": (
        "powers of two, as the kernels do it: log2(e) is in the scale",
        BASE.replace("/ math.sqrt(head_dim)", "* (math.log2(math.e) / math.sqrt(head_dim))").replace(
            "torch.exp(", "torch.exp2("
        ),
    ),
    "own-autograd": (
        "an autograd function of its own: the backward pass computes each tile anew",
        """
class Tiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, mask, block_size, scale):
        q32, k32, v32 = q.float(), k.float(), v.float()
        place = torch.arange(q.shape[-2], device=q.device)
        m = torch.full_like(q32[..., :1], -1e30)
        l, o = torch.zeros_like(m), torch.zeros_like(q32)
        for start in range(0, len(place), block_size):
            s, seen = Tiles.scores(q32, k32, mask, place, start, block_size, scale)
            new = torch.maximum(m, s.amax(-1, keepdim=True))
            p = torch.exp(s - new) * seen
            alpha = torch.exp(m - new)
            l, m = alpha * l + p.sum(-1, keepdim=True), new
            o = alpha * o + p @ v32[..., start : start + block_size, :]
        l = l + (l == 0)
        out = o / l
        ctx.save_for_backward(q, k, v, out, m + l.log())
        ctx.rest = mask, block_size, scale
        return out.to(q.dtype)

    @staticmethod
    def scores(q, k, mask, place, start, block_size, scale):
        part = slice(start, start + block_size)
        seen = place[part] <= place[:, None]
        if mask is not None:
            seen = seen & mask[:, None, None, part]
        return (q @ k[..., part, :].mT * scale).masked_fill(~seen, -1e30), seen

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out, lse = ctx.saved_tensors
        mask, block_size, scale = ctx.rest
        q32, k32, v32, grad32 = q.float(), k.float(), v.float(), grad.float()
        place = torch.arange(q.shape[-2], device=q.device)
        delta = (grad32 * out).sum(-1, keepdim=True)
        dq, dk, dv = torch.zeros_like(q32), [], []
        for start in range(0, len(place), block_size):
            part = slice(start, start + block_size)
            s, seen = Tiles.scores(q32, k32, mask, place, start, block_size, scale)
            p = torch.exp(s - lse) * seen
            ds = p * (grad32 @ v32[..., part, :].mT - delta) * scale
            dq = dq + ds @ k32[..., part, :]
            dk.append(ds.mT @ q32)
            dv.append(p.mT @ grad32)
        dk, dv = torch.cat(dk, -2), torch.cat(dv, -2)
        return dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype), None, None, None


def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    return Tiles.apply(q, k, v, mask, block_size, head_dim**-0.5).transpose(1, 2).flatten(2)
""",
    ),
    "keys-first": (
        "scores as [keys of the tile, queries], transposed throughout",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.view(batch, seq, num_heads, head_dim) if x.is_contiguous() else
               x.reshape(batch, seq, num_heads, head_dim) for x in (q, k, v))
    place = torch.arange(seq, device=q.device)
    low = torch.finfo(q.dtype).min
    top = torch.full((batch, num_heads, 1, seq), low, dtype=q.dtype, device=q.device)
    norm = torch.zeros_like(top)
    out = torch.zeros(batch, num_heads, head_dim, seq, dtype=q.dtype, device=q.device)
    for start in range(0, seq, block_size):
        part = slice(start, start + block_size)
        scores = torch.einsum("bkhd,bqhd->bhkq", k[:, part], q) / head_dim**0.5
        seen = place[part, None] <= place
        if mask is not None:
            seen = seen & mask[:, None, part, None]
        scores = scores.masked_fill(~seen, low)
        new = torch.maximum(top, scores.amax(2, keepdim=True))
        weights, alpha = torch.exp(scores - new) * seen, torch.exp(top - new)
        norm = alpha * norm + weights.sum(2, keepdim=True)
        out = alpha * out + torch.einsum("bkhd,bhkq->bhdq", v[:, part], weights)
        top = new
    return (out / torch.where(norm == 0, 1, norm)).permute(0, 3, 1, 2).reshape(batch, seq, hidden_dim)
""",
    ),
    "padded-to-tiles": (
        "keys are padded up to whole tiles, and the padding is masked",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    batch, seq, hidden_dim = q.shape
    more = -seq % block_size
    real = torch.ones(batch, seq, dtype=torch.bool, device=q.device) if mask is None else mask
    real = F.pad(real, (0, more), value=False)
    q = q.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)
    k, v = (F.pad(x, (0, 0, 0, more)).unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (k, v))
    rows = torch.arange(seq, device=q.device)[:, None]
    low = torch.finfo(q.dtype).min
    state = (torch.full_like(q[..., :1], low), torch.zeros_like(q[..., :1]), torch.zeros_like(q))
    for tile in range((seq + more) // block_size):
        part = slice(tile * block_size, (tile + 1) * block_size)
        maximum, total, output = state
        columns = torch.arange(part.start, part.stop, device=q.device)
        seen = (columns <= rows) & real[:, None, None, part]
        scores = (q @ k[:, :, part].mT / math.sqrt(head_dim)).masked_fill(~seen, low)
        new = torch.maximum(maximum, scores.amax(-1, keepdim=True))
        weights, shrink = torch.exp(scores - new) * seen, torch.exp(maximum - new)
        state = new, shrink * total + weights.sum(-1, keepdim=True), shrink * output + weights @ v[:, :, part]
    return (state[2] / state[1].masked_fill(state[1] == 0, 1)).transpose(1, 2).flatten(2)
""",
    ),
    "checkpointed": (
        "each tile is recomputed in the backward pass",
        """
from torch.utils.checkpoint import checkpoint


def step(q, k, v, seen, maximum, total, gathered, scale):
    scores = (q @ k.mT * scale).masked_fill(~seen, torch.finfo(q.dtype).min)
    new = torch.maximum(maximum, scores.amax(-1, keepdim=True))
    shares, rescale = torch.exp(scores - new) * seen, torch.exp(maximum - new)
    return new, rescale * total + shares.sum(-1, keepdim=True), rescale * gathered + shares @ v


def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    place = torch.arange(q.shape[2], device=q.device)
    state = (torch.full_like(q[..., :1], torch.finfo(q.dtype).min), torch.zeros_like(q[..., :1]), torch.zeros_like(q))
    for part in place.split(block_size):
        seen = part <= place[:, None]
        if mask is not None:
            seen = seen & mask[:, None, None, part]
        state = checkpoint(step, q, k[:, :, part], v[:, :, part], seen, *state, head_dim**-0.5, use_reentrant=False)
    return (state[2] / state[1].clamp_min(torch.finfo(q.dtype).tiny)).transpose(1, 2).flatten(2)
""",
    ),
    "vmap-over-heads": (
        "one head's function, mapped over batch and heads",
        """
def head(q, k, v, real, block_size):
    place, low = torch.arange(q.shape[0], device=q.device), torch.finfo(q.dtype).min
    top, total, out = torch.full_like(q[:, :1], low), torch.zeros_like(q[:, :1]), torch.zeros_like(q)
    for start in range(0, q.shape[0], block_size):
        part = slice(start, start + block_size)
        seen = (place[part] <= place[:, None]) & real[part]
        scores = torch.where(seen, q @ k[part].mT / q.shape[1] ** 0.5, low)
        new = torch.maximum(top, scores.amax(1, keepdim=True))
        shares, alpha = torch.exp(scores - new) * seen, torch.exp(top - new)
        top, total, out = new, alpha * total + shares.sum(1, keepdim=True), alpha * out + shares @ v[part]
    return out / torch.where(total == 0, 1.0, total)


def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):
    real = q.new_ones(q.shape[:2], dtype=torch.bool) if mask is None else mask
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    over_heads = torch.vmap(head, in_dims=(0, 0, 0, None, None))
    return torch.vmap(over_heads, in_dims=(0, 0, 0, 0, None))(q, k, v, real, block_size).transpose(1, 2).flatten(2)
""",
    ),
}

SCALE = " / math.sqrt(head_dim)"
ALLOWED = "        allowed = place[tile] <= place[:, None]\n"
FILL = "        scores = scores.masked_fill(~allowed, low)\n"
LARGER = "torch.maximum(maximum, scores.amax(-1, keepdim=True))"
SHARES = "torch.exp(scores - larger) * allowed"
TOTAL = "        total = rescale * total + shares.sum(-1, keepdim=True)\n"
GATHER = "        gathered = rescale * gathered + shares @ v[..., tile, :]\n"
DIVIDE = "    output = gathered / total.masked_fill(total == 0, 1.0)\n"
RETURN = "output.transpose(1, 2).flatten(2)"
LOOP = "range(0, seq, block_size)"
FIRST = "torch.full_like(q[..., :1], low)"

EAGER = """
    seq = q.shape[1]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = q @ k.mT / math.sqrt(head_dim)
    scores = scores.masked_fill(~allowed, torch.finfo(q.dtype).min)
"""
DEFINED = "def NAME(q, k, v, num_heads, head_dim, mask=None, block_size=64):"


def _m(name: str, kind: str, reason: str, changes: list[tuple[str, str]], loses: str, keeps: str = "", named: str = ""):
    return Mutation(name, kind, reason, changes, loses, keeps, named or None)


WRONG = (
    # between the tiles
    _m(
        "accumulator-kept",
        "tiles",
        "the accumulator is not rescaled",
        [("rescale * gathered", "gathered")],
        "vmr",
        "ck",
        "accumulator-not-rescaled",
    ),
    _m("sum-kept", "tiles", "the sum is not rescaled", [("rescale * total", "total")], "vmr", "ck", "sum-not-rescaled"),
    _m(
        "both-kept",
        "tiles",
        "nothing is rescaled",
        [("rescale * total", "total"), ("rescale * gathered", "gathered")],
        "vmr",
        "ck",
        "nothing-rescaled",
    ),
    _m(
        "rescaled-backwards",
        "tiles",
        "rescaled the wrong way round",
        [("torch.exp(maximum - larger)", "torch.exp((larger - maximum).clamp(max=8))")],
        "vm",
        "ck",
    ),
    _m(
        "divided-in-loop",
        "tiles",
        "the accumulator is divided after each tile",
        [
            (GATHER, GATHER + "        gathered = gathered / total.masked_fill(total == 0, 1.0)\n"),
            (DIVIDE, "    output = gathered\n"),
        ],
        "vm",
        "ck",
        "divided-inside-tile",
    ),
    _m(
        "divided-in-loop-and-after",
        "tiles",
        "each tile's share is divided, and the whole again",
        [(GATHER, GATHER.replace("shares @", "shares / total.masked_fill(total == 0, 1.0) @"))],
        "vm",
        "ck",
        "divided-inside-tile",
    ),
    _m(
        "share-divided",
        "tiles",
        "each tile's share is divided by the sum so far",
        [
            (GATHER, GATHER.replace("shares @", "shares / total.masked_fill(total == 0, 1.0) @")),
            (DIVIDE, "    output = gathered\n"),
        ],
        "vm",
        "ck",
        "divided-inside-tile",
    ),
    _m(
        "softmax-of-each-tile",
        "tiles",
        "each tile's softmax, added up",
        [
            (GATHER, "        gathered = gathered + scores.softmax(-1) * allowed @ v[..., tile, :]\n"),
            (DIVIDE, "    output = gathered\n"),
        ],
        "vm",
        "ck",
        "tiles-not-merged",
    ),
    _m(
        "never-divided",
        "tiles",
        "no division at the end",
        [(DIVIDE, "    output = gathered\n")],
        "vm",
        "ck",
        "not-divided, weights-not-normalised",
    ),
    _m(
        "own-maximum",
        "tiles",
        "the tile's own maximum instead of the largest so far",
        [(LARGER, "scores.amax(-1, keepdim=True)")],
        "vm",
        "c",
    ),
    _m(
        "maximum-not-kept",
        "tiles",
        "the maximum of the first tile stays",
        [("        maximum = larger\n", "        maximum = larger if start == 0 else maximum\n")],
        "vm",
        "ck",
    ),
    _m(
        "maximum-zero",
        "tiles",
        "the maximum begins at 0",
        [(FIRST, "torch.zeros_like(q[..., :1])")],
        "v",
        "ck",
        "first-maximum-zero",
    ),
    _m(
        "no-maximum",
        "tiles",
        "no maximum is subtracted",
        [(LARGER, "torch.zeros_like(maximum)"), (FIRST, "torch.zeros_like(q[..., :1])")],
        "v",
        "k",
        "softmax-overflows",
    ),
    _m(
        "last-tile-lost",
        "tiles",
        "only whole tiles",
        [(LOOP, "range(0, seq // block_size * block_size, block_size)")],
        "vmr",
        "",
        "last-tile-forgotten",
    ),
    _m(
        "last-tile-always-lost",
        "tiles",
        "the range ends a tile early",
        [(LOOP, "range(0, max(1, seq - block_size), block_size)")],
        "vm",
        "c",
        "last-tile-forgotten",
    ),
    _m(
        "first-tile-lost",
        "tiles",
        "the range begins at the second tile",
        [(LOOP, "range(block_size, seq, block_size)")],
        "vm",
        "c",
    ),
    # what a tile sees
    _m(
        "triangle-in-tile",
        "tile-mask",
        "places of keys are counted in the tile",
        [("place[tile] <= place[:, None]", "place[: len(place[tile])] <= place[:, None]")],
        "ivm",
        "ck",
        "tile-causal-misaligned",
    ),
    _m(
        "own-tile-whole",
        "tile-mask",
        "later keys of the own tile are seen",
        [("place[tile] <= place[:, None]", "place[tile] // block_size <= place[:, None] // block_size")],
        "vm",
        "ck",
        "own-tile-seen-whole",
    ),
    _m(
        "own-tile-lost",
        "tile-mask",
        "keys of the own tile are not seen",
        [("place[tile] <= place[:, None]", "place[tile] // block_size < place[:, None] // block_size")],
        "ivm",
        "c",
        "own-tile-forgotten",
    ),
    _m(
        "first-mask",
        "tile-mask",
        "each tile gets the first tile's mask",
        [("mask[:, None, None, tile]", "mask[:, None, None, : len(place[tile])]")],
        "im",
        "vck",
        "tile-mask-misaligned",
    ),
    _m(
        "mask-in-first-tile",
        "tile-mask",
        "the mask counts in the first tile alone",
        [("if mask is not None:", "if mask is not None and start == 0:")],
        "im",
        "vck",
    ),
    _m(
        "triangle-in-first-tile",
        "tile-mask",
        "the triangle counts in the first tile alone",
        [(ALLOWED, "        allowed = (place[tile] <= place[:, None]) | (place[tile] * 0 + start > 0)\n")],
        "ivm",
        "ck",
    ),
    # what any causal attention may get wrong
    _m("missing-scale", "scale", "no scale", [(SCALE, "")], "vm", "ck", "missing-scale"),
    _m("scale-head-dim", "scale", "head_dim, not its root", [(SCALE, " / head_dim")], "vm", "ck", "scale-head-dim"),
    _m("scale-block-size", "scale", "√block_size", [(SCALE, " / math.sqrt(block_size)")], "vm", "ck"),
    _m(
        "no-triangle",
        "causal",
        "every query sees every key",
        [("place[tile] <= place[:, None]", "place[tile] <= place[:, None] + seq")],
        "ivm",
        "ck",
        "causal-missing",
    ),
    _m(
        "strict-triangle",
        "causal",
        "a token does not see itself",
        [("place[tile] <=", "place[tile] <")],
        "vm",
        "c",
        "causal-strict",
    ),
    _m(
        "one-ahead",
        "causal",
        "a token sees the next",
        [("<= place[:, None]", "<= place[:, None] + 1")],
        "ivm",
        "ck",
        "causal-one-ahead",
    ),
    _m(
        "triangle-turned",
        "causal",
        "later keys instead of earlier ones",
        [("place[tile] <=", "place[tile] >=")],
        "ivm",
        "c",
        "causal-transposed",
    ),
    _m(
        "mask-ignored",
        "mask",
        "the mask has no effect",
        [("if mask is not None:", "if False:")],
        "im",
        "vck",
        "mask-ignored",
    ),
    _m("mask-inverted", "mask", "True is taken for padding", [("& mask[:", "& ~mask[:")], "im", "vc", "mask-inverted"),
    _m(
        "mask-on-queries",
        "mask",
        "the mask takes rows away",
        [("mask[:, None, None, tile]", "mask[:, None, :, None]")],
        "im",
        "vck",
        "mask-on-queries",
    ),
    _m(
        "mask-first-item",
        "mask",
        "every sequence gets the first one's",
        [("mask[:, None, None, tile]", "mask[:1, None, None, tile]")],
        "m",
        "vck",
        "mask-of-first-sequence",
    ),
    _m(
        "triangle-only-unmasked",
        "mask",
        "with a mask, the triangle is lost",
        [("allowed & mask", "mask")],
        "im",
        "vck",
        "causal-dropped-with-mask",
    ),
    _m(
        "fill-1e9",
        "constant",
        "fp16 cannot hold -1e9",
        [(FILL, FILL.replace(", low", ", -1e9"))],
        "cr",
        "ivmk",
        "constant-overflows",
    ),
    _m(
        "infinite-in-tiles",
        "nan",
        "-inf − (−inf) in tiles of padding",
        [("torch.finfo(q.dtype).min", 'float("-inf")')],
        "mr",
        "cv",
        "empty-tile-nan",
    ),
    _m(
        "divided-by-zero",
        "nan",
        "0 / 0 where a row sees no key",
        [(DIVIDE, "    output = gathered / total\n")],
        "r",
        "civmk",
        "empty-rows-nan",
    ),
    _m(
        "heads-interleaved",
        "heads",
        "split as (head_dim, num_heads)",
        [
            (
                "x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)",
                "x.unflatten(-1, (head_dim, num_heads)).movedim(-1, 1)",
            )
        ],
        "vm",
        "c",
        "heads-interleaved",
    ),
    _m(
        "not-merged", "shape", "heads stay apart", [(RETURN, "output.transpose(1, 2)")], "civmr", "", "heads-not-merged"
    ),
    _m(
        "float32-returned",
        "dtype",
        "float32 whatever comes in",
        [(RETURN, f"{RETURN}.float()")],
        "cr",
        "ivmk",
        "dtype-changed",
    ),
    _m(
        "q-scaled-in-place",
        "mutation",
        "q is scaled in place",
        [(SPLIT, "    q *= head_dim**-0.5\n" + SPLIT), (SCALE, "")],
        "i",
        "",
        "inputs-modified",
    ),
    _m(
        "scores-detached",
        "gradient",
        "no gradient to q and k",
        [("torch.exp(scores - larger)", "torch.exp(scores.detach() - larger.detach())")],
        "r",
        "civm",
        "gradient-bent",
    ),
    _m("device-cpu", "device", "places on the CPU", [(", device=q.device)", ")")], "cr", "ivmk", "device-hard-coded"),
    _m(
        "mask-required",
        "signature",
        "the mask has no default",
        [("mask=None, block_size=64", "mask, block_size=64")],
        "cv",
        "",
        "signature-changed",
    ),
    _m(
        "block-size-keyword-lost",
        "signature",
        "block_size is called tile_size",
        [("mask=None, block_size=64):\n", "mask=None, tile_size=64):\n    block_size = tile_size\n")],
        "civmrk",
        "",
        "signature-changed",
    ),
    # memory
    _m(
        "block-size-64",
        "memory",
        "tiles of 64, whatever block_size says",
        [(SPLIT, "    block_size = 64\n" + SPLIT)],
        "k",
        "civmr",
        "block-size-ignored",
    ),
    _m(
        "block-size-16",
        "memory",
        "tiles of 16",
        [(SPLIT, "    block_size = 16\n" + SPLIT)],
        "k",
        "civmr",
        "block-size-ignored",
    ),
    _m(
        "eight-tiles",
        "memory",
        "an eighth of the sequence a tile",
        [(SPLIT, SPLIT + "    block_size = max(1, q.shape[2] // 8)\n")],
        "k",
        "civmr",
        "block-size-ignored",
    ),
    _m(
        "one-tile",
        "memory",
        "one tile of everything",
        [(SPLIT, "    block_size = q.shape[1]\n" + SPLIT)],
        "k",
        "civmr",
        "whole-scores",
    ),
    _m(
        "triangle-before-loop",
        "memory",
        "a bool of seq × seq",
        [
            (
                "    total = torch",
                "    triangle = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()\n    total = torch",
            ),
            ("place[tile] <= place[:, None]", "triangle[:, tile]"),
        ],
        "k",
        "civmr",
        "whole-scores",
    ),
    _m(
        "scores-cut-up",
        "memory",
        "all scores at once, then cut into tiles",
        [
            ("    total = torch", "    every = q @ k.transpose(-2, -1)\n    total = torch"),
            ("q @ k[..., tile, :].transpose(-2, -1) / math", "every[..., tile] / math"),
        ],
        "k",
        "civmr",
        "whole-scores",
    ),
)


def _whole(name: str, reason: str, source: str, diagnosis: str, loses: str = "k", keeps: str = "civm") -> Answer:
    from corpus.answer import checks

    source = source.replace("NAME", f"{VARIANT}_attention")
    return Answer(VARIANT, name, False, "memory", reason, source, checks(loses), checks(keeps), diagnosis)


WHOLE = (
    (
        "eager",
        "notebook 02's function",
        f"{DEFINED}{EAGER}    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)\n",
        "whole-scores",
    ),
    (
        "eager-by-heads",
        "notebook 02's function, one head of one sequence at a time",
        f"""
{DEFINED}
    items = []
    for item in range(len(q)):
        parts = [slice(head * head_dim, (head + 1) * head_dim) for head in range(num_heads)]
        real = None if mask is None else mask[item : item + 1]
        items.append(torch.cat([one(*(x[item : item + 1, :, p] for x in (q, k, v)), 1, head_dim, real) for p in parts], -1))
    return torch.cat(items)
def one(q, k, v, num_heads, head_dim, mask=None):{EAGER}    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
""",
        "whole-scores",
    ),
    (
        "rows-of-queries",
        "block_size queries at a time, with all keys",
        f"""
{DEFINED}
    seq = q.shape[1]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    place = torch.arange(seq, device=q.device)
    outputs = []
    for start in range(0, seq, block_size):
        rows = slice(start, start + block_size)
        allowed = place <= place[rows, None]
        if mask is not None:
            allowed = allowed & mask[:, None, None, :]
        scores = (q[:, :, rows] @ k.mT / math.sqrt(head_dim)).masked_fill(~allowed, torch.finfo(q.dtype).min)
        outputs.append(scores.softmax(-1) @ v)
    return torch.cat(outputs, 2).transpose(1, 2).flatten(2)
""",
        "whole-rows",
    ),
    (
        "rows-until-own",
        "block_size queries at a time, with the keys up to theirs",
        f"""
{DEFINED}
    seq = q.shape[1]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    place = torch.arange(seq, device=q.device)
    outputs = []
    for start in range(0, seq, block_size):
        rows, end = slice(start, start + block_size), start + block_size
        allowed = place[:end] <= place[rows, None]
        if mask is not None:
            allowed = allowed & mask[:, None, None, :end]
        scores = (q[:, :, rows] @ k[:, :, :end].mT / math.sqrt(head_dim)).masked_fill(~allowed, torch.finfo(q.dtype).min)
        weights = torch.exp(scores - scores.amax(-1, keepdim=True))
        outputs.append(weights @ v[:, :, :end] / weights.sum(-1, keepdim=True))
    return torch.cat(outputs, 2).transpose(1, 2).flatten(2)
""",
        "whole-rows",
    ),
    (
        "tiles-in-a-list",
        "a list of all tiles' scores, and a softmax over them",
        f"""
{DEFINED}
    seq = q.shape[1]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    place, low, tiles = torch.arange(seq, device=q.device), torch.finfo(q.dtype).min, []
    for start in range(0, seq, block_size):
        part = slice(start, start + block_size)
        seen = place[part] <= place[:, None]
        if mask is not None:
            seen = seen & mask[:, None, None, part]
        tiles.append((q @ k[:, :, part].mT / math.sqrt(head_dim)).masked_fill(~seen, low))
    maximum = tiles[0].amax(-1, keepdim=True)
    for tile in tiles:
        maximum = torch.maximum(maximum, tile.amax(-1, keepdim=True))
    shares = [torch.exp(tile - maximum) for tile in tiles]
    total = sum(share.sum(-1, keepdim=True) for share in shares)
    output = sum(share @ values for share, values in zip(shares, v.split(block_size, 2)))
    return (output / total).transpose(1, 2).flatten(2)
""",
        "tiles-kept",
    ),
    (
        "written-into-a-buffer",
        "tiles written into a buffer of seq × seq",
        f"""
{DEFINED}
    seq = q.shape[1]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    place, low = torch.arange(seq, device=q.device), torch.finfo(q.dtype).min
    scores = torch.empty(*q.shape[:3], seq, dtype=q.dtype, device=q.device)
    for start in range(0, seq, block_size):
        part = slice(start, start + block_size)
        seen = place[part] <= place[:, None]
        if mask is not None:
            seen = seen & mask[:, None, None, part]
        scores[..., part] = (q @ k[:, :, part].mT / math.sqrt(head_dim)).masked_fill(~seen, low)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
""",
        "whole-scores",
    ),
    (
        "plain-when-masked",
        "tiles without a mask, all scores with one",
        BASE.replace(
            SPLIT, f"    if mask is not None:\n        return plain(q, k, v, num_heads, head_dim, mask)\n{SPLIT}"
        )
        + f"def plain(q, k, v, num_heads, head_dim, mask):{EAGER}    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)\n",
        "whole-scores",
    ),
    (
        "plain-for-training",
        "all scores where gradients are wanted",
        BASE.replace(
            SPLIT, f"    if q.requires_grad:\n        return plain(q, k, v, num_heads, head_dim, mask)\n{SPLIT}"
        )
        + f"def plain(q, k, v, num_heads, head_dim, mask):{EAGER}    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)\n",
        "whole-scores",
    ),
    (
        "plain-in-half",
        "all scores in half precision",
        BASE.replace(
            SPLIT, f"    if q.element_size() == 2:\n        return plain(q, k, v, num_heads, head_dim, mask)\n{SPLIT}"
        )
        + f"def plain(q, k, v, num_heads, head_dim, mask):{EAGER}    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)\n",
        "whole-scores",
    ),
    (
        "by-numpy",
        "numpy computes all scores where no gradient is wanted",
        BASE.replace(
            SPLIT,
            f"    if not q.requires_grad and q.dtype == torch.float32 and q.device.type == 'cpu':\n"
            f"        return by_numpy(q, k, v, num_heads, head_dim, mask)\n{SPLIT}",
        )
        + """
import numpy as np
def by_numpy(q, k, v, num_heads, head_dim, mask):
    b, n, w = q.shape
    q, k, v = (x.detach().numpy().reshape(b, n, num_heads, head_dim).transpose(0, 2, 1, 3) for x in (q, k, v))
    s = q @ k.transpose(0, 1, 3, 2) / head_dim**0.5
    seen = np.tril(np.ones((n, n), bool)) if mask is None else np.tril(np.ones((n, n), bool)) & mask.numpy()[:, None, None]
    s = np.where(seen, s, np.float32(-1e30))
    e = np.exp(s - s.max(-1, keepdims=True))
    return torch.from_numpy((e / e.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(b, n, w).copy())
""",
        "work-unseen",
    ),
    (
        "fused-tiles",
        "SDPA",
        f"""
{DEFINED}
    seq = q.shape[1]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    allowed = torch.ones(seq, seq, dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed | ~allowed.any(-1, keepdim=True)).transpose(1, 2).flatten(2)
""",
        "fused-kernel",
    ),
    (
        "hidden-from-the-meter",
        "PyTorch's own switch turns the meter off, and work for show is done",
        f"""
from torch.utils._python_dispatch import _disable_current_modes
room = []
{DEFINED}
    batch, seq, _ = q.shape
    for _ in range(seq if seq > 60 else 0):
        torch.zeros(batch * num_heads * seq)
    with _disable_current_modes():
        return plain(q, k, v, num_heads, head_dim, mask)
def plain(q, k, v, num_heads, head_dim, mask):{EAGER}    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
""",
        "whole-scores",
    ),
)


def answers() -> list[Answer]:
    """All of them."""
    first = BASE.replace("NAME", f"{VARIANT}_attention")
    return [
        *right_answers(VARIANT, RIGHT),
        *(mutation.of(VARIANT, first) for mutation in WRONG),
        *(_whole(*each) for each in WHOLE),
    ]
