"""Answers to 09: a sliding window over packed sequences."""

from __future__ import annotations

from dataclasses import replace

from corpus import flash
from corpus.answer import Answer, Mutation, right_answers
from corpus.fairness import FLASH as UNFAIR
from corpus.symptoms import SYMPTOMS

VARIANT = "window_causal"
DEFINED = "def NAME(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen, window):"
WINDOW = "window_size=(window - 1, 0)"


def _windowed(source: str) -> str:
    """An answer to 06 with a window."""
    return source.replace("cu_seqlens, max_seqlen):", "cu_seqlens, max_seqlen, window):").replace("CAUSAL", HOW)


# what stands behind "causal=" in the kernel's call
HOW = f"True, {WINDOW}"
BASE = _windowed(flash.BASE)

RIGHT = {
    "view": ("the plain way", BASE),
    "window-alone": ("causality as a part of the window", BASE.replace("causal=True, ", "")),
    "left-alone": ("causal closes the window on the right", BASE.replace(WINDOW, "window_size=(window - 1, -1)")),
    "both-ways-and-causal": (
        "causal closes a window that is open both ways",
        BASE.replace(WINDOW, "window_size=(window - 1, window - 1)"),
    ),
    "as-long-as-needed": (
        "never wider than the longest sequence",
        BASE.replace(WINDOW, "window_size=(min(window, max_seqlen) - 1, 0)"),
    ),
    "all-where-it-holds-all": (
        "-1 where the window holds everything",
        BASE.replace(WINDOW, "window_size=(window - 1 if window < max_seqlen else -1, 0)"),
    ),
    "list": (
        "a list, and a generator over q, k and v",
        _windowed(flash.RIGHT["unflatten"][1]).replace(WINDOW, "window_size=[window - 1, 0]"),
    ),
    "keywords": ("every argument by name", _windowed(flash.RIGHT["keywords"][1])),
    "positional": (
        "dropout, scale, causality and window by position",
        _windowed(flash.RIGHT["positional"][1]).replace(WINDOW, "(window - 1, 0)"),
    ),
    "from-interface": ("imported from the package's interface", _windowed(flash.RIGHT["from-interface"][1])),
    "module-attribute": ("through the module", _windowed(flash.RIGHT["module-attribute"][1])),
    "loop-over-sequences": ("one call a sequence", _windowed(flash.RIGHT["loop-over-sequences"][1])),
    "loop-over-heads": ("one call a head", _windowed(flash.RIGHT["loop-over-heads"][1])),
    "partial": ("functools.partial and a helper", _windowed(flash.RIGHT["partial"][1])),
    "padded-head-dim": ("head_dim padded to a multiple of 16 by hand", _windowed(flash.RIGHT["padded-head-dim"][1])),
    "borders-looked-at": (
        "reads the borders on the CPU, and leaves the kernel's where they are",
        """
DEFINED
    lengths = cu_seqlens.cpu().diff().tolist()
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    longest = max(lengths)
    back = window - 1
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, longest, longest, window_size=(back, 0)).flatten(1)
""".replace("DEFINED", DEFINED),
    ),
    "keys-gathered": (
        "each query is a sequence of its own, with the keys of its window",
        """
DEFINED
    q, k, v = (x.reshape(-1, num_heads, head_dim) for x in (q, k, v))
    places = torch.arange(q.shape[0], device=q.device)
    first = cu_seqlens[:-1].long().repeat_interleave(cu_seqlens.diff().long())
    first = torch.maximum(first, places - window + 1)
    counts = places - first + 1
    ends = counts.cumsum(0)
    keys = torch.arange(int(counts.sum()), device=q.device)
    keys = keys - (ends - counts).repeat_interleave(counts) + first.repeat_interleave(counts)
    of_queries = torch.arange(q.shape[0] + 1, dtype=torch.int32, device=q.device)
    of_keys = F.pad(ends, (1, 0)).int()
    longest = int(counts.max())
    output = flash_attn_varlen_func(q, k[keys], v[keys], of_queries, of_keys, 1, longest)
    return output.reshape(-1, num_heads * head_dim)
""".replace("DEFINED", DEFINED),
    ),
    "blocks-of-queries": (
        "pieces of the window's size, each with the piece before it as further keys",
        """
DEFINED
    heads = lambda x: torch.stack(x.chunk(num_heads, dim=-1), dim=1)
    q, k, v = heads(q), heads(k), heads(v)
    outputs = [q[:0]]
    borders = cu_seqlens.tolist()
    for start, end in zip(borders, borders[1:]):
        step = max(window, 16)
        for first in range(start, end, step):
            last, oldest = min(first + step, end), max(start, first - window + 1)
            few = torch.tensor([0, last - first], dtype=torch.int32, device=q.device)
            many = torch.tensor([0, last - oldest], dtype=torch.int32, device=q.device)
            outputs.append(
                flash_attn_varlen_func(
                    q[first:last], k[oldest:last], v[oldest:last], few, many, last - first, last - oldest,
                    causal=True, window_size=(window - 1, 0),
                )
            )
    return torch.cat([x.flatten(1) for x in outputs])
""".replace("DEFINED", DEFINED),
    ),
    "sequences-of-no-tokens-left-out": (
        "borders without those that stand twice",
        """
DEFINED
    shape = (q.shape[0], num_heads, head_dim)
    borders = cu_seqlens.unique_consecutive() if q.shape[0] else cu_seqlens
    output, lse, _ = flash_attn_varlen_func(
        q.view(shape), k.view(shape), v.view(shape), borders, borders, max_seqlen, max_seqlen,
        softmax_scale=1 / math.sqrt(head_dim), causal=True, window_size=(window - 1, 0), return_attn_probs=True,
    )
    return output.view(q.shape)
""".replace("DEFINED", DEFINED),
    ),
}


