"""A bank of known mistakes, to name what a wrong output comes from.

Each mistake is a model: what a function with that mistake gives for a call. A mistake is named only if its model
explains every output of a check, the wrong ones and the right ones, and no other model does: better nothing than
something wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from attention_grading.reference import masked_softmax, real_tokens, visible_keys
from attention_grading.verify import expected_of, relative_error, tolerance
from attention_lab.calls import Call, Outcome
from attention_lab.variants import Variant

# What each name means, as the learner reads it
SENTENCES: dict[str, str] = {
    "missing-scale": "the scores are not divided by √head_dim",
    "scale-hidden-dim": "the scores are divided by √hidden_dim instead of √head_dim",
    "scale-head-dim": "the scores are divided by head_dim instead of its square root",
    "scale-multiplied": "the scores are multiplied by √head_dim instead of divided",
    "scale-twice": "the scores are scaled twice",
    "scale-seq": "the scores are divided by the square root of the sequence's length instead of head_dim's",
    "mask-inverted": "the mask is read the wrong way round: True marks what may be attended to",
    "scale-num-heads": "the scores are divided by √num_heads instead of √head_dim",
    "mask-ignored": "the mask has no effect on the keys",
    "mask-of-first-sequence": "every sequence of the batch gets the first one's mask",
    "mask-as-lengths": "the mask is taken for a count of real tokens from the left; padding may be anywhere",
    "mask-or-causal": "a key is seen if the mask or the triangle allows it: it takes both",
    "mask-zeroes-inputs": "keys and values at padding are set to 0, but still take part in the softmax",
    "mask-on-queries": "the mask is applied to the queries (rows) instead of the keys (columns)",
    "mask-after-softmax": "masked keys take part in the softmax and lose their weight (or value) only afterwards, so "
    "that the remaining weights no longer sum to 1",
    "mask-constant-too-small": "masked scores get a constant that is not low enough to take their weight away",
    "mask-multiplied": "masked scores (or keys) become 0, by a product or otherwise: a score of 0 is not a weight of 0",
    "mask-added": "the mask is added to the scores as a number, which only shifts them by 1",
    "causal-missing": "later tokens are not masked: every query sees every key",
    "nothing-masked": "neither the triangle nor the mask has an effect; masked_fill returns a new tensor",
    "causal-strict": "a token cannot see itself: the triangle lacks its diagonal",
    "diagonal-missing": "a token cannot see itself",
    "causal-one-ahead": "every query sees one token too many: the triangle is shifted by one",
    "causal-transposed": "the triangle is the wrong way round: queries see later keys instead of earlier ones",
    "causal-dropped-with-mask": "later tokens are masked only when no padding mask is given",
    "causal-dropped-without-mask": "later tokens are masked only when a padding mask is given",
    "causal-added": "later tokens are masked, but this notebook's attention is bidirectional",
    "heads-interleaved": "the hidden dimension is split as (head_dim, num_heads) instead of (num_heads, head_dim)",
    "heads-merged-interleaved": "the heads are merged as (head_dim, num_heads) instead of (num_heads, head_dim)",
    "heads-not-transposed-back": "the heads are merged without moving them back behind the tokens first",
    "heads-never-split": "all heads are treated as one",
    "heads-viewed-without-transpose": "the heads are split by reshaping across the tokens instead of along hidden_dim",
    "attention-over-heads": "the heads of one token attend to each other: the heads were not moved before the tokens",
    "qk-swapped": "queries and keys are swapped",
    "kv-swapped": "keys and values are swapped",
    "qv-swapped": "queries and values are swapped",
    "operands-confused": "q, k and v play each other's parts: q and k make the scores, which weight v",
    "softmax-over-queries": "the softmax runs over the queries instead of the keys",
    "softmax-over-heads": "the softmax runs over the heads instead of the keys",
    "softmax-over-batch": "the softmax runs over the batch instead of the keys",
    "softmax-over-everything": "the softmax runs over queries and keys together instead of the keys alone",
    "softmax-twice": "the softmax is applied twice",
    "softmax-replaced": "another function takes the softmax's place",
    "softmax-missing": "there is no softmax: the scores themselves weight the values",
    "sequences-not-separated": "tokens see other sequences of the packed batch",
    "mean-of-values": "all visible keys get the same weight: queries and keys have no effect",
    "returns-values": "the output is v itself",
    "returns-input": "the output is one of the inputs",
    "input-added": "one of the inputs is added to the right output",
    "constant-output": "the output is the same everywhere, whatever the input",
}


@dataclass(frozen=True)
class Model:
    """How a mistaken function computes.

    Attributes:
        name: Of the mistake.
        scale: From head_dim, hidden_dim and seq to the factor on the scores.
        visible: From variant and arguments to the visible keys, ``[..., queries, keys]``.
        split: From ``[..., tokens, hidden_dim]`` to ``[..., num_heads, tokens, head_dim]``.
        merge: The way back.
        order: Which inputs play query, key and value.
        weigh: From scores and visible keys to weights.
    """

    name: str
    scale: Callable[[int, int, int], float] = lambda head_dim, hidden_dim, seq: head_dim**-0.5
    visible: Callable[[Variant, dict[str, Any]], Tensor] = visible_keys
    split: Callable[[Tensor, int, int], Tensor] = lambda x, heads, dim: x.unflatten(-1, (heads, dim)).transpose(-3, -2)
    merge: Callable[[Tensor], Tensor] = lambda x: x.transpose(-3, -2).flatten(-2)
    order: str = "qkv"
    weigh: Callable[[Tensor, Tensor], Tensor] = masked_softmax

    def applies(self, variant: Variant, arguments: dict[str, Any]) -> bool:
        """Whether these sizes let the mistaken function run at all."""
        return True

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """What the mistaken function gives, and at which tokens that is defined (some key is visible)."""
        heads, head_dim = arguments["num_heads"], arguments["head_dim"]
        inputs = [arguments[name].double() for name in self.order]
        q, k, v = (self.split(x, heads, head_dim) for x in inputs)
        seq = arguments["q"].shape[-2]
        visible = self.visible(variant, arguments)
        scores = q @ k.transpose(-2, -1) * self.scale(head_dim, heads * head_dim, seq)
        weights = self.weigh(scores, visible.unsqueeze(-3))
        return self.merge(weights @ v).reshape(inputs[0].shape), visible.any(-1)


def diagnose(variant: Variant, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> str | None:
    """Name the mistake behind a check's outcomes.

    Args:
        variant: One of the six.
        calls: All calls of the check.
        outcomes: What they gave.

    Returns:
        The name and its meaning, or ``None`` where no single known mistake explains everything.
    """
    together = list(zip(calls, outcomes, strict=True))
    if any(outcome.failure is not None for call, outcome in together if call.setting != "meta"):
        return None  # an exception is no number: a model of numbers does not explain it
    pairs = [(call, outcome) for call, outcome in together if _has_numbers(call, outcome)]
    wrong = [pair for pair in pairs if not _matches(pair[1], *_right(variant, pair[0]), tolerance(variant, pair[0]))]
    if not wrong:
        return None
    first = wrong[0]
    suspects = [model for model in _bank(variant) if _explains(model, variant, *first)]
    names = {
        model.name for model in suspects if all(_explains(model, variant, call, outcome) for call, outcome in pairs)
    }
    if not names and _is_constant(pairs):
        names = {"constant-output"}
    name = _most_specific(names, variant, wrong)
    return None if name is None else f"{name}: {SENTENCES[name]}"


def _most_specific(names: set[str], variant: Variant, wrong: Sequence[tuple[Call, Outcome]]) -> str | None:
    """One name, or none where several mistakes look the same at the tokens that are judged."""
    if names == {"mask-ignored", "mask-on-queries"}:
        # both leave all keys visible to real queries; a mask on queries shows at the padding rows, which ignore q
        call, outcome = wrong[0]
        ignored = next(model for model in _bank(variant) if model.name == "mask-ignored")
        full, _ = _modelled(ignored, variant, call)
        everywhere = bool((relative_error(outcome.output, full) <= tolerance(variant, call)).all())
        return "mask-ignored" if everywhere else "mask-on-queries"
    for special, general in (
        ("causal-dropped-with-mask", "causal-missing"),
        ("causal-missing", "causal-dropped-without-mask"),
        ("causal-missing", "nothing-masked"),
    ):
        if names == {special, general}:
            # where every call has a mask, or none has, the two cannot be told apart: name what is certain
            return "causal-missing"
    if names == {"causal-missing", "causal-dropped-without-mask", "nothing-masked"}:
        return "causal-missing"
    return names.pop() if len(names) == 1 else None


# ---- the bank --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _bank(variant: Variant) -> tuple[Model, ...]:
    models = [*_scale_models(variant), *_layout_models(), *_softmax_models(variant), *_visibility_models(variant)]
    if not variant.packed:
        models += _mask_models(variant)
    return tuple(models)


def _scale_models(variant: Variant) -> Iterator[Model]:
    yield Model("missing-scale", scale=lambda head_dim, hidden_dim, seq: 1.0)
    yield Model("scale-hidden-dim", scale=lambda head_dim, hidden_dim, seq: hidden_dim**-0.5)
    yield Model("scale-multiplied", scale=lambda head_dim, hidden_dim, seq: head_dim**0.5)
    # a fused kernel scales by itself: there, the usual way to the same numbers is to scale once more
    name = "scale-head-dim" if variant.kernel == "eager" else "scale-twice"
    yield Model(name, scale=lambda head_dim, hidden_dim, seq: 1 / head_dim)
    yield Model("scale-num-heads", scale=lambda head_dim, hidden_dim, seq: (head_dim / hidden_dim) ** 0.5)
    yield Model("scale-seq", scale=lambda head_dim, hidden_dim, seq: seq**-0.5)


def _layout_models() -> Iterator[Model]:
    def interleaved(x: Tensor, heads: int, dim: int) -> Tensor:
        return x.unflatten(-1, (dim, heads)).movedim(-1, -3)

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
    yield Model("heads-never-split", split=one_head)
    yield Model("heads-never-split", split=one_head, scale=lambda head_dim, hidden_dim, seq: hidden_dim**-0.5)
    yield _OverHeads("attention-over-heads")
    yield _OverHeads("attention-over-heads", causal=True)
    swaps = {"kqv": "qk-swapped", "qvk": "kv-swapped", "vkq": "qv-swapped"}
    for order in map("".join, itertools.product("qkv", repeat=3)):
        if order != "qkv":
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
    yield _Inputs("returns-input", which="k", with_output=False)
    for name in "qkv":
        yield _Inputs("input-added", which=name)
    yield Model("returns-values", weigh=lambda scores, visible: torch.eye(scores.shape[-1]).double().expand_as(scores))


# what learners write instead of the dtype's lowest number
SMALL_CONSTANTS = (-1.0, -2.0, -5.0, -10.0, -20.0, -50.0, -100.0, -1000.0, -10000.0)


def _visibility_models(variant: Variant) -> Iterator[Model]:
    def shaped(change: Callable[[Tensor], Tensor], only: str = "always") -> Callable[[Variant, dict[str, Any]], Tensor]:
        """Visible keys with another triangle, always or only with (without) a mask."""

        def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
            has_mask = arguments.get("mask") is not None
            if (only == "masked" and not has_mask) or (only == "unmasked" and has_mask):
                return visible_keys(variant, arguments)
            keys = visible_keys(_bidirectional(variant), arguments)
            return keys & change(torch.ones(keys.shape[-2:], dtype=torch.bool))

        return visible

    if variant.causal:
        yield Model("causal-missing", visible=shaped(lambda ones: ones))
        if not variant.packed:
            yield Model("nothing-masked", visible=_everything)
        yield Model("causal-strict", visible=shaped(lambda ones: ones.tril(-1)))
        yield Model("causal-one-ahead", visible=shaped(lambda ones: ones.tril(1)))
        yield Model("causal-transposed", visible=shaped(lambda ones: ones.triu()))
        if not variant.packed:
            yield Model("causal-dropped-with-mask", visible=shaped(lambda ones: ones, "masked"))
            yield Model("causal-dropped-without-mask", visible=shaped(lambda ones: ones, "unmasked"))
    else:
        yield Model("causal-added", visible=shaped(torch.tril))
        yield Model("diagonal-missing", visible=shaped(lambda ones: ~torch.eye(len(ones), dtype=torch.bool)))
    if variant.packed:
        yield Model("sequences-not-separated", visible=_one_sequence)


def _mask_models(variant: Variant) -> Iterator[Model]:
    def with_mask(change: Callable[[Tensor], Tensor]) -> Callable[[Variant, dict[str, Any]], Tensor]:
        def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
            triangle = visible_keys(variant, arguments | {"mask": None})
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
        yield Model("mask-constant-too-small", weigh=_filled_with(constant))
        yield Model(_name_of_added(constant), weigh=_added(constant))
    yield _AfterSoftmax("mask-after-softmax")
    yield _AfterSoftmax("mask-multiplied", weigh=lambda scores, visible: (scores * visible).softmax(-1))
    if variant.causal:
        yield from _padding_models()


def _everything(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    return torch.ones_like(visible_keys(variant, arguments))


def _mask_or_triangle(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    triangle, mask = visible_keys(variant, arguments | {"mask": None}), arguments["mask"]
    return triangle if mask is None else triangle | mask[:, None, :]


def _filled_with(constant: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, visible: scores.masked_fill(~visible, constant).softmax(-1)


def _name_of_added(constant: float) -> str:
    """A 1 more at the visible keys, as a mask in numbers gives it, is a 1 less at the others."""
    return "mask-added" if constant == -1.0 else "mask-constant-too-small"


def _added(constant: float) -> Callable[[Tensor, Tensor], Tensor]:
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
        return arguments[self.which].double() + (output if self.with_output else 0.0), defined


@dataclass(frozen=True)
class _OverHeads(Model):
    """``[..., tokens, num_heads, head_dim]`` as it is: each token's heads attend to each other."""

    causal: bool = False

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        heads, head_dim = arguments["num_heads"], arguments["head_dim"]
        q, k, v = (arguments[name].double().unflatten(-1, (heads, head_dim)) for name in "qkv")
        scores = q @ k.transpose(-2, -1) * head_dim**-0.5
        seen = torch.ones(heads, heads, dtype=torch.bool)
        weights = masked_softmax(scores, seen.tril() if self.causal else seen)
        return (weights @ v).flatten(-2), torch.ones(q.shape[:-2], dtype=torch.bool)


