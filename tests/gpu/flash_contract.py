"""What each flash route takes and refuses, row by row: ``python tests/gpu/flash_contract.py [--json FILE]``.

A row is one call of ``flash_attn_varlen_func`` and its stated outcome on each of the three routes. On a machine with a
GPU the real flash-attn, PyTorch's ``varlen_attn`` behind its signature, and the stand-in answer side by side; without
one the stand-in answers alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from attention_lab.flash import route as flash_route
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in
from attention_lab.flash.varlen_attn import adapt
from attention_lab.inputs import running_sum

ROUTES = ("flash-attn", "varlen_attn", "stand-in")

SAME = "same numbers"  # as the float64 reference's, within the tolerance
RANDOM = "same on average"  # dropout
SHAPE = "shape alone"  # the meta device has no data
REJECTED = "rejected"  # with an error of the stated class
REFUSED = "refused by name"  # NotImplementedError that names the argument
SILENT = "accepted silently"  # and numbers that are not what was meant
UNDEFINED = "not called"  # it would read or write beyond the tensors

# Largest |got - reference| / (1 + |reference|); beside it the worst over all rows that was measured on an H200 with
# torch 2.11 and flash-attn 2.8.3: of flash-attn, varlen_attn and the stand-in
TOLERANCES = {
    torch.bfloat16: 8e-3,  # 3.1e-3, 3.1e-3, 2.6e-3
    torch.float16: 8e-4,  # 3.1e-4, 3.1e-4, 2.9e-4
}
GRADIENT_TOLERANCES = {
    torch.bfloat16: 2.5e-2,  # 1.0e-2, 1.0e-2, 5.3e-3
    torch.float16: 2.5e-3,  # 1.1e-3, 1.1e-3, 3.2e-4
}
LSE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Row:
    """One call and what becomes of it.

    Attributes:
        name: What is special about the call.
        change: Changes the plain call's arguments; gets them and a second device.
        flash_attn: Stated outcome of the real flash-attn.
        varlen_attn: Stated outcome of PyTorch's ``varlen_attn`` behind the signature.
        stand_in: Stated outcome of the stand-in.
        error: Class of the error where it is rejected: the real kernel's.
        stand_in_error: Class of the stand-in's error, where it is stricter than the kernels.
        argument: Name that a refusal has to say.
        gradients: Whether gradients are compared too.
    """

    name: str
    change: Callable[[dict[str, Any], str], dict[str, Any]]
    flash_attn: str = SAME
    varlen_attn: str = SAME
    stand_in: str = SAME
    error: type[Exception] | tuple[type[Exception], ...] = RuntimeError
    stand_in_error: type[Exception] | None = None
    argument: str = ""
    gradients: bool = False

    def stated(self, route: str) -> str:
        """The stated outcome on a route."""
        return {"flash-attn": self.flash_attn, "varlen_attn": self.varlen_attn, "stand-in": self.stand_in}[route]


@dataclass
class Result:
    """What became of a row on a route.

    Attributes:
        row: The row's name.
        route: One of the three.
        stated: The stated outcome.
        got: The outcome; equal to the stated one where all is well.
        error: Worst error of the output, where numbers were compared.
        gradient_error: Worst error of the gradients, likewise.
        words: What the kernel said, or what differs.
    """

    row: str
    route: str
    stated: str
    got: str
    dtype: str = ""
    error: float | None = None
    gradient_error: float | None = None
    words: str = field(default="", compare=False)


# ---- rows ------------------------------------------------------------------------------------------------------------

LENGTHS = (5, 70, 1, 33)


def call(
    lengths: Sequence[int] = LENGTHS,
    heads: int = 4,
    kv_heads: int | None = None,
    head_dim: int = 64,
    dtype: torch.dtype = torch.bfloat16,
    keys: Sequence[int] | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Arguments of a plain call; ``keys`` are the keys' lengths where they differ from the queries'."""
    generator = torch.Generator().manual_seed(0)
    keys = lengths if keys is None else keys

    def draw(total: int, heads: int) -> Tensor:
        return torch.randn(total, heads, head_dim, generator=generator).to(device=device, dtype=dtype)

    kv_heads = heads if kv_heads is None else kv_heads
    return {
        "q": draw(sum(lengths), heads),
        "k": draw(sum(keys), kv_heads),
        "v": draw(sum(keys), kv_heads),
        "cu_seqlens_q": running_sum(lengths, device),
        "cu_seqlens_k": running_sum(keys, device),
        "max_seqlen_q": max(lengths),
        "max_seqlen_k": max(keys),
    }