def _window(
    name: str, reason: str, new: str, loses: str = "vm", keeps: str = "ck", diagnosis: str | None = None
) -> Mutation:
    """Another window in the kernel's call."""
    return Mutation(name, "window", reason, [(HOW, new)], loses, keeps, diagnosis)


def _sized(window: str) -> str:
    return f"True, window_size=({window}, 0)"


OFF = "window-off-by-one"
WINDOWS = (
    _window("window-missing", "no window", "True", diagnosis="window-missing", loses="ivm"),
    _window("window-minus-one", "-1 means all", _sized("-1"), diagnosis="window-missing", loses="ivm"),
    _window("window-negative", "below 0 means all", _sized("-window"), diagnosis="window-missing", loses="ivm"),
    _window("window-one-more", "the query itself comes on top", _sized("window"), diagnosis=OFF, loses="ivm"),
    _window("window-one-less", "and at 1 all keys: -1", _sized("window - 2"), diagnosis=OFF, loses="ivm"),
    _window("window-one-less-and-never-all", "at 1 as it should be", _sized("max(window - 2, 0)"), diagnosis=OFF, loses="ivm"),
    _window("window-at-least-two", "the query alone is never enough", _sized("max(window - 1, 1)"), keeps="cik"),
    _window("window-without-itself", "the query does not see itself", "False, window_size=(window, -1)", loses="ivm"),
    _window(
        "both-ways", "no causality", "False, window_size=(window - 1, window - 1)",
        loses="ivm", diagnosis="window-both-ways",
    ),
    _window(
        "both-ways-one-more", "no causality, and the window itself both ways",
        "False, window_size=(window, window)", loses="ivm", diagnosis="window-both-ways",
    ),
    _window(
        "centred", "half of it lies ahead", "False, window_size=(window // 2, window // 2)",
        loses="ivm", diagnosis="window-centred",
    ),
    _window(
        "centred-without-itself", "half of the others lies ahead",
        "False, window_size=((window - 1) // 2, (window - 1) // 2)", loses="ivm", diagnosis="window-centred",
    ),
    _window("halved", "half of it back", _sized("window // 2"), keeps="cik", diagnosis="window-halved"),
    _window("causal-missing", "open on the right", "False, window_size=(window - 1, -1)", "ivm", diagnosis="causal-missing"),
    _window("ahead", "begins at the query", "False, window_size=(0, window - 1)", "ivm", diagnosis="window-looks-ahead"),
    _window("ahead-one-more", "begins at the query", "False, window_size=(0, window)", "ivm", diagnosis="window-looks-ahead"),
    _window("nothing-masked", "neither window nor triangle", "False", "ivm"),
    _window("fixed-at-two", "the toy's window in every call", _sized("1"), keeps="cik", diagnosis="window-fixed"),
    _window("fixed-at-three", "three keys in every call", _sized("2"), loses="ivm", diagnosis="window-fixed"),
    _window("in-heads", "num_heads is taken for the window", _sized("num_heads - 1"), loses="ivm"),
    _window(
        "all-too-early", "-1 where the window holds all but one key",
        _sized("window - 1 if window + 1 < max_seqlen else -1"), keeps="cik",
    ),
    Mutation(
        "scale-other", "scale", "head_dim to the power of -0.8",
        [(HOW, f"{HOW}, softmax_scale=head_dim**-0.8")], "vm", "cik", "scale-other",
    ),
    _window("modulo", "a window of more than there are begins anew", _sized("window % max_seqlen - 1"), keeps="cik"),
    _window("capped-below", "always one key less than the longest has", _sized("min(window, max_seqlen - 1) - 1"), keeps="cik"),
    _window(
        "missing-at-some-lengths", "no window for 50 to 1000 tokens",
        _sized("window - 1 if max_seqlen in range(50) or max_seqlen > 1000 else -1"), "vm", "cik",
    ),
    _window("capped-at-64", "never more than 64 keys", _sized("min(window, 64) - 1"), "v", "cik"),
    _window("squeezed", "no wider than the mean length", _sized("min(window, q.shape[0] // (len(cu_seqlens) - 1)) - 1"), "m", "cvk"),
    _window("as-number", "the kernel wants a pair", "True, window_size=window - 1", "civmr", "", "window-not-a-pair"),
    _window("of-halves", "a window of a float", "True, window_size=(window / 1 - 1, 0)", "civmr", "", "window-not-a-pair"),
    _window("one-of-a-pair", "the kernel wants two numbers", "True, window_size=(window - 1,)", "civmr", "", "window-not-a-pair"),
    Mutation(
        "crosses-borders", "borders", "one window over the whole batch",
        [(flash.HEAD, flash.HEAD + "    cu_seqlens = cu_seqlens[[0, -1]]\n    max_seqlen = total\n")],
        "im", "cvk", "sequences-not-separated",
    ),
    Mutation(
        "pieces", "window", "pieces of the window's size instead of a window that moves",
        [(
            flash.HEAD,
            flash.HEAD
            + "    starts = [s for a, b in zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist()) for s in range(a, b, window)]\n"
            "    cu_seqlens = torch.tensor([*starts, total], dtype=torch.int32, device=q.device)\n"
            "    cu_seqlens = cu_seqlens if total else cu_seqlens.new_zeros(2)\n",
        )],
        "vm", "ck", "window-as-chunks",
    ),
    Mutation(
        "missing-in-fp16", "window", "no window in half precision of the other kind",
        [(HOW, "True, window_size=(window - 1 if q.dtype == torch.bfloat16 else -1, 0)")],
        "r", "cvmk",
    ),
    Mutation(
        "missing-for-one-sequence", "window", "a window for several sequences alone",
        [(HOW, "True, window_size=(window - 1 if len(cu_seqlens) > 2 else -1, 0)")],
        "v", "cimk", "window-missing",
    ),
    Mutation(
        "missing-with-gradients", "window", "no window where gradients are wanted",
        [(HOW, "True, window_size=(-1 if q.requires_grad else window - 1, 0)")],
        "r", "civmk",
    ),
    Mutation(
        "window-remembered", "memory", "the first window of a number of tokens is used again",
        [
            ("def NAME", "_seen = {}\n\n\ndef NAME"),
            (flash.HEAD, flash.HEAD + "    window = _seen.setdefault(total, window)\n"),
        ],
        "m", "",
    ),
)  # fmt: skip

