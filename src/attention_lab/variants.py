"""The six variants of the course: their names, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kernel = Literal["eager", "sdpa", "flash"]

_KERNEL_TITLES: dict[str, str] = {"eager": "Eager", "sdpa": "SDPA", "flash": "Flash"}


@dataclass(frozen=True)
class Variant:
    """One of the six attention functions that a learner writes.

    Attributes:
        number: Place in the course, 1 to 6.
        kernel: What computes the attention: plain tensor operations (``"eager"``),
            ``F.scaled_dot_product_attention`` (``"sdpa"``) or ``flash_attn_varlen_func`` (``"flash"``).
        causal: Whether query i sees only keys j <= i.
    """

    number: int
    kernel: Kernel
    causal: bool

    @property
    def name(self) -> str:
        """Name in code and on the command line, such as ``eager_causal``."""
        return f"{self.kernel}_{'causal' if self.causal else 'bidirectional'}"

    @property
    def stem(self) -> str:
        """Name of assignment, folder and notebook, such as ``02_eager_causal``."""
        return f"{self.number:02d}_{self.name}"

    @property
    def function_name(self) -> str:
        """Name of the function that the learner writes, such as ``eager_causal_attention``."""
        return f"{self.name}_attention"

    @property
    def packed(self) -> bool:
        """Whether the inputs are packed tokens with ``cu_seqlens`` instead of padded sequences with a mask."""
        return self.kernel == "flash"

    @property
    def title(self) -> str:
        """Name in prose, such as ``Eager causal attention``."""
        return f"{_KERNEL_TITLES[self.kernel]} {'causal' if self.causal else 'bidirectional'} attention"


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(1, "eager", False),
        Variant(2, "eager", True),
        Variant(3, "sdpa", False),
        Variant(4, "sdpa", True),
        Variant(5, "flash", False),
        Variant(6, "flash", True),
    )
}


def get_variant(name: str | Variant) -> Variant:
    """Look a variant up by its name, its stem or its function's name.

    Args:
        name: ``eager_causal``, ``02_eager_causal`` or ``eager_causal_attention``; a ``Variant`` is returned as it is.

    Raises:
        ValueError: No variant has this name; the message lists the six.
    """
    if isinstance(name, Variant):
        return name
    for variant in VARIANTS.values():
        if name in (variant.name, variant.stem, variant.function_name):
            return variant
    raise ValueError(f"unknown variant {name!r}; choose one of {', '.join(VARIANTS)}")