def sized(name: str, *, more: dict[str, Any] | None = None, **sizes: Any) -> Row:
    """A row with other sizes, and with more arguments."""
    row_fields = {key: sizes.pop(key) for key in ("gradients", "varlen_attn", "argument") if key in sizes}
    return Row(name, lambda plain, other: call(**sizes, device=plain["q"].device.type) | (more or {}), **row_fields)


def rejected(name: str, change: Callable[[dict[str, Any], str], dict[str, Any]], **fields: Any) -> Row:
    """A row that all three reject."""
    return Row(name, lambda plain, other: plain | change(plain, other), REJECTED, REJECTED, REJECTED, **fields)


def stricter(name: str, change: Callable[[dict[str, Any]], dict[str, Any]], kernels: str = SILENT) -> Row:
    """A row that the kernels accept silently, with wrong numbers; the stand-in says so."""
    return Row(name, lambda plain, other: plain | change(plain), kernels, kernels, REJECTED, stand_in_error=ValueError)


def converted(plain: dict[str, Any], dtype: torch.dtype, names: str = "qkv") -> dict[str, Any]:
    return {name: plain[name].to(dtype) for name in names}


def spread(x: Tensor) -> Tensor:
    """The same numbers, with gaps along the last dimension."""
    return torch.stack([x, x], dim=-1).flatten(-2)[..., ::2]