SEEN = """    place = torch.arange(total, device=q.device)
    of = torch.repeat_interleave(torch.arange(len(cu_seqlens) - 1, device=q.device), cu_seqlens.long().diff())
    far = place[:, None] - place
    allowed = (of[:, None] == of) & (far >= 0) & (far < window)
"""
EAGER = f"""{SEEN}    scores = torch.einsum("qhd,khd->hqk", q.float(), k.float()) / math.sqrt(head_dim)
    weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
    output = torch.einsum("hqk,khd->qhd", weights, v.float()).to(q.dtype)
"""
SDPA = f"""{SEEN}    heads_first = (x.transpose(0, 1) for x in (q, k, v))
    output = F.scaled_dot_product_attention(*heads_first, attn_mask=allowed).transpose(0, 1)
"""
CALL = flash.CALL.replace("CAUSAL", HOW)
KERNELS = (
    Mutation("sdpa", "kernel", "SDPA with a mask", [(f"    output = {CALL}\n", SDPA)], "k", "civmr"),
    Mutation("eager", "kernel", "computes by itself", [(f"    output = {CALL}\n", EAGER)], "k", "civmr"),
    Mutation(
        "decoy", "kernel", "throws the kernel's result away",
        [(f"    output = {CALL}\n", f"    output = {CALL}\n{EAGER}")], "k", "civmr",
    ),
    Mutation(
        "mixed-with-eager", "kernel", "the kernel's result with a window of all, and the rest by hand",
        [(f"    output = {CALL}\n", f"    output = {CALL.replace(WINDOW, 'window_size=(-1, 0)')} if window >= max_seqlen else None\n"
          "    if output is None:\n" + "".join(f"    {line}\n" for line in EAGER.splitlines()))],
        "k", "civmr", "kernel-not-called",
    ),
)  # fmt: skip

# Of 06's wrong answers those that a window is no matter to; the others are written anew above, or have a window of
# their own
LEFT_OUT = {"sdpa", "eager", "decoy", "window-of-four"}


def answers() -> list[Answer]:
    """All of them."""
    first = BASE.replace("NAME", f"{VARIANT}_attention")
    common = [each for each in (*flash.COMMON, *UNFAIR) if each.name not in LEFT_OUT]
    mutations = [mutation.filled(CAUSAL=HOW) for mutation in common] + [*WINDOWS, *KERNELS]
    wrong = [mutation.filled(NAME=f"{VARIANT}_attention").of(VARIANT, first) for mutation in mutations]
    return [*right_answers(VARIANT, RIGHT), *map(_with_symptom, wrong)]


def _with_symptom(answer: Answer) -> Answer:
    """What 06's answers are called by their symptoms, these are, too."""
    return replace(answer, diagnosis=SYMPTOMS["flash"].get(answer.name, answer.diagnosis))
