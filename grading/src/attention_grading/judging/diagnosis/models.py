"""Models of known mistakes: what wrong code would have computed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from attention_grading.reference import heads_of, masked_softmax, shared_heads
from attention_lab.rules import distance, visible_keys
from attention_lab.variants import Variant


def right_keys(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Which key each query may see, by the variant's own rules."""
    return visible_keys(variant.rules, arguments)


def without(variant: Variant, rule: str) -> Variant:
    """The variant with a rule forgotten."""
    return replace(variant, rules=tuple(name for name in variant.rules if name != rule))


def forgotten(rule: str) -> Callable[[Variant, dict[str, Any]], Tensor]:
    """Which key each query sees where a rule is forgotten."""
    return lambda variant, arguments: right_keys(without(variant, rule), arguments)


@dataclass(frozen=True)
class Model:
    """How a mistaken function computes.

    Attributes:
        name: Of the mistake.
        scale: From head_dim, hidden_dim and seq to the factor on the scores.
        visible: From variant and arguments to the visible keys, ``[..., queries, keys]``.
        split: From ``[..., tokens, hidden_dim]`` to ``[..., num_heads, tokens, head_dim]``; k and v by their own
            number of heads.
        merge: The way back.
        order: Which inputs play query, key and value.
        weigh: From scores and visible keys to weights.
    """

    name: str
    scale: Callable[[int, int, int], float] = lambda head_dim, hidden_dim, seq: head_dim**-0.5
    visible: Callable[[Variant, dict[str, Any]], Tensor] = right_keys
    split: Callable[[Tensor, int, int], Tensor] = heads_of
    merge: Callable[[Tensor], Tensor] = lambda x: x.transpose(-3, -2).flatten(-2)
    order: str = "qkv"
    weigh: Callable[[Tensor, Tensor], Tensor] = masked_softmax

    def applies(self, variant: Variant, arguments: dict[str, Any]) -> bool:
        """Whether these sizes let the mistaken function run at all."""
        return True

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """What the mistaken function gives, and at which tokens that is defined (some key is visible)."""
        heads, head_dim = arguments["num_heads"], arguments["head_dim"]
        q, k, v = (self.heads(arguments, name) for name in self.order)
        shape = arguments["q"].shape
        visible = self.visible(variant, arguments)
        scores = q @ k.transpose(-2, -1) * self.scale(head_dim, heads * head_dim, shape[-2])
        weights = self.weigh(scores, visible.unsqueeze(-3))
        return self.merge(weights @ v).reshape(shape), visible.any(-1)

    def heads(self, arguments: dict[str, Any], name: str) -> Tensor:
        """One input head by head, as many as q has."""
        heads, num_heads = self.split_by_own_heads(arguments, name), arguments["num_heads"]
        fewer = arguments[name].shape[-1] < arguments["q"].shape[-1]
        return shared_heads(heads, num_heads) if fewer else heads

    def split_by_own_heads(self, arguments: dict[str, Any], name: str) -> Tensor:
        x, head_dim = arguments[name].double(), arguments["head_dim"]
        return self.split(x, x.shape[-1] // head_dim, head_dim)


def general_models(variant: Variant) -> Iterator[Model]:
    """Models of what may go wrong in any attention with the variant's rules and inputs."""
    yield from _scale_models(variant)
    yield from _layout_models(variant)
    yield from _softmax_models(variant)
    yield from _visibility_models(variant)
    if variant.masked:
        yield from _mask_models(variant)


def _scale_models(variant: Variant) -> Iterator[Model]:
    yield Model("missing-scale", scale=lambda head_dim, hidden_dim, seq: 1.0)
    yield Model("scale-hidden-dim", scale=lambda head_dim, hidden_dim, seq: hidden_dim**-0.5)
    yield Model("scale-multiplied", scale=lambda head_dim, hidden_dim, seq: head_dim**0.5)
    # a fused kernel scales by itself: there, the usual way to the same numbers is to scale once more
    name = "scale-twice" if variant.fused else "scale-head-dim"
    yield Model(name, scale=lambda head_dim, hidden_dim, seq: 1 / head_dim)
    yield Model("scale-num-heads", scale=lambda head_dim, hidden_dim, seq: (head_dim / hidden_dim) ** 0.5)
    yield Model("scale-seq", scale=lambda head_dim, hidden_dim, seq: seq**-0.5)


def _layout_models(variant: Variant) -> Iterator[Model]:
    def interleaved(x: Tensor, heads: int, dim: int) -> Tensor:
        apart: Tensor = x.unflatten(-1, (dim, heads))
        return apart.movedim(-1, -3)

    def viewed(x: Tensor, heads: int, dim: int) -> Tensor:
        return x.reshape(*x.shape[:-2], heads, x.shape[-2], dim)

    def one_head(x: Tensor, heads: int, dim: int) -> Tensor:
        return x.unsqueeze(-3)

    def as_it_lies(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-3], x.shape[-2], -1)

    yield Model("heads-interleaved", split=interleaved)
    yield Model("heads-interleaved", split=interleaved, merge=lambda x: x.movedim(-3, -1).flatten(-2))
    yield Model("heads-merged-interleaved", merge=lambda x: x.movedim(-3, -1).flatten(-2))
    yield Model("heads-not-transposed-back", merge=as_it_lies)
    yield Model("heads-viewed-without-transpose", split=viewed)
    yield Model("heads-viewed-without-transpose", split=viewed, merge=as_it_lies)
    if not variant.grouped:  # q and k of different widths have no product
        yield Model("heads-never-split", split=one_head)
        yield Model("heads-never-split", split=one_head, scale=lambda head_dim, hidden_dim, seq: hidden_dim**-0.5)
    if not variant.cached:  # there are more keys than queries: neither takes the other's place
        yield _OverHeads("attention-over-heads")
        yield _OverHeads("attention-over-heads", causal=True)
    swaps = {"kqv": "qk-swapped", "qvk": "kv-swapped", "vkq": "qv-swapped"}
    for order in map("".join, itertools.product("qkv", repeat=3)):
        if order != "qkv" and (not variant.cached or order.rfind("q") == 0):
            yield Model(swaps.get(order, "operands-confused"), order=order)


