"""Models of mistakes with a sliding window: it holds other keys than it should. Without one, nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attention_grading.judging.diagnosis.models import Model, forgotten, right_keys, without
from attention_lab.variants import Variant

Reach = Callable[[int], tuple[int, int]]


def window_models(variant: Variant) -> Iterator[Model]:
    """What may go wrong with the window of a causal attention."""
    yield Model("window-missing", visible=forgotten("window"))
    for step in (-1, 1):
        yield Model("window-off-by-one", visible=partial(_larger, step=step))
    yield _reaching("window-both-ways", lambda window: (window - 1, window - 1))
    yield _reaching("window-both-ways", lambda window: (window, window))
    yield _reaching("window-centred", lambda window: (window // 2, window // 2))
    yield _reaching("window-centred", lambda window: ((window - 1) // 2, (window - 1) // 2))
    yield _reaching("window-looks-ahead", lambda window: (0, window - 1))
    yield _reaching("window-looks-ahead", lambda window: (0, window))
    yield _reaching("window-halved", lambda window: (window // 2, 0))
    yield Model("window-as-chunks", visible=_in_chunks)
    for option in variant.options:
        if option.name == "window" and option.toy is not None:
            # what learners see in the notebook and write in as a number, or the keys besides the query's own
            for window in (option.toy, option.toy + 1):
                yield Model("window-fixed", visible=partial(_fixed, window=window))


def _larger(variant: Variant, arguments: dict[str, Any], step: int) -> Tensor:
    """A window that holds so many keys more. Where it holds none, nothing is known: for flash-attn, -1 is all keys."""
    window = arguments.get("window")
    return right_keys(variant, arguments if window is None else arguments | {"window": window + step})


def _fixed(variant: Variant, arguments: dict[str, Any], window: int) -> Tensor:
    return right_keys(variant, arguments | {"window": window})


def _reaching(name: str, reach: Reach) -> Model:
    """A window that holds so many keys before the query and behind it, whether it is causal or not."""

    def visible(variant: Variant, arguments: dict[str, Any]) -> Tensor:
        if arguments.get("window") is None:
            return right_keys(variant, arguments)
        keys = right_keys(without(without(variant, "window"), "causal"), arguments)
        before, behind = reach(arguments["window"])
        return keys & torch.ones(keys.shape[-2:], dtype=torch.bool).triu(-before).tril(behind)

    return Model(name, visible=visible)


def _in_chunks(variant: Variant, arguments: dict[str, Any]) -> Tensor:
    """Each sequence is cut into pieces of the window's size, and a query sees its own piece up to itself."""
    keys = right_keys(without(variant, "window"), arguments)
    if arguments.get("window") is None:
        return keys
    # the place in its own sequence is how many earlier keys a query sees
    chunk = (keys.sum(-1) - 1) // arguments["window"]
    same: Tensor = chunk[..., :, None] == chunk[..., None, :]
    return keys & same