def _rows() -> Iterator[Row]:
    bf16, fp16 = torch.bfloat16, torch.float16
    # sizes, dtypes, causality
    for dtype, word in ((bf16, "bf16"), (fp16, "fp16")):
        for causal in (False, True):
            kind = "causal" if causal else "bidirectional"
            sizes = {"dtype": dtype, "head_dim": 32, "more": {"causal": causal}}
            yield sized(f"{word}, {kind}, with gradients", gradients=True, **sizes)
    for head_dim in (1, 8, 20, 32, 33, 64, 96, 100, 128, 192, 256):
        yield sized(f"head_dim {head_dim}", head_dim=head_dim)
    for head_dim in (20, 64, 128):
        yield sized(f"head_dim {head_dim}, causal, with gradients", head_dim=head_dim, gradients=True, more=CAUSAL)
    yield rejected("head_dim 264", lambda plain, other: call(head_dim=264, device=plain["q"].device.type))
    yield sized("one token", lengths=(1,))
    yield sized("one head", heads=1)
    yield sized("a long sequence", lengths=(1000, 3), heads=2, more=CAUSAL)
    yield sized("equal lengths", lengths=(16, 16, 16))
    yield Row("large scores", lambda plain, other: plain | {"q": plain["q"] * 20})
    # zero-length sequences
    for place, lengths in {"middle": (5, 0, 9), "beginning": (0, 5, 9), "end": (5, 9, 0)}.items():
        yield sized(f"a zero-length sequence at the {place}", lengths=lengths, head_dim=32, gradients=True)
    yield sized("no tokens at all", lengths=(0,))
    # grouped heads
    yield sized("4 heads, 2 kv heads, with gradients", kv_heads=2, head_dim=32, gradients=True, more=CAUSAL)
    yield sized("4 heads, 1 kv head", kv_heads=1)
    yield sized("one query each, 4 heads, 2 kv heads", lengths=(1, 1), keys=(7, 9), kv_heads=2)
    yield sized("one query each, many keys, 4 heads, 2 kv heads", lengths=(1, 1), keys=(700, 900), kv_heads=2)
    for kv_heads in (1, 2, 3):
        yield sized(
            f"6 heads, {kv_heads} kv heads, ragged, with gradients",
            lengths=(9, 0, 70, 1),
            heads=6,
            kv_heads=kv_heads,
            head_dim=40,
            gradients=True,
        )
    yield rejected("2 heads, 4 kv heads", lambda plain, other: call(heads=2, kv_heads=4, device=plain["q"].device.type))
    yield rejected("v of other kv heads than k", lambda plain, other: {"v": plain["v"][:, :2]})
    yield rejected("4 heads, 3 kv heads", lambda plain, other: call(kv_heads=3, device=plain["q"].device.type))
    # queries and keys of different lengths: the triangle hangs at the end
    yield sized("fewer queries than keys, causal", lengths=(2, 5), keys=(5, 70), more=CAUSAL)
    yield sized(
        "more queries than keys, causal", lengths=(5, 70), keys=(2, 5), head_dim=32, gradients=True, more=CAUSAL
    )
    # further arguments
    yield Row("every argument by position", _by_position)
    yield Row("softmax_scale", lambda plain, other: plain | {"softmax_scale": 0.5})
    yield sized("softmax_scale, head_dim 20", head_dim=20, more={"softmax_scale": 0.5})
    for window in ((-1, 0), (0, -1), (4, -1), (3, 2), (0, 0)):
        yield Row(f"window_size {window}", lambda plain, other, window=window: plain | {"window_size": window})
    yield sized(
        "window_size (3, 5), causal, with gradients",
        head_dim=32,
        gradients=True,
        more=CAUSAL | {"window_size": (3, 5)},
    )
    # windows that hold the query alone, some keys, all but one, all, and more than there are; 70 is the longest
    for left in (0, 1, 6, 68, 69, 70, 7000):
        window = {"window_size": (left, 0)}
        yield sized(f"window_size {(left, 0)}, with gradients", head_dim=40, gradients=True, more=window)
    for left in (0, 6):
        closed = CAUSAL | {"window_size": (left, -1)}
        yield sized(f"window_size {(left, -1)}, causal, with gradients", head_dim=40, gradients=True, more=closed)
    yield Row("window_size a list", lambda plain, other: plain | {"window_size": [6, 0]})
    narrow, none = {"window_size": (6, 0)}, (9, 0, 70, 1)
    yield sized("window_size (6, 0), a zero-length sequence", lengths=none, head_dim=40, gradients=True, more=narrow)
    yield sized("window_size (300, 0), a long sequence", lengths=(1000, 3), heads=2, more={"window_size": (300, 0)})
    yield sized("window_size (6, 0), fewer queries than keys", lengths=(2, 5), keys=(5, 70), more=narrow)
    yield sized("window_size (6, 0), more queries than keys", lengths=(5, 70), keys=(2, 5), more=narrow)
    for kv_heads in (1, 3):
        grouped: dict[str, Any] = {"heads": 6, "kv_heads": kv_heads, "head_dim": 40}
        yield sized(
            f"window_size (6, 0), 6 heads, {kv_heads} kv heads, with gradients", gradients=True, more=narrow, **grouped
        )
        with_lse = narrow | {"return_attn_probs": True}
        yield sized(f"return_attn_probs, window_size (6, 0), 6 heads, {kv_heads} kv heads", more=with_lse, **grouped)
    for wrong in (6, (6,), (6.5, 0)):
        yield rejected(
            f"window_size {wrong}",
            lambda plain, other, wrong=wrong: {"window_size": wrong},
            error=(TypeError, IndexError, RuntimeError),
        )
    yield sized(
        "softcap, with gradients",
        head_dim=32,
        gradients=True,
        more={"softcap": 2.0},
        varlen_attn=REFUSED,
        argument="softcap",
    )
    yield sized("deterministic, with gradients", head_dim=32, gradients=True, more={"deterministic": True})
    yield sized("return_attn_probs", more={"return_attn_probs": True})
    yield sized("return_attn_probs, causal, head_dim 20", head_dim=20, more=CAUSAL | {"return_attn_probs": True})
    yield sized(
        "return_attn_probs, queries that see no key",
        lengths=(5, 7),
        keys=(2, 7),
        more=CAUSAL | {"return_attn_probs": True},
    )
    yield Row("dropout_p 0.25", _dropped, RANDOM, REFUSED, RANDOM, argument="dropout_p")
    for probability in (1.0, 1.5):
        yield Row(
            f"dropout_p {probability}",
            lambda plain, other, probability=probability: plain | {"dropout_p": probability},
            REJECTED,
            REFUSED,
            REJECTED,
            argument="dropout_p",
        )
    yield Row("alibi_slopes", _with_slopes, SAME, REFUSED, REFUSED, argument="alibi_slopes")
    yield Row("block_table", _with_blocks, REJECTED, REFUSED, REFUSED, argument="block_table")
    # dtypes
    yield rejected("fp32", lambda plain, other: converted(plain, torch.float32))
    yield rejected("fp64", lambda plain, other: converted(plain, torch.float64))
    yield rejected("k of another dtype", lambda plain, other: converted(plain, fp16, "k"))
    yield rejected("v of another dtype", lambda plain, other: converted(plain, fp16, "v"))
    # layouts
    yield Row("gaps in the last dimension", lambda plain, other: plain | {n: spread(plain[n]) for n in "qkv"})
    yield Row("transposed views", lambda plain, other: plain | {n: _transposed(plain[n]) for n in "qkv"})
    yield Row("thirds of one projection", _thirds)
    yield Row("one key for all heads, by expand", _expanded)
    # shapes
    yield rejected("2-D q, k and v", lambda plain, other: {n: plain[n].flatten(1) for n in "qkv"}, error=IndexError)
    yield rejected("4-D q, k and v", lambda plain, other: {n: plain[n][None] for n in "qkv"})
    yield rejected("k and v of different lengths", lambda plain, other: {"v": plain["v"][:-1]})
    yield rejected("k of another head_dim", lambda plain, other: {"k": plain["k"][..., :32]})
    yield rejected("v of another head_dim", lambda plain, other: {"v": plain["v"][..., :32]})
    yield rejected("q a list", lambda plain, other: {"q": plain["q"].tolist()}, error=(AttributeError, TypeError))
    # borders
    for name in ("cu_seqlens_q", "cu_seqlens_k"):
        for dtype in (torch.int64, torch.float32):
            kind = str(dtype).removeprefix("torch.")
            yield rejected(
                f"{name} of {kind}", lambda plain, other, name=name, dtype=dtype: {name: plain[name].to(dtype)}
            )
        yield rejected(f"{name} a list", lambda plain, other, name=name: {name: plain[name].tolist()})
        yield rejected(f"{name} with one sequence more", lambda plain, other, name=name: {name: _longer(plain[name])})
        yield rejected(f"{name} 2-D", lambda plain, other, name=name: {name: plain[name][None]})
        yield rejected(f"{name} with gaps", lambda plain, other, name=name: {name: spread(plain[name])})
    yield rejected("no borders", lambda plain, other: {n: plain[n][:1] for n in ("cu_seqlens_q", "cu_seqlens_k")})
    # longest lengths
    for name in ("max_seqlen_q", "max_seqlen_k"):
        yield Row(
            f"{name} a 0-d tensor", lambda plain, other, name=name: plain | {name: torch.tensor(plain[name]).int()}
        )
        yield rejected(f"{name} a float", lambda plain, other, name=name: {name: float(plain[name])})
        yield rejected(f"{name} None", lambda plain, other, name=name: {name: None})
    yield Row("max_seqlen too large", lambda plain, other: plain | {"max_seqlen_q": 300, "max_seqlen_k": 300})
    # where the kernels are silently wrong
    yield stricter("max_seqlen_q too small", lambda plain: _long(plain) | {"max_seqlen_q": 100})
    yield stricter("max_seqlen_k too small", lambda plain: _long(plain) | {"max_seqlen_k": 100})
    yield stricter("borders that end early", _short)
    yield stricter("borders that do not begin at 0", _late)
    yield stricter("heads first", _heads_first)
    yield stricter("borders that fall", _falling, UNDEFINED)
    yield stricter("borders that end late", _beyond, UNDEFINED)
    # devices
    yield rejected("cu_seqlens_q elsewhere", lambda plain, other: {"cu_seqlens_q": plain["cu_seqlens_q"].to(other)})
    yield rejected("cu_seqlens_k elsewhere", lambda plain, other: {"cu_seqlens_k": plain["cu_seqlens_k"].to(other)})
    yield rejected("k elsewhere", lambda plain, other: {"k": plain["k"].to(other)})
    yield Row("everything on the meta device", lambda plain, other: _moved(plain, "meta"), SHAPE, SHAPE, SHAPE)
    yield Row(
        "everything on the CPU",
        lambda plain, other: _moved(plain, "cpu"),
        REJECTED,
        REJECTED,
        error=(RuntimeError, NotImplementedError),
    )


