"""Name a mistake by how a function fails, where no model of numbers in the bank explains it.

An exception's text, a NaN's place, a gradient that does not come, an input that changed: each of these has causes that
a learner can be told. A name is given only where the symptom leaves no doubt: better nothing than something wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.case_kinds import MEMORY
from attention_grading.judging.comparison import expected_of, output_of, relative_error, tolerance
from attention_grading.judging.diagnosis.border_models import lacks_outer_border
from attention_grading.judging.diagnosis.explain import has_finite_inputs
from attention_grading.judging.diagnosis.flex_symptoms import of_refusal
from attention_grading.judging.diagnosis.models import Model
from attention_grading.judging.own_cases.tiled import FAR_BELOW_ZERO
from attention_lab.checks.calls import Call, Failure, Outcome
from attention_lab.checks.case import Case, CheckFailed
from attention_lab.checks.words import NO_SUCH_GPU
from attention_lab.inputs import key_heads
from attention_lab.rules import visible_keys
from attention_lab.variants import Variant

# What the check ``kernel`` finds has the mistake's name for a code
OF_KERNEL = (
    "fused-kernel",
    "kernel-not-called",
    "kernel-unused",
    "kernel-in-part",
    "whole-scores",
    "whole-rows",
    "block-size-ignored",
    "tiles-kept",
    "work-unseen",
    "keys-copied",
)

Judged = tuple[Case, Sequence[Outcome], CheckFailed | None]
Performed = tuple[Call, Outcome]


def recognise_symptom(
    variant: Variant, judged: Sequence[Judged], performed: Sequence[Performed], right_before: bool
) -> str | None:
    """Name the mistake behind a failed check by its symptom.

    Args:
        variant: One of the course's.
        judged: The check's cases, with their outcomes and problems.
        performed: All calls that the function was asked for, with their outcomes.
        right_before: Whether all earlier comparisons of outputs with the reference went well.

    Returns:
        The mistake's name, or ``None``; ``names.SENTENCES`` says what it means.
    """
    case, outcomes, problem = next((case, got, failed) for case, got, failed in judged if failed is not None)
    if case.check == "kernel":
        name = problem.code if problem.code in OF_KERNEL else None
    else:
        unreadable = next((pair for pair in zip(case.calls, outcomes, strict=True) if _cannot_be_read(*pair)), None)
        if unreadable is not None:
            name = _of_unreadable(variant, *unreadable, performed)
        else:
            name = _of_outcome(variant, case, outcomes, problem, right_before) or _of_numbers(variant, performed)
    return name


# ---- no numbers ------------------------------------------------------------------------------------------------------

# What an exception's text says for certain, in the order of asking
TEXTS: tuple[tuple[str, str], ...] = (
    ("cuda-hard-coded", NO_SUCH_GPU),
    ("cu-seqlens-dtype", r"cu_seqlens_\w must have dtype int32"),
    ("single-precision-flash", r"fp16 and bf16 only|only support fp16 and bf16"),
    ("heads-not-split", r"split hidden_dim into num_heads and head_dim first"),
    ("batch-axis-added", r"packed tokens have no batch dimension"),
    ("max-seqlen-too-small", r"silently leave tokens out"),
    ("max-seqlen-type", r"max_seqlen_\w must be an integer"),
    ("window-not-a-pair", r"window_size must be a pair of integers"),
    ("cu-seqlens-wrong", r"cu_seqlens_\w (must start at 0|must have shape|must be a tensor)"),
    ("mask-and-is-causal", r"attn_mask should not be set when is_causal"),
    ("view-after-transpose", r"view size is not compatible"),
    ("constant-overflows", r"without overflow"),
    ("mask-of-integers", r"attn_mask\.dtype: (long int|int|short int|signed char|unsigned char)\b"),
    ("dtypes-mixed", r"same dtype|scalar type|mat1 and mat2 must have the same|Expected .* dtype"),
    ("inputs-modified", r"a leaf Variable that requires grad"),
    ("gradient-cut", r"Can't call numpy\(\) on Tensor that requires grad"),
)


def _cannot_be_read(call: Call, outcome: Outcome) -> bool:
    if call.setting == "elsewhere":
        return False
    q = call.arguments["q"]
    dtype = str(q.dtype).removeprefix("torch.")
    return (
        outcome.failure is not None
        or outcome.returned != "tensor"
        or outcome.shape != tuple(q.shape)
        or outcome.dtype != dtype
    )


def _of_unreadable(variant: Variant, call: Call, outcome: Outcome, performed: Sequence[Performed]) -> str | None:
    if outcome.failure is not None:
        of_groups = _of_groups(performed) if variant.grouped else None
        return of_groups or _of_failure(variant, call, outcome.failure, performed) or _of_sizes(variant, performed)
    if outcome.returned != "tensor":
        if outcome.returned == "None":
            return "returns-nothing"
        return "returns-too-much" if outcome.returned.startswith("tuple") else None
    q = call.arguments["q"]
    shape = outcome.shape or ()
    if shape != tuple(q.shape):
        apart = len(shape) == q.dim() + 1 and shape[-1] == call.arguments["head_dim"]
        return "heads-not-merged" if apart else None
    return "dtype-changed"


def _of_failure(variant: Variant, call: Call, failure: Failure, performed: Sequence[Performed]) -> str | None:
    text, arguments = failure.text, call.arguments
    if any(_is_about_signature(variant, outcome.failure) for _, outcome in performed):
        return "signature-changed"
    if failure.kind == "ModuleNotFoundError":
        return "module-missing"
    if failure.kind == "NameError":
        return "undefined-name"
    if "mask" in arguments and arguments["mask"] is None and "NoneType" in text:
        return "mask-none-unhandled"
    if _lacks_an_axis(arguments, text):
        return "mask-axis-missing"
    if variant.inputs == "positions" and lacks_outer_border(arguments, text):
        return "outer-border-missing"
    ends = re.search(r"cu_seqlens_\w ends at (\d+), but \w has (\d+) tokens", text)
    if ends is not None:
        heads_first = int(ends[1]) == arguments["q"].shape[0] and int(ends[2]) == arguments["num_heads"]
        return "heads-before-tokens" if heads_first else "cu-seqlens-wrong"
    if variant.kernel == "flex" and (refused := of_refusal(arguments, text)):
        # a block mask of a fixed size fits some calls
        return refused if refused != "block-mask-size" else _of_sizes(variant, performed) or refused
    return next((name for name, pattern in TEXTS if re.search(pattern, text)), None)


def _is_about_signature(variant: Variant, failure: Failure | None) -> bool:
    return failure is not None and failure.kind == "TypeError" and failure.text.startswith(f"{variant.function_name}()")


def _lacks_an_axis(arguments: dict[str, Any], text: str) -> bool:
    """Whether a mask's batch axis meets the axis of the heads or of the queries, where the two differ in size."""
    met = re.search(r"(?:size of tensor a|size of the tensor) \((\d+)\) must match the .*?size.*? \((\d+)\)", text)
    if arguments.get("mask") is None or met is None:
        return False
    batch, seq = arguments["mask"].shape
    sizes = {int(met[1]), int(met[2])}
    return len(sizes) == 2 and batch in sizes and bool(sizes & {arguments["num_heads"], seq} - {batch})