def _softmax_models(variant: Variant) -> Iterator[Model]:
    def over(dim: int) -> Callable[[Tensor, Tensor], Tensor]:
        def weigh(scores: Tensor, visible: Tensor) -> Tensor:
            filled = scores.masked_fill(~visible, -1e30)
            return filled.softmax(dim)

        return weigh

    yield Model("softmax-over-queries", weigh=over(-2))
    yield Model("softmax-over-heads", weigh=over(-3))

    def sigmoid(scores: Tensor, visible: Tensor) -> Tensor:
        return scores.sigmoid().masked_fill(~visible, 0.0)

    def normalised(weights: Tensor) -> Tensor:
        return weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)

    def relu(scores: Tensor, visible: Tensor) -> Tensor:
        return normalised(scores.relu().masked_fill(~visible, 0.0))

    def hard(scores: Tensor, visible: Tensor) -> Tensor:
        best = scores.masked_fill(~visible, -1e30).argmax(-1, keepdim=True)
        return torch.zeros_like(scores).scatter(-1, best, 1.0)

    def everything(scores: Tensor, visible: Tensor) -> Tensor:
        filled = scores.masked_fill(~visible, -1e30)
        return filled.flatten(-2).softmax(-1).view_as(filled)

    if not variant.packed:
        yield Model("softmax-over-batch", weigh=over(0))
    yield Model("softmax-over-everything", weigh=everything)
    yield Model("softmax-twice", weigh=lambda scores, visible: masked_softmax(scores, visible).softmax(-1))
    yield Model("softmax-twice", weigh=lambda scores, visible: masked_softmax(masked_softmax(scores, visible), visible))
    yield Model("softmax-replaced", weigh=sigmoid)
    yield Model("softmax-replaced", weigh=lambda scores, visible: normalised(sigmoid(scores, visible)))
    yield Model("softmax-replaced", weigh=relu)
    yield Model("softmax-replaced", weigh=hard)
    yield Model("softmax-missing", weigh=lambda scores, visible: scores.masked_fill(~visible, 0.0))
    yield Model("mean-of-values", weigh=lambda scores, visible: masked_softmax(torch.zeros_like(scores), visible))
    yield _Inputs("returns-input", which="q", with_output=False)
    yield _Inputs("input-added", which="q")
    if variant.cached:
        return
    yield _Inputs("returns-input", which="k", with_output=False)
    for name in "kv":
        yield _Inputs("input-added", which=name)
    yield Model("returns-values", weigh=lambda scores, visible: torch.eye(scores.shape[-1]).double().expand_as(scores))