CAUSAL = {"causal": True}


def _moved(plain: dict[str, Any], device: str) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in plain.items()}


def _by_position(plain: dict[str, Any], other: str) -> dict[str, Any]:
    rest = (0.0, 0.25, True, (8, -1), 0.0, None, False, False, None)
    return {"positional": (*plain.values(), *rest)}


def _dropped(plain: dict[str, Any], other: str) -> dict[str, Any]:
    large = call((200, 300), heads=4, head_dim=32, device=plain["q"].device.type)
    return large | {"v": torch.ones_like(large["v"]), "dropout_p": 0.25}


def _with_slopes(plain: dict[str, Any], other: str) -> dict[str, Any]:
    return plain | {"alibi_slopes": torch.tensor([0.5, 0.25, 0.125, 0.0625], device=plain["q"].device)}


def _with_blocks(plain: dict[str, Any], other: str) -> dict[str, Any]:
    return plain | {"block_table": torch.zeros(len(LENGTHS), 1, dtype=torch.int32, device=plain["q"].device)}


def _transposed(x: Tensor) -> Tensor:
    return x.transpose(0, 1).contiguous().transpose(0, 1)


def _thirds(plain: dict[str, Any], other: str) -> dict[str, Any]:
    joined = torch.cat([plain[name].flatten(1) for name in "qkv"], dim=1)
    return plain | {
        name: part.unflatten(-1, plain["q"].shape[1:]) for name, part in zip("qkv", joined.chunk(3, 1), strict=True)
    }


