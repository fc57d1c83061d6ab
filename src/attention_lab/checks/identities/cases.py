"""What the notebook's cell ``invariants`` asks, in the order in which learners should hear of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from attention_lab.checks.case import Case
from attention_lab.checks.identities.caches import alone_case, chunks_case, garbage_cases
from attention_lab.checks.identities.gradients import forward_case, gradient_case, no_key_case
from attention_lab.checks.identities.groups import group_case
from attention_lab.checks.identities.kernels import kernel_case, math_case
from attention_lab.checks.identities.positions import same_borders_case
from attention_lab.checks.identities.scores import (
    hidden_score_cases,
    linear_case,
    lookup_case,
    ones_case,
    other_inputs_case,
    scale_case,
)
from attention_lab.checks.identities.sizes import alone_cases, long_cases, one_head_case, twice_cases
from attention_lab.checks.identities.tiles import block_size_case, memory_cases, shifted_case
from attention_lab.checks.identities.windows import window_cases
from attention_lab.checks.invariants import sensitive_cases, undisturbed_cases
from attention_lab.flex import flex_device, forward_alone
from attention_lab.variants import Variant


def invariant_and_identity_cases(variant: Variant) -> Iterator[Case]:
    """The cases of the check ``invariants`` and the identities, each made when it is asked for."""
    yield from undisturbed_cases(variant)
    yield other_inputs_case(variant)
    yield scale_case(variant)  # scores that are far too large hide that keys matter
    yield from sensitive_cases(variant)
    yield ones_case(variant)
    yield linear_case(variant)
    if variant.grouped:
        yield group_case(variant)
    yield one_head_case(variant)
    if variant.kernel == "tiled":
        yield block_size_case(variant)
    if any(option.name == "window" and option.toy is not None for option in variant.options):
        yield from window_cases(variant)
    if variant.inputs == "positions":
        yield same_borders_case(variant)
    if variant.cached:
        yield chunks_case(variant)
        yield alone_case(variant)
        yield from garbage_cases(variant)
    else:
        yield from alone_cases(variant)
    yield lookup_case(variant)
    yield from hidden_score_cases(variant)
    yield from long_cases(variant)
    yield from twice_cases(variant)
    if "padding" in variant.rules:
        yield no_key_case(variant)
    reason = forward_alone(flex_device()) if variant.kernel == "flex" else ""
    if not variant.cached:
        yield forward_case(variant, reason) if reason else gradient_case(variant)
    if variant.kernel == "sdpa":
        yield math_case(variant)
    yield from kernel_case(variant)
    if variant.kernel == "tiled":
        yield shifted_case(variant)
        yield from memory_cases(variant)