# what learners write instead of the dtype's lowest number
SMALL_CONSTANTS = (-1.0, -2.0, -5.0, -10.0, -20.0, -50.0, -100.0, -1000.0, -10000.0)


def _visibility_models(variant: Variant) -> Iterator[Model]:
    def shaped(
        triangle: Callable[[Tensor], Tensor | bool], only: str = "always"
    ) -> Callable[[Variant, dict[str, Any]], Tensor]:
        """Visible keys with another triangle, always or only with (without) a mask."""

        def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
            has_mask = arguments.get("mask") is not None
            if (only == "masked" and not has_mask) or (only == "unmasked" and has_mask):
                return right_keys(variant, arguments)
            return right_keys(without(variant, "causal"), arguments) & triangle(distance(arguments))

        return visible

    if variant.causal:
        yield Model("causal-missing", visible=shaped(lambda before: True))
        yield Model("causal-strict", visible=shaped(lambda before: before >= 1))
        yield Model("causal-one-ahead", visible=shaped(lambda before: before >= -1))
        yield Model("causal-transposed", visible=shaped(lambda before: before <= 0))
        if variant.masked:
            yield Model("nothing-masked", visible=all_keys)
            yield Model("causal-dropped-with-mask", visible=shaped(lambda before: True, "masked"))
            yield Model("causal-dropped-without-mask", visible=shaped(lambda before: True, "unmasked"))
    else:
        yield Model("causal-added", visible=shaped(lambda before: before >= 0))
        yield Model("diagonal-missing", visible=shaped(lambda before: before != 0))
    if variant.packed:
        yield Model("sequences-not-separated", visible=forgotten("sequences"))


def _mask_models(variant: Variant) -> Iterator[Model]:
    def with_mask(change: Callable[[Tensor], Tensor]) -> Callable[[Variant, dict[str, Any]], Tensor]:
        def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
            triangle = right_keys(variant, arguments | {"mask": None})
            mask = arguments["mask"]
            return triangle if mask is None else triangle & change(mask)

        return visible

    def every_key(mask: Tensor) -> Tensor:
        return torch.ones_like(mask)[:, None, :]

    yield Model("mask-inverted", visible=with_mask(lambda mask: ~mask[:, None, :]))
    yield Model("mask-ignored", visible=with_mask(every_key))
    yield Model("mask-on-queries", visible=with_mask(lambda mask: mask[:, :, None]))
    yield Model("mask-of-first-sequence", visible=with_mask(lambda mask: mask[:1, None, :].expand(len(mask), -1, -1)))
    yield Model("mask-as-lengths", visible=with_mask(lambda mask: mask.sort(-1, descending=True).values[:, None, :]))
    yield _AfterSoftmax("mask-zeroes-inputs", weigh=lambda scores, visible: (scores * visible).softmax(-1) * visible)
    for constant in SMALL_CONSTANTS:
        yield Model("mask-constant-too-small", weigh=filled_with(constant))
        yield Model(_name_of_added(constant), weigh=added(constant))
    yield _AfterSoftmax("mask-after-softmax")
    yield _AfterSoftmax("mask-multiplied", weigh=lambda scores, visible: (scores * visible).softmax(-1))
    if variant.causal:
        yield from _padding_models()


