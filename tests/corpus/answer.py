"""One answer of the corpus, and how a wrong one is made from a right one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

CHECKS = ("contract", "invariants", "values", "masking", "robustness", "kernel")


@dataclass(frozen=True)
class Answer:
    """A learner's answer and what it deserves.

    Attributes:
        variant: Name of the variant.
        name: Its own name, unique within the variant.
        right: Whether it is right by the contract in every respect.
        kind: Family of the mistake, or of the style.
        reason: What is wrong, or what is special.
        source: Complete Python text; ``torch``, ``F``, ``math`` and ``flash_attn_varlen_func`` are in scope.
        loses: Checks that it must lose.
        keeps: Checks that it must keep; the rest is not specified.
        diagnosis: Name of the mistake, where the bank has one.
    """

    variant: str
    name: str
    right: bool
    kind: str
    reason: str
    source: str
    loses: frozenset[str] = frozenset()
    keeps: frozenset[str] = frozenset()
    diagnosis: str | None = None


# The short forms below name checks by their first letters: c i v m r k
_LETTERS = {name[0]: name for name in CHECKS}


def checks(letters: str) -> frozenset[str]:
    """Checks by their first letters: ``"vm"`` is values and masking."""
    return frozenset(_LETTERS[letter] for letter in letters)


@dataclass(frozen=True)
class Mutation:
    """A change that makes a right answer wrong.

    Attributes:
        name: Name of the wrong answer.
        kind: Family of the mistake.
        reason: What is wrong.
        changes: Pairs of texts; each first text occurs exactly once and is replaced by the second.
        loses: First letters of the checks that must be lost.
        keeps: First letters of those that must be kept.
        diagnosis: Name of the mistake, or ``None``.
    """

    name: str
    kind: str
    reason: str
    changes: Sequence[tuple[str, str]]
    loses: str
    keeps: str = ""
    diagnosis: str | None = None

    def filled(self, **words: str) -> Mutation:
        """The same mutation with placeholders replaced in its texts, such as ``NAME`` by the function's name."""

        def fill(text: str) -> str:
            for word, meaning in words.items():
                text = text.replace(word, meaning)
            return text

        return replace(self, changes=[(fill(old), fill(new)) for old, new in self.changes])

    def of(self, variant: str, right: str) -> Answer:
        """The wrong answer made from a right one."""
        return Answer(
            variant,
            self.name,
            False,
            self.kind,
            self.reason,
            changed(right, self.changes),
            checks(self.loses),
            checks(self.keeps),
            self.diagnosis,
        )


def changed(source: str, changes: Iterable[tuple[str, str]]) -> str:
    """Replace texts that each occur exactly once.

    Raises:
        ValueError: A text does not occur, or more than once: the mutation would not be what it says.
    """
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} occurs {source.count(old)} times in\n{source}")
        source = source.replace(old, new)
    return source


def right_answers(variant: str, sources: dict[str, tuple[str, str]]) -> list[Answer]:
    """Right answers from names to (what is special, source); every ``NAME`` becomes the function's name."""
    return [
        Answer(
            variant, name, True, "right", reason, source.replace("NAME", f"{variant}_attention"), keeps=checks("civmrk")
        )
        for name, (reason, source) in sources.items()
    ]