def _of_groups(performed: Sequence[Performed]) -> str | None:
    """Calls fail for their sizes wherever a mistaken count of key heads does not go, and nowhere else."""
    fails: dict[tuple[int, int], set[bool]] = {}
    for call, outcome in performed:
        if call.setting != "elsewhere":
            about_sizes = outcome.failure is not None and _is_about_sizes(outcome.failure)
            if outcome.failure is not None and not about_sizes:
                return None
            fails.setdefault((call.arguments["num_heads"], key_heads(call.arguments)), set()).add(about_sizes)
    # one key head for all may pass: where an axis has size 1, much works by chance
    ignored = {sizes: heads for sizes, heads in fails.items() if sizes[1] > 1 or sizes[0] == 1}
    mistakes: tuple[tuple[str, dict[tuple[int, int], set[bool]], Callable[[int, int], bool]], ...] = (
        ("key-heads-ignored", ignored, lambda heads, shared: shared < heads),
        ("group-size-confused", fails, lambda heads, shared: (heads - 1) // shared >= shared),
    )
    for name, where, goes_wrong in mistakes:
        if any(True in seen for seen in where.values()) and all(
            seen == {goes_wrong(*sizes)} for sizes, seen in where.items()
        ):
            return name
    return None


def _of_sizes(variant: Variant, performed: Sequence[Performed]) -> str | None:
    """Plain calls that differ in nothing but their sizes: some give numbers, and others an error about sizes."""
    alike = [
        ((call.arguments["q"].shape, call.arguments["k"].shape, key_heads(call.arguments)), outcome.failure)
        for call, outcome in performed
        if (call.form, call.layout, call.setting, call.cotangent) == ("keyword", "contiguous", "plain", None)
        and call.arguments.get("mask") is None
        and call.arguments["q"].dtype in (torch.float32, torch.bfloat16)
        and not ("cu_seqlens" in call.arguments and 0 in call.arguments["cu_seqlens"].diff())
        and expected_of(variant, call).largest_score < 30.0
    ]
    works = {sizes for sizes, failure in alike if failure is None}
    failed = {sizes: failure for sizes, failure in alike if failure is not None}
    if not works or not failed or works & failed.keys():
        return None  # the same sizes work and fail: it is not the sizes
    return "sizes-hard-coded" if all(_is_about_sizes(failure) for failure in failed.values()) else None


def _is_about_sizes(failure: Failure) -> bool:
    of_shapes = failure.kind == "RuntimeError" and re.search(r"shape|size|view|expand", failure.text) is not None
    return of_shapes or failure.kind in ("AssertionError", "IndexError", "ValueError")


# ---- numbers of the wrong kind ---------------------------------------------------------------------------------------


def _of_outcome(
    variant: Variant, case: Case, outcomes: Sequence[Outcome], problem: CheckFailed, right_before: bool
) -> str | None:
    pairs = list(zip(case.calls, outcomes, strict=True))
    if any(call.setting == "elsewhere" for call in case.calls):
        return "device-hard-coded"
    if problem.code == "inputs-modified":
        return "inputs-modified"
    if problem.code == "no-gradient":
        return "gradient-cut"
    if case.name == FAR_BELOW_ZERO:
        return "first-maximum-zero"
    if problem.code == "not-finite":
        return _of_nan(variant, pairs)
    if problem.code == "wrong-gradient" and right_before and all(_is_right(variant, *pair) for pair in pairs):
        return "gradient-bent"
    if case.name == MEMORY and right_before and _is_right(variant, *pairs[0]):
        return "stale-memory"
    return None


def _of_nan(variant: Variant, pairs: Sequence[Performed]) -> str | None:
    where = [(call, ~torch.isfinite(outcome.output).all(-1)) for call, outcome in pairs if outcome.output is not None]
    if any(bool(bad.any()) for _, bad in where):
        empty = all(bool((~bad | ~visible_keys(variant.rules, call.arguments).any(-1)).all()) for call, bad in where)
        if empty:
            return "empty-rows-nan"
        if not any(has_finite_inputs(call) for call, bad in where if bool(bad.any())):
            return "unused-not-finite"
        if variant.kernel == "tiled" and all(_begins_empty(variant, call, bad) for call, bad in where):
            return "empty-tile-nan"
        overflowing = all(_may_overflow(variant, call) for call, bad in where if bool(bad.any()))
        return "softmax-overflows" if overflowing else None
    for call, outcome in pairs:
        if any(g is not None and not bool(torch.isfinite(g).all()) for g in outcome.gradients.values()) and bool(
            visible_keys(variant.rules, call.arguments).any(-1).all()
        ):
            return None  # NaN gradients without an empty row have another cause
    return "empty-rows-nan-gradient"


def _begins_empty(variant: Variant, call: Call, bad: Tensor) -> bool:
    """Whether each of these rows sees nothing in its first tile."""
    first = visible_keys(variant.rules, call.arguments)[..., : variant.value_of("block_size", call.arguments)]
    return not bool((bad & first.any(-1)).any())


def _may_overflow(variant: Variant, call: Call) -> bool:
    """Whether exp of the scores themselves leaves the dtype's range."""
    return expected_of(variant, call).largest_score > 0.9 * math.log(torch.finfo(call.arguments["q"].dtype).max)


def _is_right(variant: Variant, call: Call, outcome: Outcome) -> bool:
    if outcome.output is None:
        return False  # a tensor on a pretended device: of the right shape, and without numbers
    expected = expected_of(variant, call)
    error = relative_error(outcome.output, expected.output)[expected.read]
    return bool((error <= tolerance(variant, call)).all())


# ---- wrong numbers ---------------------------------------------------------------------------------------------------


def _of_numbers(variant: Variant, performed: Sequence[Performed]) -> str | None:
    """A mistake of numbers shows in every plain call without a mask that can show it, and must explain them all."""
    if any(_cannot_be_read(*pair) or pair[1].changed for pair in performed):
        return None  # whoever writes into the inputs has numbers of any kind
    pairs = [
        (call, outcome)
        for call, outcome in performed
        if call.setting in ("plain", "math") and outcome.output is not None and has_finite_inputs(call)
    ]
    if any(not bool(torch.isfinite(output_of(outcome)).all()) for _, outcome in pairs):
        return None
    if _is_random(variant, pairs):
        return "random-output"
    in_fp16 = [pair for pair in pairs if _is_telling(variant, pair[0], torch.float16)]
    pairs = [
        pair
        for pair in pairs
        if _is_telling(variant, pair[0], torch.bfloat16 if variant.half_precision else torch.float32)
    ]
    if in_fp16 and all(_is_rounded_to_bf16(output_of(outcome)) for _, outcome in in_fp16):
        return "precision-lost"
    if not pairs or any(_is_right(variant, *pair) for pair in pairs):
        return None
    for name, explains in (("weights-not-normalised", _is_scaled_rows), ("precision-lost", _is_coarse)):
        if all(explains(variant, *pair) for pair in pairs):
            return name
    return "scale-other" if _is_scaled_otherwise(variant, pairs) else None


def _is_telling(variant: Variant, call: Call, dtype: torch.dtype) -> bool:
    """Whether a call of that dtype is neither tiny nor extreme, so that any mistake that is everywhere shows in it."""
    q, head_dim = call.arguments["q"], call.arguments["head_dim"]
    return (
        call.arguments.get("mask") is None
        and q.dtype == dtype
        and 3 <= q.shape[-2] <= 40
        and head_dim >= 3
        and 2.0 < expected_of(variant, call).largest_score < 30.0
        # where most queries see themselves alone, their weights are 1 whatever becomes of the scores
        and float(visible_keys(variant.rules, call.arguments).sum(-1).double().mean()) > 1.5
    )


def _is_random(variant: Variant, pairs: Sequence[Performed]) -> bool:
    """Whether calls with the very same arguments differ, each from each."""
    same: dict[int, list[Performed]] = {}
    for call, outcome in pairs:
        same.setdefault(id(call.arguments["q"]), []).append((call, outcome))
    repeated = [
        group
        for group in same.values()
        if len(group) > 1 and all(call.arguments is group[0][0].arguments for call, _ in group)
    ]
    return bool(repeated) and all(_differ(variant, *a, *b) for group in repeated for a, b in _two_of(group))


def _two_of(group: Sequence[Performed]) -> Iterator[tuple[Performed, Performed]]:
    return ((a, b) for index, a in enumerate(group) for b in group[:index])


def _differ(variant: Variant, call: Call, one: Outcome, _: Call, other: Outcome) -> bool:
    read = expected_of(variant, call).read
    return bool((relative_error(output_of(one), output_of(other).double())[read] > tolerance(variant, call)).any())


def _is_scaled_rows(variant: Variant, call: Call, outcome: Outcome) -> bool:
    """Each row of each head is the right one times one positive factor; head_dim has to leave no chance."""
    head_dim = call.arguments["head_dim"]
    expected = expected_of(variant, call)
    both = (output_of(outcome), expected.output)
    got, right = (x[expected.read].double().unflatten(-1, (-1, head_dim)) for x in both)
    factor = (got * right).sum(-1, keepdim=True) / (right * right).sum(-1, keepdim=True).clamp_min(1e-30)
    error = relative_error(got, factor * right)
    return bool((error <= tolerance(variant, call) * factor.abs().clamp_min(1.0)).all()) and bool((factor > 0).all())


def _is_coarse(variant: Variant, call: Call, outcome: Outcome) -> bool:
    """Off by no more than bf16 would be, where the dtype is finer; many numbers are off, and in both directions."""
    if call.arguments["q"].dtype == torch.bfloat16:
        return False
    expected = expected_of(variant, call)
    error = relative_error(output_of(outcome), expected.output)[expected.read]
    allowed = torch.finfo(torch.bfloat16).eps * (3.0 + expected.largest_score)
    difference = (output_of(outcome).double() - expected.output)[expected.read]
    off = difference[error > tolerance(variant, call)]
    many = len(off) > 0.2 * difference.numel()
    return many and bool((error <= allowed).all()) and 0.2 < float((off > 0).double().mean()) < 0.8


def _is_rounded_to_bf16(output: Tensor) -> bool:
    """Whether every number is one that bf16 has, too: of fp16's numbers between, one in eight is."""
    return output.numel() > 100 and torch.equal(output.bfloat16().to(output.dtype), output)


# Factors that are tried first; the best is then refined
_COARSE = [2.0 ** (step / 2) for step in range(-16, 17)]
_FITTED_CALLS = 6


def _is_scaled_otherwise(variant: Variant, pairs: Sequence[Performed]) -> bool:
    """Whether some factor on the scores, its own for each call, explains calls of several sizes."""
    chosen: dict[int, Performed] = {}
    for call, outcome in pairs:
        chosen.setdefault(call.arguments["head_dim"], (call, outcome))
    return len(chosen) >= 3 and all(_fits_some_scale(variant, *pair) for pair in list(chosen.values())[:_FITTED_CALLS])


def _fits_some_scale(variant: Variant, call: Call, outcome: Outcome) -> bool:
    got = output_of(outcome)

    def error(factor: float) -> float:
        model = Model("", scale=lambda head_dim, hidden_dim, seq: factor * head_dim**-0.5)
        output, _ = model.output(variant, call.arguments)
        return float(relative_error(got, output).max())

    best = _minimum(error, _COARSE)
    for width in (0.5, 0.1, 0.02, 0.004, 0.0008, 0.00016, 0.00003):
        best = _minimum(error, [best * 2.0 ** (width * step / 5) for step in range(-5, 6)])
    return error(best) <= 4 * tolerance(variant, call)


def _minimum(function: Callable[[float], float], candidates: Sequence[float]) -> float:
    return min(candidates, key=function)