def all_keys(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Every key, visible or not."""
    return torch.ones_like(right_keys(variant, arguments))


def _mask_or_triangle(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    triangle, mask = right_keys(variant, arguments | {"mask": None}), arguments["mask"]
    return triangle if mask is None else triangle | mask[:, None, :]


def filled_with(constant: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, visible: scores.masked_fill(~visible, constant).softmax(-1)


def _name_of_added(constant: float) -> str:
    """A 1 more at the visible keys, as a mask in numbers gives it, is a 1 less at the others."""
    return "mask-added" if constant == -1.0 else "mask-constant-too-small"


def added(constant: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, visible: (scores + constant * ~visible).softmax(-1)


@dataclass(frozen=True)
class _AfterSoftmax(Model):
    """Everything masked is zeroed after the softmax, the triangle too."""

    weigh: Callable[[Tensor, Tensor], Tensor] = lambda scores, visible: scores.softmax(-1) * visible


@dataclass(frozen=True)
class _Inputs(Model):
    """The right output plus one of the inputs, or that input alone."""

    which: str = "q"
    with_output: bool = True

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        output, defined = Model(self.name).output(variant, arguments)
        added = heads_of(arguments[self.which].double(), arguments["num_heads"], arguments["head_dim"])
        return self.merge(added) + (output if self.with_output else 0.0), defined


@dataclass(frozen=True)
class _OverHeads(Model):
    """``[..., tokens, num_heads, head_dim]`` as it is: each token's heads attend to each other."""

    causal: bool = False

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        head_dim = arguments["head_dim"]
        q, k, v = (arguments[name].double().unflatten(-1, (-1, head_dim)) for name in "qkv")
        scores = q @ k.transpose(-2, -1) * head_dim**-0.5
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool)
        weights = masked_softmax(scores, seen.tril() if self.causal else seen)
        return (weights @ v).flatten(-2), torch.ones(q.shape[:-2], dtype=torch.bool)


@dataclass(frozen=True)
class _KeepsTriangle(Model):
    """The triangle is applied rightly, the padding mask is not: ``pad`` gives the weights of one that is not."""

    pad: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda scores, keys, triangle: scores

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        triangle = right_keys(variant, arguments | {"mask": None}).unsqueeze(-3)
        mask = arguments["mask"]
        keys = torch.ones_like(triangle) if mask is None else mask[:, None, None, :]
        return Model(self.name, weigh=lambda scores, visible: self.pad(scores, keys, triangle)).output(
            variant, arguments
        )


def _padding_models() -> Iterator[Model]:
    yield Model("mask-or-causal", visible=_mask_or_triangle)
    yield _KeepsTriangle(
        "mask-zeroes-inputs", pad=lambda scores, keys, triangle: masked_softmax(scores * keys, triangle) * keys
    )
    yield _KeepsTriangle(
        "mask-after-softmax", pad=lambda scores, keys, triangle: masked_softmax(scores, triangle) * keys
    )
    yield _KeepsTriangle("mask-multiplied", pad=lambda scores, keys, triangle: masked_softmax(scores * keys, triangle))
    for constant in SMALL_CONSTANTS:
        yield _KeepsTriangle("mask-constant-too-small", pad=_padding_filled_with(constant))
        yield _KeepsTriangle(_name_of_added(constant), pad=_added_at_padding(constant))


def _padding_filled_with(low: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda scores, keys, triangle: masked_softmax(torch.where(keys, scores, scores.new_tensor(low)), triangle)


def _added_at_padding(low: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda scores, keys, triangle: masked_softmax(scores + low * ~keys, triangle)
