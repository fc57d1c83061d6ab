"""A model run with each of the learner's functions: what comes out, beside what PyTorch's own layer gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from attention_lab.checks.calls import failure_of, quiet
from attention_lab.compare.functions import Functions
from attention_lab.inputs import running_sum
from attention_lab.models.self_attention import AttentionFunction
from attention_lab.models.token_batch import TokenBatch
from attention_lab.variants import VARIANTS, Kernel

# Right functions differ from PyTorch's layer by rounding, which grows from layer to layer: in all models here by at
# most 4e-7 of the largest number in fp32 and 4e-4 in fp16 (flash); ten times that
TOLERANCE: dict[Kernel, float] = {"eager": 5e-6, "sdpa": 5e-6, "flash": 5e-3}

NOTHING = "Nothing to compare yet: finish notebook {}, save it, and run this lesson again."

Texts = TypeVar("Texts", contravariant=True)


class TextModel(Protocol[Texts]):
    """A model in which any attention function of one direction can be put."""

    causal: bool

    def __call__(self, batch: TokenBatch, attention: AttentionFunction | None) -> Tensor:
        """What it gives for each token: ``[batch, seq, ...]`` or ``[total_tokens, ...]``."""

    def padded(self, texts: Texts) -> TokenBatch:
        """Texts as a padded batch."""

    def packed(self, texts: Texts) -> TokenBatch:
        """Texts as a packed batch."""


class Inside(NamedTuple):
    """What a model gave.

    Attributes:
        outputs: By variant, at the real tokens: float32 on the CPU, ``[total_tokens, ...]``.
        built_in: The same from PyTorch's own layer.
        stopped: By variant, why there is no output.
        causal: Whether the model is causal, and wants causal functions.
    """

    outputs: Mapping[str, Tensor]
    built_in: Tensor
    stopped: Mapping[str, str]
    causal: bool

    def __str__(self) -> str:
        """A line a function: how far its model's output is from the built-in layer's, and what that says."""
        largest = float(self.built_in.abs().max())
        lines = [f"largest number in the model's output: {largest:.1f}"]
        for name, output in self.outputs.items():
            gap = float((output - self.built_in).abs().max())
            verdict = "the same but for rounding" if self.agrees(name) else "NOT the same: run its notebook's checks"
            lines.append(f"{name:<20} {_shape(output)}  differs by at most {gap:.1e}: {verdict}")
        lines += [f"{name:<20} stops: {why}" for name, why in self.stopped.items()]
        if not self.outputs and not self.stopped:
            lines.append(NOTHING.format("02, 04 or 06" if self.causal else "01, 03 or 05"))
        return "\n".join(lines)

    def agrees(self, name: str) -> bool:
        """Whether a function's output is the built-in layer's, but for rounding in its dtype; never where it is NaN."""
        gap = float((self.outputs[name] - self.built_in).abs().max())
        return gap <= TOLERANCE[VARIANTS[name].kernel] * float(self.built_in.abs().max())


@torch.no_grad()
def run_inside(model: TextModel[Texts], texts: Texts, functions: Functions) -> Inside:
    """Run a model with each function that fits it, and with PyTorch's own layer.

    Args:
        model: Padded functions get the texts padded, packed ones packed.
        texts: As the model takes them.
        functions: By variant; those of the other direction are left out, and so are those with further arguments.
    """
    padded, packed = model.padded(texts), model.packed(texts)
    built_in = padded.real(model(padded, None)).float().cpu()
    outputs, stopped = {}, {}
    for name in fitting(functions, model.causal):
        variant = VARIANTS[name]
        batch = packed.given_as(variant.inputs) if variant.packed else padded
        try:
            with quiet():
                output = batch.real(model(batch, functions[name])).float().cpu()
        except Exception as error:
            stopped[name] = str(failure_of(error))
            continue
        outputs[name] = output
    return Inside(outputs, built_in, stopped, model.causal)


def fitting(functions: Functions, causal: bool) -> list[str]:
    """The functions that a model of one direction can use: without a window and other arguments of their own."""
    between = {"padding", "sequences"}  # what keeps texts apart
    seen = {"causal"} if causal else set()
    known = (VARIANTS[name] for name in functions)
    return [variant.name for variant in known if {*variant.rules} - between == seen and not variant.options]


class Chosen(NamedTuple):
    """One way to do a model's attention.

    Attributes:
        name: In words.
        function: The attention function; ``None`` for PyTorch's own layer.
        packed: Whether it takes packed batches.
    """

    name: str
    function: AttentionFunction | None
    packed: bool


def choose(functions: Functions, causal: bool) -> Chosen:
    """The first of the learner's functions of part one that fits, or PyTorch's own layer where none is there."""
    for name in fitting(functions, causal):
        if VARIANTS[name].part == 1:
            return Chosen(name.replace("_", " "), functions[name], VARIANTS[name].packed)
    return Chosen("PyTorch's own layer", None, packed=False)


def without_mask(chosen: Chosen) -> Chosen:
    """The same function, never told which tokens are real, or where a packed text ends.

    Raises:
        ValueError: PyTorch's own layer is chosen.
    """
    function = chosen.function
    if function is None:
        raise ValueError("PyTorch's own layer keeps its mask; finish a function first")

    def forgetful(**arguments: Any) -> Tensor:
        if not chosen.packed:
            return function(**arguments | {"mask": None})
        total = len(arguments["q"])
        return function(**arguments | {"cu_seqlens": running_sum([total], arguments["q"].device), "max_seqlen": total})

    return Chosen(f"{chosen.name}, mask forgotten", forgetful, chosen.packed)


def _shape(output: Tensor) -> str:
    return f"[{', '.join(map(str, output.shape))}]"
