"""Models of what a mask function may say wrongly: conditions swapped, joined by the wrong word, or dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.diagnosis.models import Model, right_keys, without
from attention_lab.rules import RULES
from attention_lab.variants import Variant


def flex_models() -> Iterator[Model]:
    """Models of variants whose mask is a function of two places."""
    yield Model("places-swapped", visible=lambda variant, arguments: right_keys(variant, arguments).mT)
    yield Model("nothing-hidden", visible=lambda variant, arguments: torch.ones_like(right_keys(variant, arguments)))
    yield Model("documents-or-causal", visible=_either)
    yield Model("labels-compared-by-size", visible=_by_size(torch.ge))
    yield Model("labels-compared-by-size", visible=_by_size(torch.le))
    yield Model("documents-dropped-with-window", visible=_dropped_with_window("sequences"))


def _either(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Earlier keys and those of the document; the window, where there is one, holds for both."""
    earlier, same = (~RULES[name].hides(arguments) for name in ("causal", "sequences"))
    return (earlier | same) & ~RULES["window"].hides(arguments)


def _by_size(compare: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Variant, dict[str, Any]], Tensor]:
    def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
        labels = arguments["document_ids"]
        return right_keys(without(variant, "sequences"), arguments) & compare(labels[:, None], labels)

    return visible


def _dropped_with_window(rule: str) -> Callable[[Variant, dict[str, Any]], Tensor]:
    """A condition that holds as long as there is no window; the window then reaches as far in both directions."""

    def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
        window = arguments.get("window")
        if window is None:
            return right_keys(variant, arguments)
        place = torch.arange(arguments["q"].shape[0])
        near: Tensor = (place[:, None] - place).abs() < window
        return right_keys(without(variant, rule), arguments) & near

    return visible
