"""The learner's own functions side by side: load them, and see whether their outputs agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_lab.checks.calls import Call, perform, perform_on
from attention_lab.checks.run import checked_on
from attention_lab.inputs import PackedBatch, PaddedBatch, pack, running_sum
from attention_lab.notebook.learner_cells import NotJudgeable, read_submission
from attention_lab.notebook.run_cells import load
from attention_lab.rules import real_tokens
from attention_lab.variants import VARIANTS, Variant

Functions = Mapping[str, Callable[..., Tensor]]

# Right functions differ by rounding alone: at most 4e-7 in fp32 and 9e-4 in fp16 on inputs like these; ten times that
TOLERANCE = {"eager": 1e-5, "tiled": 1e-5, "sdpa": 1e-5, "flash": 1e-2, "flex": 1e-2}

# Values of options with which a function sees what the others see, from a batch's arguments
_AS_THE_OTHERS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "num_kv_heads": lambda arguments: arguments["num_heads"],
    "window": lambda arguments: arguments["q"].shape[-2],  # no sequence is longer
}

NOTHING = "Nothing to compare yet: finish two functions with the same mask, such as 01 and 03."


@dataclass(frozen=True)
class Loaded:
    """The functions that were found.

    Attributes:
        functions: By variant, in the course's order.
        left_out: By variant, why a function is left out and what to do.
    """

    functions: dict[str, Callable[..., Tensor]]
    left_out: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{name:<20} loaded" for name in self.functions]
        lines += [f"{name:<20} left out: {why}" for name, why in self.left_out.items()]
        return "\n".join(sorted(lines, key=lambda line: list(VARIANTS).index(line.split()[0])))


def load_functions(folder: str | Path, names: Sequence[str] = tuple(VARIANTS)) -> Loaded:
    """Load functions from a folder of notebooks, as ``attention-lab check`` loads them.

    Args:
        folder: Holds ``01_eager_bidirectional/01_eager_bidirectional.ipynb`` and so on, or the notebooks themselves.
        names: Of the variants; by default all.

    Returns:
        The functions that run; a notebook that is missing, unfinished or broken is named with the reason.
    """
    functions, left_out = {}, {}
    for variant in map(VARIANTS.__getitem__, names):
        try:
            functions[variant.name] = _load_one(Path(folder), variant)
        except NotJudgeable as reason:
            left_out[variant.name] = str(reason)
    return Loaded(functions, left_out)


def paired_batches(
    lengths: Sequence[int],
    *,
    num_heads: int = 3,
    head_dim: int = 8,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> tuple[PaddedBatch, PackedBatch]:
    """The same random numbers twice: padded on the right, and packed.

    Args:
        lengths: Tokens of each sequence.
        num_heads: Number of heads.
        head_dim: Size of one head.
        device: Where the tensors live; the CPU by default.
        dtype: Type of the padded batch. The packed one is fp16, and both hold numbers that fp16 holds exactly.
        seed: Seed of the random numbers.

    Raises:
        ValueError: There is no sequence, or none with a token.
    """
    if not any(lengths):
        raise ValueError("lengths must name at least one sequence with a token")
    seq = max(lengths)
    mask = torch.arange(seq) < torch.tensor(lengths)[:, None]  # [batch, seq]
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), seq, num_heads * head_dim)
    qkv = [torch.randn(shape, generator=generator).half() for _ in range(3)]
    tokens = tuple(tuple(f"{place}" if real else "<pad>" for place, real in enumerate(row)) for row in mask.tolist())
    q, k, v = (x.to(device, dtype) for x in qkv)
    padded = PaddedBatch(q, k, v, mask.to(device), num_heads, head_dim, tokens)
    q, k, v = (pack(x, mask)[0].to(device) for x in qkv)
    words = tuple(token for row, reals in zip(tokens, mask.tolist(), strict=True) for token in row[: sum(reals)])
    return padded, PackedBatch(q, k, v, running_sum(lengths, device), seq, num_heads, head_dim, words)


def batch_of(variant: Variant, padded: PaddedBatch, packed: PackedBatch) -> PaddedBatch | PackedBatch:
    """The one of two batches that a variant takes, as it takes it."""
    return packed.given_as(variant.inputs) if variant.packed else padded


def arguments_for(variant: Variant, padded: PaddedBatch, packed: PackedBatch) -> dict[str, Any]:
    """The arguments of one function by role, with options that let it see what the others see."""
    arguments = batch_of(variant, padded, packed).arguments()
    if variant.cached:
        # a prefill of full caches: padding on the right is later than any token, and hidden as such
        del arguments["mask"]
        arguments["cache_seqlens"] = torch.full((padded.batch,), padded.seq, dtype=torch.int32, device=padded.q.device)
    names = [option.name for option in variant.options if option.name in _AS_THE_OTHERS]
    return arguments | {name: _AS_THE_OTHERS[name](arguments) for name in names}


def outputs(functions: Functions, padded: PaddedBatch, packed: PackedBatch) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each function's output at the real tokens.

    Returns:
        By variant, float32 on the CPU, ``[total_tokens, hidden_dim]``; and by variant, why there is no output.
    """
    found, stopped = {}, {}
    for name, function in functions.items():
        batch = batch_of(VARIANTS[name], padded, packed)
        arguments = VARIANTS[name].in_order(arguments_for(VARIANTS[name], padded, packed))
        outcome = perform(function, Call(arguments))
        if outcome.output is None or outcome.shape != tuple(batch.q.shape):
            stopped[name] = str(outcome.failure or f"it returned {outcome.shape or outcome.returned}")
            continue
        real = outcome.output if VARIANTS[name].packed else pack(outcome.output, real_tokens(padded.arguments()))[0]
        found[name] = real.float().cpu()
    return found, stopped


