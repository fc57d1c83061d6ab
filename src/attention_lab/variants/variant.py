"""What a variant of the course is. A variant is data: everything else follows from what stands here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, Literal

Kernel = Literal["eager", "sdpa", "flash", "tiled", "flex"]
Inputs = Literal["padded", "packed", "positions", "documents", "cached"]

# Arguments of a function by its kind of inputs and by role (see ``roles``), in the order of its signature
_PARAMETERS: dict[Inputs, tuple[str, ...]] = {
    "padded": ("q", "k", "v", "num_heads", "head_dim", "mask"),
    "packed": ("q", "k", "v", "num_heads", "head_dim", "cu_seqlens", "max_seqlen"),
    "positions": ("q", "k", "v", "num_heads", "head_dim", "position_ids"),
    "documents": ("q", "k", "v", "num_heads", "head_dim", "document_ids"),
    "cached": ("q", "k", "v", "cache_seqlens", "num_heads", "head_dim"),
}
# Kinds of inputs whose tokens lie end to end: they differ in what tells where each sequence begins
_PACKED: tuple[Inputs, ...] = ("packed", "positions", "documents")
# What may be left away in a call, besides options that have a default
OPTIONAL = ("mask",)

# How many notebooks each part of the course has; part one is whole in itself
PART_SIZE = 6

# Worth of each check, in the order of the notebook; ten points in all
POINTS: dict[str, int] = {
    "contract": 1,
    "invariants": 2,
    "values": 2,
    "masking": 2,
    "robustness": 2,
    "kernel": 1,
}


@dataclass(frozen=True)
class Option:
    """A further whole-number argument of a function, such as the size of a window.

    Attributes:
        name: As in the signature.
        toy: Its value in toy batches and visible checks.
        drawn: The values that hidden cases choose from.
        default: Its value where a call leaves it away; ``...`` where a call must give it.
        matters: Whether the right output depends on it; the size of a tile only says how it is computed.
        before: Name of the parameter that it stands before; empty at the end: of those that a call must give, or of
            all, where it has a default.
        narrow: Where its toy value is ``None``, one that hides keys in the toy inputs.
    """

    name: str
    toy: int | None
    drawn: tuple[int, ...]
    default: int | EllipsisType | None = ...
    matters: bool = True
    before: str = ""
    narrow: int | None = None


@dataclass(frozen=True)
class Variant:
    """One of the attention functions that a learner writes.

    Attributes:
        number: Place in the course, from 1.
        name: Name in code and on the command line, such as ``eager_causal``.
        title: Name in prose, such as ``Eager causal attention``.
        kernel: What computes the attention: plain tensor operations (``"eager"``),
            ``F.scaled_dot_product_attention`` (``"sdpa"``), ``flash_attn_varlen_func`` (``"flash"``),
            ``flex_attention`` with a block mask (``"flex"``), or plain tensor operations on one tile of keys after the
            other (``"tiled"``), which never hold all scores at once.
        inputs: ``"padded"``: ``[batch, seq, hidden_dim]`` with a mask; ``"packed"``: ``[total_tokens, hidden_dim]``
            with ``cu_seqlens`` and ``max_seqlen``; ``"positions"``, ``"documents"``: the same with ``position_ids`` or
            ``document_ids`` in their place; ``"cached"``: ``[batch, new, hidden_dim]`` with caches of keys and values
            and ``cache_seqlens``.
        rules: Who is hidden from whom, and why: names in ``attention_lab.rules.RULES``, in rising order of precedence.
        options: Further arguments; those without a default stand before the ones that may be left away, the others
            after them. ``num_kv_heads`` is the number of heads of k and v where these may be fewer than q's.
        points: Worth of each check, in the order of the notebook.
    """

    number: int
    name: str
    title: str
    kernel: Kernel
    inputs: Inputs
    rules: tuple[str, ...]
    options: tuple[Option, ...] = ()
    points: Mapping[str, int] = field(default_factory=lambda: POINTS, compare=False)

    @property
    def stem(self) -> str:
        """Name of assignment, folder and notebook, such as ``02_eager_causal``."""
        return f"{self.number:02d}_{self.name}"

    @property
    def function_name(self) -> str:
        """Name of the function that the learner writes, such as ``eager_causal_attention``."""
        return f"{self.name}_attention"

    @property
    def part(self) -> int:
        """Part of the course: 1 for the first notebooks, which are whole in themselves, 2 for the others."""
        return (self.number - 1) // PART_SIZE + 1

    @property
    def fused(self) -> bool:
        """Whether a fused kernel has to do the work, and not the learner's own tensor operations."""
        return self.kernel in ("sdpa", "flash", "flex")

    @property
    def packed(self) -> bool:
        """Whether the tokens lie end to end, ``[total_tokens, hidden_dim]``, without padding and mask."""
        return self.inputs in _PACKED

    @property
    def half_precision(self) -> bool:
        """Whether the kernel takes fp16 and bf16 alone."""
        return self.kernel == "flash"

    @property
    def cached(self) -> bool:
        """Whether keys and values come as caches, of which the last tokens ask; no gradients are asked of these."""
        return self.inputs == "cached"

    @property
    def masked(self) -> bool:
        """Whether the function takes a mask, which may be ``None``."""
        return "mask" in self.parameters

    @property
    def grouped(self) -> bool:
        """Whether k and v may have fewer heads than q, each of which serves a group of neighbouring query heads."""
        return any(option.name == "num_kv_heads" for option in self.options)

    @property
    def keeps_keys(self) -> bool:
        """Whether SDPA has to get shared keys and values uncopied; caches are copied in any case, to tidy them."""
        return self.grouped and self.kernel == "sdpa" and not self.cached

    @property
    def causal(self) -> bool:
        """Whether query i sees only keys j <= i."""
        return "causal" in self.rules

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the function's arguments by role, in the order of its signature."""
        given = _PARAMETERS[self.inputs]
        needed = [name for name in given if name not in OPTIONAL]
        for option in self.options:
            if option.default is ...:
                needed.insert(needed.index(option.before) if option.before else len(needed), option.name)
        return (*needed, *self.optional)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the arguments that a call may leave away: the last ones of the signature."""
        last = [name for name in _PARAMETERS[self.inputs] if name in OPTIONAL]
        return (*last, *(option.name for option in self.options if option.default is not ...))

    def value_of(self, option: str, arguments: Mapping[str, Any]) -> Any:
        """An option's value in a call, which may leave it away."""
        usual = next(one.default for one in self.options if one.name == option)
        return arguments.get(option, usual)

    def narrowed(self, rule: str) -> dict[str, int]:
        """The option of a rule's name at a value that hides keys, where its toy value hides none."""
        return {one.name: one.narrow for one in self.options if one.name == rule and one.narrow is not None}

    def in_order(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments in the order of the signature; options that are not among them get their toy values."""
        toys = {option.name: option.toy for option in self.options}
        return {name: arguments[name] if name in arguments else toys[name] for name in self.parameters}