@dataclass(frozen=True)
class _KeepsTriangle(Model):
    """The triangle is applied rightly, the padding mask is not: ``pad`` gives the weights of one that is not."""

    pad: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda scores, keys, triangle: scores

    def output(self, variant: Variant, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        triangle = visible_keys(variant, arguments | {"mask": None}).unsqueeze(-3)
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
        yield _KeepsTriangle(
            "mask-constant-too-small",
            pad=lambda scores, keys, triangle, low=constant: masked_softmax(
                torch.where(keys, scores, scores.new_tensor(low)), triangle
            ),
        )
        yield _KeepsTriangle(
            _name_of_added(constant),
            pad=lambda scores, keys, triangle, low=constant: masked_softmax(scores + low * ~keys, triangle),
        )


def _bidirectional(variant: Variant) -> Variant:
    return Variant(variant.number, variant.kernel, False)


def _one_sequence(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    total = arguments["q"].shape[0]
    ones = torch.ones(total, total, dtype=torch.bool)
    return ones.tril() if variant.causal else ones


# ---- comparison ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def _modelled(model: Model, variant: Variant, call: Call) -> tuple[Tensor, Tensor]:
    output, defined = model.output(variant, call.arguments)
    return output, real_tokens(call.arguments) & defined


def _right(variant: Variant, call: Call) -> tuple[Tensor, Tensor]:
    expected = expected_of(variant, call)
    return expected.output, expected.read


def _explains(model: Model, variant: Variant, call: Call, outcome: Outcome) -> bool:
    heads, head_dim, seq = call.arguments["num_heads"], call.arguments["head_dim"], call.arguments["q"].shape[-2]
    # rounding grows with the scores, and the model's may be larger than the right ones
    growth = max(1.0, model.scale(head_dim, heads * head_dim, seq) * head_dim**0.5)
    return _matches(outcome, *_modelled(model, variant, call), growth * tolerance(variant, call))


def _matches(outcome: Outcome, output: Tensor, where: Tensor, allowed: float) -> bool:
    got = outcome.output
    if got is None or not bool(where.any()):
        return True  # nothing to compare, nothing against it
    return bool((relative_error(got, output) <= allowed)[where].all())


def _has_numbers(call: Call, outcome: Outcome) -> bool:
    return (
        call.setting in ("plain", "math")
        and outcome.failure is None
        and outcome.output is not None
        and outcome.output.shape == call.arguments["q"].shape
        and outcome.output.is_floating_point()
    )


def _is_constant(pairs: Sequence[tuple[Call, Outcome]]) -> bool:
    return all(float(outcome.output.double().std()) == 0.0 for _, outcome in pairs if outcome.output.numel() > 1)
