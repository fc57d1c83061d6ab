"""The variants of the course, each a module of data below ``course``. The door is ``VARIANTS`` and ``get_variant``."""

from __future__ import annotations

import importlib
import pkgutil

from attention_lab.variants import course
from attention_lab.variants.variant import OPTIONAL, POINTS, Inputs, Kernel, Option, Variant

__all__ = ["OPTIONAL", "POINTS", "VARIANTS", "Inputs", "Kernel", "Option", "Variant", "get_variant"]


def _found() -> dict[str, Variant]:
    modules = (
        importlib.import_module(f"{course.__name__}.{each.name}") for each in pkgutil.iter_modules(course.__path__)
    )
    return {variant.name: variant for variant in sorted((module.VARIANT for module in modules), key=lambda v: v.number)}


# By name, in the order of the course
VARIANTS: dict[str, Variant] = _found()


def get_variant(name: str | Variant) -> Variant:
    """Look a variant up by its name, its stem or its function's name.

    Args:
        name: ``eager_causal``, ``02_eager_causal`` or ``eager_causal_attention``; a ``Variant`` is returned as it is.

    Raises:
        ValueError: No variant has this name; the message lists those there are.
    """
    if isinstance(name, Variant):
        return name
    for variant in VARIANTS.values():
        if name in (variant.name, variant.stem, variant.function_name):
            return variant
    raise ValueError(f"unknown variant {name!r}; choose one of {', '.join(VARIANTS)}")