def differences(found: Mapping[str, Tensor]) -> dict[tuple[str, str], float]:
    """The largest difference of each two outputs that should be the same; NaN where one holds NaN."""
    pairs = [
        (one, other)
        for one in found
        for other in found
        if list(VARIANTS).index(one) < list(VARIANTS).index(other) and _see_the_same(VARIANTS[one], VARIANTS[other])
    ]
    return {(one, other): float((found[one] - found[other]).abs().max()) for one, other in pairs}


def _see_the_same(one: Variant, other: Variant) -> bool:
    """Whether two variants compute the same numbers: there are several ways to say which tokens are real."""
    between = {"padding", "sequences", "unused", *_AS_THE_OTHERS}
    options = [
        [option for option in each.options if option.matters and option.name not in _AS_THE_OTHERS]
        for each in (one, other)
    ]
    return {*one.rules} - between == {*other.rules} - between and options[0] == options[1]


def agreement(functions: Functions, device: torch.device | str | None = None) -> str:
    """Compare all functions on one batch of ragged sequences.

    Args:
        functions: By variant.
        device: Where to run them.

    Returns:
        A table of the largest differences, and what they say.
    """
    found, stopped = outputs(functions, *paired_batches((6, 11, 1, 8), device=device))
    lines = [f"{name} stops here: {why}" for name, why in stopped.items()]
    pairs = differences(found)
    if not pairs:
        return "\n".join([*lines, NOTHING])
    lines += [f"{one:<20} and {other:<20} differ by at most {gap:.1e}" for (one, other), gap in pairs.items()]
    apart = [pair for pair, gap in pairs.items() if not gap <= max(TOLERANCE[VARIANTS[name].kernel] for name in pair)]
    if apart:
        names = "; ".join(f"{one} and {other}" for one, other in apart)
        return "\n".join([*lines, f"More than rounding: {names}. Run their notebooks' checks."])
    return "\n".join([*lines, "All of it is rounding: fp32 keeps about seven digits, fp16 (flash) about three."])


def _load_one(folder: Path, variant: Variant) -> Callable[..., Tensor]:
    """Load one function and try it on a small batch.

    Raises:
        NotJudgeable: There is no such function, or it does not run.
    """
    places = [folder / variant.stem / f"{variant.stem}.ipynb", folder / f"{variant.stem}.ipynb"]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise NotJudgeable(f"{variant.stem}.ipynb is not in {folder}")
    submission = read_submission(path, variant)
    _, found = load(submission.cells, variant.function_name, f"learner_{variant.name}")
    if not callable(found):
        raise NotJudgeable(f"{variant.function_name} was not found; run the notebook from the top")
    function: Callable[..., Tensor] = found
    batches = paired_batches((3, 2))
    batch = batch_of(variant, *batches)
    outcome = perform_on(checked_on(variant), function, Call(arguments_for(variant, *batches)))
    if outcome.failure is not None and outcome.failure.is_stub:
        raise NotJudgeable(f"not written yet; it waits in {variant.stem}.ipynb")
    if outcome.failure is not None:
        raise NotJudgeable(f"it stops with {outcome.failure}; run its checks")
    if outcome.shape != tuple(batch.q.shape):
        raise NotJudgeable(
            f"it returns {outcome.shape or outcome.returned}, not {tuple(batch.q.shape)}; run its checks"
        )
    return function
