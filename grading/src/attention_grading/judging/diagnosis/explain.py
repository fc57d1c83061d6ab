"""Name the mistake whose model explains a wrong output."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

from attention_grading.judging.comparison import expected_of, output_of, relative_error, tolerance
from attention_grading.judging.diagnosis.bank import bank
from attention_grading.judging.diagnosis.models import Model
from attention_lab.checks.calls import Call, Outcome
from attention_lab.rules import real_tokens
from attention_lab.variants import Variant


def diagnose(variant: Variant, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> str | None:
    """Name the mistake behind a check's outcomes.

    Args:
        variant: One of the course's.
        calls: All calls of the check.
        outcomes: What they gave.

    Returns:
        Its name, or ``None`` where no single known mistake explains everything.
    """
    together = list(zip(calls, outcomes, strict=True))
    if any(outcome.failure is not None for call, outcome in together if call.setting != "elsewhere"):
        return None  # an exception is no number: a model of numbers does not explain it
    pairs = [(call, outcome) for call, outcome in together if _has_numbers(call, outcome)]
    wrong = [pair for pair in pairs if not _matches(pair[1], *_right(variant, pair[0]), tolerance(variant, pair[0]))]
    if not wrong:
        return None
    first = wrong[0]
    suspects = [model for model in bank(variant) if _explains(model, variant, *first)]
    names = {
        model.name for model in suspects if all(_explains(model, variant, call, outcome) for call, outcome in pairs)
    }
    if not names and _is_constant(pairs):
        names = {"constant-output"}
    return _most_specific(names, variant, wrong)


def _most_specific(names: set[str], variant: Variant, wrong: Sequence[tuple[Call, Outcome]]) -> str | None:
    """One name, or none where several mistakes look the same at the tokens that are judged."""
    if names == {"mask-ignored", "mask-on-queries"}:
        # both leave all keys visible to real queries; a mask on queries shows at the padding rows, which ignore q
        call, outcome = wrong[0]
        ignored = next(model for model in bank(variant) if model.name == "mask-ignored")
        full, _ = _modelled(ignored, variant, call)
        everywhere = bool((relative_error(output_of(outcome), full) <= tolerance(variant, call)).all())
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
        and has_finite_inputs(call)
    )


def has_finite_inputs(call: Call) -> bool:
    """Whether models of numbers can say anything of a call: no infinity and no NaN goes in."""
    return all(bool(call.arguments[x].isfinite().all()) for x in ("q", "k", "v"))


def _is_constant(pairs: Sequence[tuple[Call, Outcome]]) -> bool:
    outputs = (output_of(outcome) for _, outcome in pairs)
    return all(float(output.double().std()) == 0.0 for output in outputs if output.numel() > 1)
