"""Right answers in further styles, for both notebooks of a kernel; ``CAUSAL`` is True or False."""

from __future__ import annotations

from corpus.answer import Answer, right_answers

EAGER = {
    "loop-batch-gather-real-keys": (
        "padding is left out of keys and values, a sequence at a time",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    result = torch.zeros_like(q)
    for b in range(q.shape[0]):
        keep = torch.arange(q.shape[1], device=q.device) if mask is None else mask[b].nonzero().squeeze(1)
        if keep.numel() == 0:
            continue
        qq = q[b].reshape(-1, num_heads, head_dim).transpose(0, 1)
        kk = k[b, keep].reshape(-1, num_heads, head_dim).transpose(0, 1)
        vv = v[b, keep].reshape(-1, num_heads, head_dim).transpose(0, 1)
        s = qq @ kk.mT * (1 / math.sqrt(head_dim))
        if CAUSAL:
            pos = torch.arange(q.shape[1], device=q.device)
            bad = keep[None, :] > pos[:, None]
            rows = bad.all(1, keepdim=True)
            s = s.masked_fill(bad & ~rows, -math.inf)
        result[b] = (s.softmax(-1) @ vv).transpose(0, 1).reshape(q.shape[1], -1)
    return result
""",
    ),
    "loop-batch-head-query": (
        "a loop over sequences, heads and queries",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden = q.shape
    rows = []
    for b in range(batch):
        heads = []
        for h in range(num_heads):
            lo, hi = h * head_dim, (h + 1) * head_dim
            outs = []
            for i in range(seq):
                last = i + 1 if CAUSAL else seq
                keys = k[b, :last, lo:hi]
                vals = v[b, :last, lo:hi]
                s = keys @ q[b, i, lo:hi] / head_dim ** 0.5
                if mask is not None:
                    m = mask[b, :last]
                    s = s.masked_fill(~m, torch.finfo(s.dtype).min)
                outs.append(torch.softmax(s, 0) @ vals)
            heads.append(torch.stack(outs))
        rows.append(torch.cat(heads, -1))
    return torch.stack(rows)
""",
    ),
    "manual-softmax-in-dtype": (
        "softmax by hand, in the dtype of the inputs",
        """
def my_softmax(x):
    m = x.max(dim=-1, keepdim=True).values
    e = torch.exp(x - m)
    return e / e.sum(dim=-1, keepdim=True)

def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (t.unflatten(2, (num_heads, head_dim)).transpose(1, 2) for t in (q, k, v))
    s = q @ k.transpose(-2, -1) / head_dim ** 0.5
    hide = torch.zeros(s.shape[-2:], dtype=torch.bool, device=q.device)
    if CAUSAL:
        hide = torch.ones_like(hide).triu(1)
    if mask is not None:
        hide = hide | ~mask[:, None, None, :]
    s = s.masked_fill(hide, torch.finfo(s.dtype).min)
    return (my_softmax(s) @ v).transpose(1, 2).flatten(2)
""",
    ),
    "logsumexp-by-hand": (
        "exp of the scores minus their log-sum-exp",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (t.unflatten(2, (num_heads, head_dim)).transpose(1, 2) for t in (q, k, v))
    s = (q / math.sqrt(head_dim)) @ k.mT
    ok = torch.ones(s.shape[-2:], dtype=torch.bool, device=s.device)
    if CAUSAL:
        ok = ok.tril()
    if mask is not None:
        ok = ok & mask[:, None, None, :]
    s = s.masked_fill(~ok, torch.finfo(s.dtype).min)
    p = torch.exp(s - torch.logsumexp(s, dim=-1, keepdim=True))
    return (p @ v).transpose(1, 2).flatten(2)
""",
    ),
    "helper-class": (
        "a dataclass that does it",
        """
from dataclasses import dataclass
import typing as t

@dataclass
class Attn:
    num_heads: int
    head_dim: int
    causal: bool = CAUSAL

    def split(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        return x.contiguous().view(b, n, self.num_heads, self.head_dim).permute(0, 2, 1, 3).contiguous()

    def merge(self, x: torch.Tensor) -> torch.Tensor:
        b, h, n, d = x.shape
        return x.permute(0, 2, 1, 3).contiguous().view(b, n, h * d)

    def allowed(self, n: int, device, mask: t.Optional[torch.Tensor]):
        m = torch.ones(1, 1, n, n, dtype=torch.bool, device=device)
        if self.causal:
            m = m.tril()
        return m if mask is None else m * mask[:, None, None, :]

    def __call__(self, q, k, v, mask=None):
        q, k, v = self.split(q), self.split(k), self.split(v)
        scores = torch.matmul(q, k.transpose(-1, -2)) / self.head_dim ** 0.5
        ok = self.allowed(q.shape[2], q.device, mask)
        scores = scores.masked_fill(ok == False, torch.finfo(scores.dtype).min)
        return self.merge(torch.matmul(scores.softmax(dim=-1), v))

def NAME(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, num_heads: int, head_dim: int, mask: torch.Tensor | None = None) -> torch.Tensor:
    return Attn(num_heads, head_dim)(q, k, v, mask)
""",
    ),
    "partial-assigned": (
        "the function is a functools.partial, not a def",
        """
from functools import partial

def _attention(q, k, v, num_heads, head_dim, mask=None, *, causal):
    b, n, _ = q.shape
    sh = (b, n, num_heads, head_dim)
    q, k, v = q.reshape(sh).transpose(1, 2), k.reshape(sh).transpose(1, 2), v.reshape(sh).transpose(1, 2)
    s = q @ k.transpose(-1, -2) / math.sqrt(head_dim)
    hidden = torch.zeros(b, 1, n, n, dtype=torch.bool, device=q.device)
    if causal:
        hidden |= torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1)
    if mask is not None:
        hidden |= ~mask.view(b, 1, 1, n)
    s[hidden.expand_as(s)] = torch.finfo(s.dtype).min
    return (s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, -1)

NAME = partial(_attention, causal=CAUSAL)
""",
    ),
    "baddbmm": (
        "heads folded into the batch, the bias inside baddbmm",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    b, n, _ = q.shape
    fold = lambda x: x.reshape(b, n, num_heads, head_dim).transpose(1, 2).reshape(b * num_heads, n, head_dim)
    q3, k3, v3 = fold(q), fold(k), fold(v)
    neg = torch.finfo(q.dtype).min / 2
    bias = torch.zeros(b, n, n, dtype=q.dtype, device=q.device)
    if CAUSAL:
        bias = bias.masked_fill(torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1), neg)
    if mask is not None:
        bias = bias.masked_fill(~mask[:, None, :], neg)
    bias = bias.repeat_interleave(num_heads, 0)
    s = torch.baddbmm(bias, q3, k3.transpose(1, 2), alpha=1 / math.sqrt(head_dim))
    out = torch.bmm(s.softmax(2), v3)
    return out.view(b, num_heads, n, head_dim).transpose(1, 2).reshape(b, n, -1)
""",
    ),
    "online-softmax-chunks": (
        "keys in chunks with a running maximum, in fp32",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    dt = q.dtype
    b, n, _ = q.shape
    q, k, v = (x.float().reshape(b, n, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    q = q / math.sqrt(head_dim)
    NEG = -3e38
    m = torch.full((b, num_heads, n, 1), NEG, device=q.device)
    l = torch.zeros(b, num_heads, n, 1, device=q.device)
    acc = torch.zeros_like(q)
    pos = torch.arange(n, device=q.device)
    for start in range(0, n, 4):
        idx = pos[start:start + 4]
        s = q @ k[:, :, start:start + 4].transpose(-1, -2)
        ok = torch.ones(1, 1, n, len(idx), dtype=torch.bool, device=q.device)
        if CAUSAL:
            ok = ok & (idx[None, :] <= pos[:, None])
        if mask is not None:
            ok = ok & mask[:, None, None, start:start + 4]
        s = s.masked_fill(~ok, NEG)
        new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - new) * ok
        alpha = torch.exp(m - new)
        l = l * alpha + p.sum(-1, keepdim=True)
        acc = acc * alpha + p @ v[:, :, start:start + 4]
        m = new
    out = acc / l.clamp_min(1e-30)
    return out.transpose(1, 2).reshape(b, n, -1).to(dt)
""",
    ),
    "online-softmax-in-dtype": (
        "keys in chunks with a running maximum, in the dtype of the inputs",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    b, n, _ = q.shape
    q, k, v = (x.reshape(b, n, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    NEG = torch.finfo(q.dtype).min
    m = torch.full((b, num_heads, n, 1), NEG, device=q.device, dtype=q.dtype)
    l = torch.zeros(b, num_heads, n, 1, device=q.device, dtype=q.dtype)
    acc = torch.zeros_like(q)
    pos = torch.arange(n, device=q.device)
    for j in range(0, n, 16):
        cols = pos[j:j+16]
        s = q @ k[:, :, j:j + 16].transpose(-1, -2) / math.sqrt(head_dim)
        ok = torch.ones(b, 1, n, cols.numel(), dtype=torch.bool, device=q.device)
        if CAUSAL:
            ok = ok & (pos[:, None] >= cols)
        if mask is not None:
            ok = ok & mask[:, None, None, j:j + 16]
        s = torch.where(ok, s, torch.full_like(s, NEG))
        new = torch.maximum(m, s.max(-1, keepdim=True).values)
        p = torch.where(ok, torch.exp(s - new), torch.zeros_like(s))
        alpha = torch.exp(m - new)
        l = l * alpha + p.sum(-1, keepdim=True)
        acc = acc * alpha + p @ v[:, :, j:j + 16]
        m = new
    return torch.where(l > 0, acc / torch.where(l > 0, l, torch.ones_like(l)), torch.zeros_like(acc)).transpose(1, 2).reshape(b, n, -1)
""",
    ),
    "vmap-heads": (
        "torch.vmap over sequences and heads",
        """
def _one(q, k, v, ok):
    s = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    s = torch.where(ok, s, torch.finfo(s.dtype).min)
    return torch.softmax(s, -1) @ v

def NAME(q, k, v, num_heads, head_dim, mask=None):
    b, n, _ = q.shape
    q, k, v = (x.reshape(b, n, num_heads, head_dim) for x in (q, k, v))
    ok = torch.ones(b, n, n, dtype=torch.bool, device=q.device)
    if CAUSAL:
        ok = ok.tril()
    if mask is not None:
        ok = ok & mask[:, None, :]
    f = torch.vmap(torch.vmap(_one, in_dims=(1, 1, 1, None), out_dims=1))
    return f(q, k, v, ok).reshape(b, n, -1)
""",
    ),
    "broadcast-no-matmul": (
        "no product of matrices: broadcast and sum",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    s = (q[:, :, None] * k[:, None]).sum(-1) / math.sqrt(head_dim)      # b i j h
    n = s.shape[1]
    ok = torch.ones(1, n, n, 1, dtype=torch.bool, device=q.device)
    if CAUSAL:
        ok = torch.tril(ok[0, :, :, 0])[None, :, :, None]
    if mask is not None:
        ok = ok & mask[:, None, :, None]
    s = s.masked_fill(~ok, torch.finfo(s.dtype).min)
    w = s.softmax(dim=2)
    return (w[..., None] * v[:, None]).sum(2).flatten(-2)
""",
    ),
    "scale-both-quarter-root": (
        "q and k each scaled by the fourth root",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    r = head_dim ** -0.25
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q * r, k * r, v))
    s = q @ k.mT
    n = s.shape[-1]
    lo = torch.finfo(s.dtype).min
    if CAUSAL:
        s = s.where(torch.ones(n, n, dtype=torch.bool, device=q.device).tril(), torch.tensor(lo, dtype=s.dtype, device=s.device))
    if mask is not None:
        s = s.where(mask[:, None, None], torch.tensor(lo, dtype=s.dtype, device=s.device))
    return (s.softmax(-1) @ v).transpose(1, 2).flatten(2)
""",
    ),
    "custom-autograd-function": (
        "softmax as an autograd function of its own",
        """
class Soft(torch.autograd.Function):
    @staticmethod
    def forward(ctx, s):
        p = s.softmax(-1)
        ctx.save_for_backward(p)
        return p
    @staticmethod
    def backward(ctx, g):
        (p,) = ctx.saved_tensors
        return p * (g - (g * p).sum(-1, keepdim=True))

def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    s = q @ k.mT / math.sqrt(head_dim)
    n = s.shape[-1]
    keep = torch.ones(n, n, dtype=torch.bool, device=q.device)
    keep = keep.tril() if CAUSAL else keep
    if mask is not None:
        keep = keep & mask[:, None, None]
    return (Soft.apply(s.masked_fill(~keep, torch.finfo(s.dtype).min)) @ v).transpose(1, 2).flatten(2)
""",
    ),
    "sdpa-decoy-thrown-away": (
        "SDPA is called and its result thrown away: that does not count",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    s = q @ k.mT / math.sqrt(head_dim)
    n = s.shape[-1]
    keep = torch.ones(n, n, dtype=torch.bool, device=q.device)
    keep = keep.tril() if CAUSAL else keep
    if mask is not None:
        keep = keep & mask[:, None, None]
    F.scaled_dot_product_attention(q, k, v)  # looked at, not used
    return (s.masked_fill(~keep, torch.finfo(s.dtype).min).softmax(-1) @ v).transpose(1, 2).flatten(2)
""",
    ),
    "scaled-after-mask": (
        "scaled after masking: finfo.min stays low enough",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    s = q @ k.mT
    n = s.shape[-1]
    keep = torch.ones(n, n, dtype=torch.bool, device=q.device)
    keep = keep.tril() if CAUSAL else keep
    if mask is not None:
        keep = keep & mask[:, None, None]
    s = s.masked_fill(~keep, torch.finfo(s.dtype).min)
    return (torch.softmax(s / math.sqrt(head_dim), -1) @ v).transpose(1, 2).flatten(2)
""",
    ),
    "python-sums-in-dtype": (
        "Python sums over keys and head_dim, rounded at every step",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    b, n, _ = q.shape
    q, k, v = (x.reshape(b, n, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    s = sum(q[..., d:d+1] * k[..., d:d+1].transpose(-1, -2) for d in range(head_dim)) / math.sqrt(head_dim)
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None]
    s = s.masked_fill(~ok, torch.finfo(s.dtype).min)
    e = torch.exp(s - s.amax(-1, keepdim=True))
    total = e[..., :1]
    for j in range(1, n):
        total = total + e[..., j:j+1]
    out = e[..., :1] * v[..., :1, :]
    for j in range(1, n):
        out = out + e[..., j:j+1] * v[..., j:j+1, :]
    return (out / total).transpose(1, 2).reshape(b, n, -1)
""",
    ),
    "fill-1e4-then-multiply": (
        "a filled-in -1e4, and what is left of the weight is multiplied away",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None]
    s = torch.where(ok, q @ k.mT / math.sqrt(head_dim), -1e4)
    w = s.softmax(-1) * ok
    return (w @ v).transpose(1, 2).flatten(2)
""",
    ),
    "neg-inf-nan-to-num": (
        "-inf filled in and NaN weights replaced: masked_fill keeps NaN out of the gradients",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None]
    s = (q @ k.mT / math.sqrt(head_dim)).masked_fill(~ok, float("-inf"))
    return (s.softmax(-1).nan_to_num(0.0) @ v).transpose(1, 2).flatten(2)
""",
    ),
}
SDPA = {
    "float-additive-inf": (
        "a float bias of -inf, rows without keys left open",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    b, n, d = q.shape
    q, k, v = (x.reshape(b, n, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    hide = torch.zeros(b, 1, n, n, dtype=torch.bool, device=q.device)
    if CAUSAL:
        hide = hide | torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1)
    if mask is not None:
        hide = hide | ~mask[:, None, None, :]
    hide = hide & ~hide.all(-1, keepdim=True)
    bias = torch.zeros(b, 1, n, n, dtype=q.dtype, device=q.device).masked_fill(hide, float("-inf"))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=0.0).transpose(1, 2).reshape(b, n, d)
""",
    ),
    "per-sequence-loop-compact": (
        "a call a sequence, padding taken out",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    out = torch.zeros_like(q)
    for i in range(q.shape[0]):
        m = torch.ones(q.shape[1], dtype=torch.bool, device=q.device) if mask is None else mask[i]
        if not m.any():
            continue
        a, b, c = (x[i][m].unflatten(-1, (num_heads, head_dim)).transpose(0, 1).unsqueeze(0) for x in (q, k, v))
        o = F.scaled_dot_product_attention(a, b, c, is_causal=CAUSAL)
        out[i, m] = o[0].transpose(0, 1).flatten(1)
    return out
""",
    ),
    "torch-C-nn": (
        "SDPA by its name in torch._C._nn, by position",
        """
sdpa = torch._C._nn.scaled_dot_product_attention
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
        ok = ok | ~ok.any(-1, keepdim=True)
    return sdpa(q, k, v, ok, 0.0, False).transpose(1, 2).flatten(2)
""",
    ),
    "aten-default": (
        "SDPA by its overload in torch.ops.aten",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
        ok = ok | ~ok.any(-1, keepdim=True)
    return torch.ops.aten.scaled_dot_product_attention.default(q, k, v, attn_mask=ok).transpose(1, 2).flatten(2)
""",
    ),
    "prescaled-scale-1": (
        "q scaled first, and scale=1",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q / math.sqrt(head_dim), k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
        ok = ok | ~ok.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=ok, scale=1.0).transpose(1, 2).flatten(2)
""",
    ),
    "enable-gqa": (
        "enable_gqa with as many key heads as query heads",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
        ok = ok | ~ok.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=ok, enable_gqa=True).transpose(1, 2).flatten(2)
""",
    ),
    "double-cast-and-back": (
        "in fp64 inside",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    dt = q.dtype
    q, k, v = (x.double().unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
        ok = ok | ~ok.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=ok).transpose(1, 2).flatten(2).to(dt)
""",
    ),
    "padding-rows-zeroed-where": (
        "padding rows set to 0 afterwards",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    B, S, D = q.shape
    qh, kh, vh = (x.reshape(B, S, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    if mask is None:
        out = F.scaled_dot_product_attention(qh, kh, vh, is_causal=CAUSAL)
        return out.transpose(1, 2).reshape(B, S, D)
    ok = mask[:, None, None, :] & torch.ones(S, S, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else S)
    ok = torch.where(ok.any(-1, keepdim=True), ok, torch.ones_like(ok))
    out = F.scaled_dot_product_attention(qh, kh, vh, attn_mask=ok).transpose(1, 2).reshape(B, S, D)
    return torch.where(mask[..., None], out, torch.zeros_like(out))
""",
    ),
    "padding-rows-keep-v": (
        "padding rows set to v afterwards",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    B, S, D = q.shape
    qh, kh, vh = (x.reshape(B, S, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
    if mask is None:
        out = F.scaled_dot_product_attention(qh, kh, vh, is_causal=CAUSAL)
        return out.transpose(1, 2).reshape(B, S, D)
    ok = mask[:, None, None, :] & torch.ones(S, S, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else S)
    ok = torch.where(ok.any(-1, keepdim=True), ok, torch.ones_like(ok))
    out = F.scaled_dot_product_attention(qh, kh, vh, attn_mask=ok).transpose(1, 2).reshape(B, S, D)
    return torch.where(mask[..., None], out, v)
""",
    ),
    "batch-times-heads-3d": (
        "heads folded into the batch",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    b, n, _ = q.shape
    f = lambda x: x.reshape(b, n, num_heads, head_dim).transpose(1, 2).reshape(b * num_heads, n, head_dim)
    ok = torch.ones(b, n, n, dtype=torch.bool, device=q.device)
    ok = ok.tril() if CAUSAL else ok
    if mask is not None:
        ok = ok & mask[:, None]
    ok = (ok | ~ok.any(-1, keepdim=True)).repeat_interleave(num_heads, dim=0)
    o = F.scaled_dot_product_attention(f(q), f(k), f(v), attn_mask=ok)
    return o.reshape(b, num_heads, n, head_dim).transpose(1, 2).reshape(b, n, -1)
""",
    ),
    "pad-head-dim": (
        "head_dim padded to a multiple of 8",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    extra = -head_dim % 8
    q, k, v = (F.pad(x, (0, extra)) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
        ok = ok | ~ok.any(-1, keepdim=True)
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=ok, scale=head_dim ** -0.5)
    return o[..., :head_dim].transpose(1, 2).flatten(2)
""",
    ),
    "two-calls-and-where": (
        "two calls, and torch.where takes one or the other",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    plain = F.scaled_dot_product_attention(q, k, v, is_causal=CAUSAL)
    if mask is None:
        return plain.transpose(1, 2).flatten(2)
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n) & mask[:, None, None, :]
    safe = ok | ~ok.any(-1, keepdim=True)
    masked = F.scaled_dot_product_attention(q, k, v, attn_mask=safe)
    full = mask.all(1)[:, None, None, None]
    return torch.where(full, plain, masked).transpose(1, 2).flatten(2)
""",
    ),
    "query-chunks": (
        "five queries a call",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    ok = ok[None, None] if mask is None else ok & mask[:, None, None, :]
    ok = ok | ~ok.any(-1, keepdim=True)
    parts = [F.scaled_dot_product_attention(q[:, :, i:i + 5], k, v, attn_mask=ok[:, :, i:i + 5]) for i in range(0, n, 5)]
    return torch.cat(parts, 2).transpose(1, 2).flatten(2)
""",
    ),
    "class-and-partial": (
        "an instance with __call__",
        """
from functools import partial
class Attention:
    def __init__(self, causal): self.causal = causal
    def __call__(self, q, k, v, num_heads, head_dim, mask=None):
        b, n, _ = q.shape
        q, k, v = (x.reshape(b, n, num_heads, head_dim).permute(0, 2, 1, 3) for x in (q, k, v))
        m = None
        if mask is not None:
            m = mask.view(b, 1, 1, n).repeat(1, 1, n, 1)
            if self.causal:
                m = torch.tril(m)
            m = m | ~m.any(-1, keepdim=True)
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=m, is_causal=self.causal and m is None)
        return o.permute(0, 2, 1, 3).reshape(b, n, num_heads * head_dim)
NAME = Attention(CAUSAL)
""",
    ),
    "no-repair-bool-mask": (
        "rows without keys are left to SDPA, which gives zeros for them",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=ok).transpose(1, 2).flatten(2)
""",
    ),
    "sdpa-kernel-context": (
        "asks for the MATH backend",
        """
from torch.nn.attention import sdpa_kernel, SDPBackend
def NAME(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    n = q.shape[-2]
    ok = torch.ones(n, n, dtype=torch.bool, device=q.device).tril(0 if CAUSAL else n)
    if mask is not None:
        ok = ok & mask[:, None, None, :]
        ok = ok | ~ok.any(-1, keepdim=True)
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=ok).transpose(1, 2).flatten(2)
""",
    ),
    "zero-then-write": (
        "a call a sequence and head, written into an empty tensor",
        """
def NAME(q, k, v, num_heads, head_dim, mask=None):
    b, n, c = q.shape
    out = q.new_empty(b, n, num_heads, head_dim)
    ok = torch.ones(b, n, n, dtype=torch.bool, device=q.device)
    if CAUSAL:
        ok = ok.tril()
    if mask is not None:
        ok = ok & mask[:, None, :]
    ok = ok | ~ok.any(-1, keepdim=True)
    qs, ks, vs = (x.reshape(b, n, num_heads, head_dim) for x in (q, k, v))
    for i in range(b):
        for h in range(num_heads):
            out[i, :, h] = F.scaled_dot_product_attention(qs[i, :, h], ks[i, :, h], vs[i, :, h], attn_mask=ok[i])
    return out.reshape(b, n, c)
""",
    ),
}
FLASH = {
    "prescaled": (
        "q scaled first, and softmax_scale=1",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q * head_dim ** -0.5, k, v))
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, softmax_scale=1.0, causal=CAUSAL).flatten(1)
""",
    ),
    "window": (
        "the triangle as a window",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    w = (-1, 0) if CAUSAL else (-1, -1)
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, window_size=w).flatten(1)
""",
    ),
    "pad-head-dim": (
        "head_dim padded to a multiple of 32",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    extra = -head_dim % 32
    q, k, v = (torch.nn.functional.pad(x.unflatten(-1, (num_heads, head_dim)), (0, extra)) for x in (q, k, v))
    o = flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, softmax_scale=head_dim ** -0.5, causal=CAUSAL)
    return o[..., :head_dim].flatten(1)