def _expanded(plain: dict[str, Any], other: str) -> dict[str, Any]:
    return plain | {name: plain[name][:, :1].expand(-1, 4, -1) for name in "kv"}


def _longer(borders: Tensor) -> Tensor:
    return torch.cat([borders, borders[-1:]])


def _long(plain: dict[str, Any]) -> dict[str, Any]:
    return call((300, 20), device=plain["q"].device.type)


def _short(plain: dict[str, Any]) -> dict[str, Any]:
    borders = plain["cu_seqlens_q"].clone()
    borders[-1] -= 3
    return {"cu_seqlens_q": borders, "cu_seqlens_k": borders}


def _late(plain: dict[str, Any]) -> dict[str, Any]:
    borders = plain["cu_seqlens_q"].clone()
    borders[0] = 2
    return {"cu_seqlens_q": borders, "cu_seqlens_k": borders}


def _falling(plain: dict[str, Any]) -> dict[str, Any]:
    borders = plain["cu_seqlens_q"].clone()
    borders[2] = 3
    return {"cu_seqlens_q": borders, "cu_seqlens_k": borders}


def _beyond(plain: dict[str, Any]) -> dict[str, Any]:
    return {"cu_seqlens_q": plain["cu_seqlens_q"] + plain["cu_seqlens_q"].sign()}


def _heads_first(plain: dict[str, Any]) -> dict[str, Any]:
    # more heads than tokens, so that the kernels stay within the tensors
    few = call((3, 6), heads=16, device=plain["q"].device.type)
    return few | {name: few[name].transpose(0, 1).contiguous() for name in "qkv"}


ROWS = tuple(_rows())


# ---- the reference ---------------------------------------------------------------------------------------------------


def reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    block_table: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp in float64, one sequence after the other.

    Source: the docstring of flash-attn's ``flash_attn_varlen_func``.
    """
    left, right = window_size[0], 0 if causal else window_size[1]
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    outputs, lses = [], []
    borders_q, borders_k = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    for start, end, start_k, end_k in zip(borders_q, borders_q[1:], borders_k, borders_k[1:], strict=False):
        queries, keys, values = q[start:end], k[start_k:end_k], v[start_k:end_k]
        scores = torch.einsum("ihd,jhd->hij", queries, keys) * scale
        if softcap:
            scores = softcap * (scores / softcap).tanh()
        # how far key j lies ahead of query i, both counted from the end
        shift = (end_k - start_k) - (end - start)
        ahead = torch.arange(end_k - start_k)[None, :] - torch.arange(end - start)[:, None] - shift
        ahead = ahead.to(q.device)
        if alibi_slopes is not None:
            scores = scores - alibi_slopes.double()[:, None, None] * ahead.abs()
        seen = torch.ones_like(ahead, dtype=torch.bool)
        if left >= 0:
            seen &= ahead >= -left
        if right >= 0:
            seen &= ahead <= right
        blind = ~seen.any(-1, keepdim=True)
        weights = scores.masked_fill(~seen, float("-inf")).masked_fill(blind, 0.0).softmax(-1).masked_fill(~seen, 0.0)
        outputs.append(torch.einsum("hij,jhd->ihd", weights, values))
        lse = scores.masked_fill(~seen, float("-inf")).logsumexp(-1)
        lses.append(lse.masked_fill(blind.squeeze(-1), float("inf")))
    return torch.cat(outputs), torch.cat(lses, dim=1)


# ---- asking a route --------------------------------------------------------------------------------------------------


@cache
def kernels() -> dict[str, Callable[..., Any] | str]:
    """The function behind each route, or the reason why it cannot be asked here."""
    answers: dict[str, Callable[..., Any] | str] = {"stand-in": flash_attn_varlen_stand_in}
    if not torch.cuda.is_available():
        return answers | dict.fromkeys(ROUTES[:2], "needs a GPU")
    flash_attn = flash_route.working(flash_route._flash_attn)
    answers["flash-attn"] = flash_attn if callable(flash_attn) else f"does not run on this GPU: {flash_attn}"
    varlen_attn = flash_route.working(flash_route._varlen_attn, signature=adapt)
    answers["varlen_attn"] = adapt(varlen_attn) if callable(varlen_attn) else f"not on this GPU: {varlen_attn}"
    return answers


@cache
def ask(route: str) -> dict[str, Result]:
    """The results of all rows that can be asked on a route, by the rows' names."""
    kernel = kernels()[route]
    assert callable(kernel), kernel
    return {row.name: _ask(row, route, kernel) for row in ROWS if row.stated(route) != UNDEFINED}


def _ask(row: Row, route: str, kernel: Callable[..., Any]) -> Result:
    device, other = ("cuda", "cpu") if torch.cuda.is_available() else ("cpu", "meta")
    arguments = row.change(call(device=device), other)
    positional = arguments.pop("positional", ())
    result = Result(row.name, route, row.stated(route), "")
    tensors = dict(zip("qkv", positional, strict=False)) if positional else {n: arguments[n] for n in "qkv"}
    if row.gradients:
        arguments |= {name: tensors[name].detach().clone().requires_grad_() for name in "qkv"}
        tensors = {name: arguments[name] for name in "qkv"}
    try:
        torch.manual_seed(0)
        answer = kernel(*positional, **arguments)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    except Exception as error:
        result.got, result.words = _failure(row, route, error), f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return result
    result.dtype = str(tensors["q"].dtype).removeprefix("torch.")
    if result.stated == RANDOM:
        _compare_average(result, answer, arguments)
    elif result.stated == SHAPE:
        fits = answer.shape == tensors["q"].shape and answer.device.type == "meta"
        result.got = SHAPE if fits else f"{list(answer.shape)} on {answer.device}"
    elif result.stated == SAME:
        if positional:
            arguments = dict(zip(reference.__annotations__, positional, strict=False))
        _compare(row, result, answer, tensors, arguments)
    else:
        result.got = SILENT
    return result


def _failure(row: Row, route: str, error: Exception) -> str:
    if isinstance(error, NotImplementedError) and row.argument and row.argument in str(error):
        return REFUSED
    stated = row.stand_in_error if route == "stand-in" and row.stand_in_error else row.error
    return REJECTED if isinstance(error, stated) else f"raised {type(error).__name__}"


def _compare(row: Row, result: Result, answer: Any, tensors: dict[str, Tensor], arguments: dict[str, Any]) -> None:
    """Hold output, log-sum-exp and gradients against the reference."""
    leaves = {name: tensors[name].detach().double().requires_grad_() for name in "qkv"}
    output, lse = reference(**(arguments | leaves))
    got, problems = answer, []
    if arguments.get("return_attn_probs"):
        got, got_lse, empty = answer
        if got_lse.shape != lse.shape or got_lse.dtype != torch.float32 or empty.numel():
            problems.append(f"log-sum-exp {list(got_lse.shape)} {got_lse.dtype}, third {list(empty.shape)}")
        elif not torch.allclose(got_lse.double(), lse, rtol=LSE_TOLERANCE, atol=LSE_TOLERANCE):
            problems.append(f"log-sum-exp off by {float((got_lse - lse).nan_to_num().abs().max()):.2g}")
    dtype = tensors["q"].dtype
    if got.shape != output.shape or got.dtype != dtype:
        problems.append(f"output {list(got.shape)} {got.dtype}")
    else:
        result.error = _error(got, output)
        if not result.error <= TOLERANCES[dtype]:
            problems.append(f"output off by {result.error:.2g}")
    if row.gradients and not problems:
        cotangent = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(got)
        ours = torch.autograd.grad(got, list(tensors.values()), cotangent)
        theirs = torch.autograd.grad(output, list(leaves.values()), cotangent.double())
        result.gradient_error = max(_error(a, b) for a, b in zip(ours, theirs, strict=True))
        if not result.gradient_error <= GRADIENT_TOLERANCES[dtype]:
            problems.append(f"gradients off by {result.gradient_error:.2g}")
    result.got = "other numbers" if problems else SAME
    result.words = "; ".join(problems)