""",
    ),
    "import-module": (
        "import flash_attn",
        """
import flash_attn
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    T, _ = q.shape
    s = (T, num_heads, head_dim)
    return flash_attn.flash_attn_varlen_func(q.reshape(s), k.reshape(s), v.reshape(s), cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL).view(T, -1)
""",
    ),
    "max-seqlen-tensor-and-recomputed": (
        "max_seqlen as a tensor, from cu_seqlens",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    longest = (cu_seqlens[1:] - cu_seqlens[:-1]).max()
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).contiguous() for x in (q, k, v))
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, longest, longest, causal=CAUSAL).flatten(1)
""",
    ),
    "max-seqlen-total": (
        "max_seqlen larger than need be",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    n = q.shape[0]
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, n, n, causal=CAUSAL).flatten(1)
""",
    ),
    "return-probs": (
        "return_attn_probs, and the output alone returned",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    out, lse, _ = flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL, return_attn_probs=True)
    return out.flatten(1)
""",
    ),
    "einsum-merge": (
        "functools.partial and a class that splits and merges",
        """
from functools import partial
attend = partial(flash_attn_varlen_func, causal=CAUSAL, softmax_scale=None)
class Packed:
    def __init__(self, heads, dim): self.heads, self.dim = heads, dim
    def split(self, x): return torch.stack(x.split(self.dim, -1), 1)
    def merge(self, x): return torch.cat(x.unbind(1), -1)
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    p = Packed(num_heads, head_dim)
    return p.merge(attend(p.split(q), p.split(k), p.split(v), cu_seqlens, cu_seqlens, max_seqlen, max_seqlen))
""",
    ),
    "squeeze-unsqueeze": (
        "q, k and v stacked first, the result written into an empty tensor",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    t, c = q.size()
    qkv = torch.stack([q, k, v]).reshape(3, t, num_heads, head_dim)
    a, b, c_ = qkv.unbind(0)
    o = torch.empty_like(a)
    o[:] = flash_attn_varlen_func(a, b, c_, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, causal=CAUSAL)
    return o.reshape(t, c)
""",
    ),
    "sequences-sorted": (
        "the sequences in reverse order, and back",
        """
def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    # the sequences in reverse order, and back
    b = cu_seqlens.tolist()
    pieces = [torch.arange(s, e, device=q.device) for s, e in zip(b, b[1:])]
    order = torch.cat(pieces[::-1])
    cu = torch.tensor([0] + [len(p) for p in pieces[::-1]], device=q.device).cumsum(0, dtype=torch.int32)
    x, y, z = (t[order].reshape(-1, num_heads, head_dim) for t in (q, k, v))
    o = flash_attn_varlen_func(x, y, z, cu, cu, max_seqlen, max_seqlen, causal=CAUSAL).reshape(len(order), -1)
    out = torch.empty_like(o)
    out[order] = o
    return out
""",
    ),
}


def answers() -> list[Answer]:
    """All of them, for each variant of part one."""
    result = []
    for kernel, group in (("eager", EAGER), ("sdpa", SDPA), ("flash", FLASH)):
        for causal in (False, True):
            sources = {name: (reason, text.replace("CAUSAL", str(causal))) for name, (reason, text) in group.items()}
            result += right_answers(f"{kernel}_{'causal' if causal else 'bidirectional'}", sources)
    return result