def _error(got: Tensor, expected: Tensor) -> float:
    """Worst |got - expected| / (1 + |expected|); NaN counts as NaN."""
    if not got.numel():
        return 0.0
    return float(((got.detach().double() - expected.detach()).abs() / (1 + expected.detach().abs())).max())


def _compare_average(result: Result, answer: Tensor, arguments: dict[str, Any]) -> None:
    """Dropout leaves the mean of many outputs where it was, and moves each."""
    mean, moved = float(answer.float().mean()), float((answer.float() - 1).abs().mean())
    result.error = abs(mean - 1)
    result.got = RANDOM if result.error < 0.02 and moved > 0.01 else "other numbers"
    result.words = f"mean {mean:.3f} instead of 1, mean distance from it {moved:.3f}"


# ---- the table -------------------------------------------------------------------------------------------------------


def asked() -> list[str]:
    """The routes that can be asked here."""
    return [route for route in ROUTES if callable(kernels()[route])]


def table(routes: Sequence[str], every_row: bool) -> Table:
    """Outcomes and worst errors: of every row, or summed up by the stated outcomes."""
    title = f"flash_attn_varlen_func, {len(ROWS)} calls" + (
        f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    )
    drawn = Table(title=title)
    drawn.add_column("call" if every_row else "outcome as stated")
    for route in routes:
        drawn.add_column(route, justify="left" if every_row else "right")
    if every_row:
        for row in ROWS:
            drawn.add_row(row.name, *(_cell(ask(route).get(row.name)) for route in routes))
        return drawn
    results = {route: list(ask(route).values()) for route in routes}
    for outcome in (SAME, RANDOM, SHAPE, REJECTED, REFUSED, SILENT):
        drawn.add_row(outcome, *(str(sum(r.stated == outcome == r.got for r in results[route])) for route in routes))
    drawn.add_row("otherwise", *(str(sum(r.stated != r.got for r in results[route])) for route in routes))
    for dtype in ("bfloat16", "float16"):
        for name, words in (("error", "outputs"), ("gradient_error", "gradients")):
            drawn.add_row(
                f"worst error of {words}, {dtype}", *(_worst(results[route], name, dtype) for route in routes)
            )
    return drawn


def _cell(result: Result | None) -> str:
    if result is None:
        return UNDEFINED
    text = result.got if result.got == result.stated else f"[red]{result.got}, stated: {result.stated}[/red]"
    errors = [f"{x:.1e}" for x in (result.error, result.gradient_error) if x is not None]
    return f"{text} {' '.join(errors)}"


def _worst(results: Sequence[Result], name: str, dtype: str) -> str:
    errors = [getattr(r, name) for r in results if r.dtype == dtype and r.stated == SAME]
    return f"{max((e for e in errors if e is not None), default=0.0):.1e}"


def main() -> int:
    """Print the whole table; returns 1 where an outcome is not the stated one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the results there too")
    parser.add_argument("--need", choices=ROUTES, action="append", default=[], help="fail where this route is missing")
    options = parser.parse_args()
    console = Console(width=150, highlight=False)
    for route in ROUTES:
        if not callable(kernels()[route]):
            console.print(f"{route}: {kernels()[route]}")
            if route in options.need:
                return 1
    console.print(table(asked(), every_row=True))
    console.print(table(asked(), every_row=False))
    results = [result for route in asked() for result in ask(route).values()]
    wrong = [result for result in results if result.got != result.stated]
    for result in wrong:
        console.print(
            f"{result.route}: {result.row}: {result.got}, stated {result.stated}. {result.words}", markup=False
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
