"""Toy batches: sentences turned into queries, keys and values, padded or packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from attention_lab.variants import Inputs

PAD = "<pad>"
SENTENCES: tuple[tuple[str, ...], ...] = (("The", "cat", "sat", "on", "the", "mat"), ("Dogs", "bark", "at", "night"))

Padding = Literal["right", "left", "holes", "none"]


@dataclass(frozen=True)
class PaddedBatch:
    """Sentences of one length, padded, with a mask.

    Attributes:
        q: Queries, float ``[batch, seq, hidden_dim]``.
        k: Keys, same shape; with fewer key heads, its last dimension is ``num_kv_heads * head_dim``.
        v: Values, shape of ``k``.
        mask: bool ``[batch, seq]``, ``True`` at real tokens; ``None`` where nothing is padded.
        num_heads: Number of heads.
        head_dim: Size of one head; ``hidden_dim = num_heads * head_dim``.
        tokens: For each batch item its ``seq`` token strings, ``<pad>`` at padding.
        options: Further arguments of the function, such as the size of a window, or ``num_kv_heads``.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    mask: Tensor | None
    num_heads: int
    head_dim: int
    tokens: tuple[tuple[str, ...], ...]
    options: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        return self.q.shape[0]

    @property
    def seq(self) -> int:
        return self.q.shape[1]

    @property
    def hidden_dim(self) -> int:
        return self.num_heads * self.head_dim

    @property
    def num_kv_heads(self) -> int:
        """Number of heads of ``k`` and ``v``."""
        return key_heads(self.arguments())

    def arguments(self) -> dict[str, Any]:
        """The arguments of the learner's function, by name."""
        names = ("q", "k", "v", "num_heads", "head_dim", "mask")
        return {**{name: getattr(self, name) for name in names}, **self.options}


@dataclass(frozen=True)
class PackedBatch:
    """Sentences laid end to end, without padding.

    Attributes:
        q: Queries, float ``[total_tokens, hidden_dim]``; flash-attn takes fp16 and bf16.
        k: Keys, same shape; with fewer key heads, its last dimension is ``num_kv_heads * head_dim``.
        v: Values, shape of ``k``.
        cu_seqlens: int32 ``[batch + 1]``, the running sum of the lengths: ``[2, 3, 4]`` gives ``[0, 2, 5, 9]``.
        max_seqlen: The longest length.
        num_heads: Number of heads.
        head_dim: Size of one head; ``hidden_dim = num_heads * head_dim``.
        tokens: The ``total_tokens`` token strings.
        options: Further arguments of the function, such as the size of a window, or ``num_kv_heads``.
        ids: What tells the function where each sequence begins in place of ``cu_seqlens`` and ``max_seqlen``, such as
            ``{"position_ids": ...}``; empty where these two do.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    cu_seqlens: Tensor
    max_seqlen: int
    num_heads: int
    head_dim: int
    tokens: tuple[str, ...]
    options: Mapping[str, int | None] = field(default_factory=dict)
    ids: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def total_tokens(self) -> int:
        return self.q.shape[0]

    @property
    def hidden_dim(self) -> int:
        return self.num_heads * self.head_dim

    @property
    def num_kv_heads(self) -> int:
        """Number of heads of ``k`` and ``v``."""
        return key_heads(self.arguments())

    @property
    def lengths(self) -> tuple[int, ...]:
        """Length of each sequence, in tokens."""
        return tuple(self.cu_seqlens.diff().tolist())

    def arguments(self) -> dict[str, Any]:
        """The arguments of the learner's function, by name."""
        names = ("q", "k", "v", "num_heads", "head_dim")
        borders: Mapping[str, Any] = self.ids or {"cu_seqlens": self.cu_seqlens, "max_seqlen": self.max_seqlen}
        return {**{name: getattr(self, name) for name in names}, **borders, **self.options}

    def given_as(self, inputs: Inputs, starts: Sequence[int] = ()) -> PackedBatch:
        """The same batch as a kind of inputs takes it, itself where it is given so; ``starts`` as in ``borders_as``."""
        ids = {} if inputs == "packed" else borders_as(inputs, self.lengths, self.q.device, starts)
        return self if ids.keys() == self.ids.keys() and not starts else replace(self, ids=ids)


def padded_batch(
    sentences: Sequence[Sequence[str]] = SENTENCES,
    *,
    num_heads: int = 3,
    head_dim: int = 8,
    padding: Padding = "right",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    seed: int = 0,
    **options: int | None,
) -> PaddedBatch:
    """Turn sentences into a padded batch with random queries, keys and values.

    Args:
        sentences: One sequence of words per batch item.
        num_heads: Number of heads.
        head_dim: Size of one head.
        padding: Where the ``<pad>`` tokens go: after the words (``"right"``), before them (``"left"``),
            between them (``"holes"``); ``"none"`` wants sentences of one length and gives ``mask=None``.
        dtype: Floating-point type of ``q``, ``k`` and ``v``.
        device: Where the tensors live; the CPU by default.
        seed: Seed of the random numbers; the same seed gives the same batch on every device.
        options: Further arguments of the function, such as ``window=3``; with ``num_kv_heads=2``, k and v have two
            heads.

    Returns:
        A batch whose ``seq`` is the longest sentence's length (one more with ``"holes"``).

    Raises:
        ValueError: No sentence, an empty batch, unequal lengths with ``padding="none"``, an unknown ``padding``, or
            key heads that do not divide the heads.
    """
    if not sentences or not any(len(words) for words in sentences):
        raise ValueError("padded_batch needs at least one sentence with at least one word")
    seq = max(len(words) for words in sentences) + (padding == "holes")
    tokens = tuple(_place(words, seq, padding) for words in sentences)
    mask = torch.tensor([[token != PAD for token in row] for row in tokens], device=device)
    widths = widths_of(num_heads, options.get("num_kv_heads"), head_dim)
    q, k, v = random_tensors((len(tokens), seq), widths, dtype, device, seed)
    return PaddedBatch(q, k, v, None if padding == "none" else mask, num_heads, head_dim, tokens, options)


def packed_batch(
    sentences: Sequence[Sequence[str]] = SENTENCES,
    *,
    inputs: Inputs = "packed",
    starts: Sequence[int] = (),
    num_heads: int = 3,
    head_dim: int = 8,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str | None = None,
    seed: int = 0,
    **options: int | None,
) -> PackedBatch:
    """Lay sentences end to end, with random queries, keys and values.

    Args:
        sentences: One sequence of words per batch item; an empty one has length 0.
        inputs: What tells the function where each sentence begins: ``"packed"``: ``cu_seqlens`` and ``max_seqlen``;
            ``"positions"``: ``position_ids``; ``"documents"``: ``document_ids``.
        starts: With positions, each sentence's first one; all 0 where left away.
        num_heads: Number of heads.
        head_dim: Size of one head.
        dtype: Floating-point type of ``q``, ``k`` and ``v``; flash-attn takes bf16 and fp16.
        device: Where the tensors live; the CPU by default.
        seed: Seed of the random numbers; the same seed gives the same batch on every device.
        options: Further arguments of the function, such as ``window=3``; with ``num_kv_heads=2``, k and v have two
            heads.

    Raises:
        ValueError: No sentence is given, key heads do not divide the heads, or the starts do not fit the sentences.
    """
    if not sentences:
        raise ValueError("packed_batch needs at least one sentence")
    tokens = tuple(word for words in sentences for word in words)
    lengths = [len(words) for words in sentences]
    widths = widths_of(num_heads, options.get("num_kv_heads"), head_dim)
    q, k, v = random_tensors((len(tokens),), widths, dtype, device, seed)
    borders = running_sum(lengths, device)
    packed = PackedBatch(q, k, v, borders, max(lengths), num_heads, head_dim, tokens, options)
    return packed.given_as(inputs, starts)


def pack(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, int]:
    """Remove the padding and lay the sequences end to end.

    Args:
        x: ``[batch, seq, ...]``.
        mask: bool ``[batch, seq]``, ``True`` at real tokens.

    Returns:
        The packed tensor ``[total_tokens, ...]``, ``cu_seqlens`` (int32 ``[batch + 1]``) and ``max_seqlen``.
    """
    lengths = mask.sum(dim=1).tolist()
    return x[mask], running_sum(lengths, x.device), max(lengths)


def unpack(packed: Tensor, mask: Tensor) -> Tensor:
    """Put packed tokens back at their padded places; padding becomes zero.

    Args:
        packed: ``[total_tokens, ...]``.
        mask: bool ``[batch, seq]`` with ``total_tokens`` times ``True``.

    Returns:
        ``[batch, seq, ...]``.
    """
    padded = packed.new_zeros(*mask.shape, *packed.shape[1:])
    padded[mask] = packed
    return padded


def key_heads(arguments: Mapping[str, Any]) -> int:
    """How many heads k and v have in a call; as many as q, where nothing else is said."""
    heads: int = arguments.get("num_kv_heads", arguments["num_heads"])
    return heads


def running_sum(lengths: Sequence[int], device: torch.device | str | None = None) -> Tensor:
    """``cu_seqlens`` of some lengths: int32 ``[batch + 1]``, starts at 0."""
    return torch.tensor([0, *lengths], device=device).cumsum(0, dtype=torch.int32)


def borders_as(
    inputs: Inputs, lengths: Sequence[int], device: torch.device | str | None = None, starts: Sequence[int] = ()
) -> dict[str, Any]:
    """The arguments that tell a packed function where each sequence begins.

    Args:
        inputs: Its kind of inputs.
        lengths: Of the sequences, in tokens.
        device: Where the tensors live; the CPU by default.
        starts: With positions, each sequence's first one; all 0 where left away.

    Raises:
        ValueError: As ``count_positions`` does.
    """
    if inputs == "documents":
        return {"document_ids": label_documents(lengths, device)}
    if inputs == "positions":
        return {"position_ids": count_positions(lengths, starts, device)}
    return {"cu_seqlens": running_sum(lengths, device), "max_seqlen": max(lengths)}


def label_documents(lengths: Sequence[int], device: torch.device | str | None = None) -> Tensor:
    """``document_ids`` of documents that lie end to end: int64 ``[total_tokens]``; labels in no order, and no place."""
    labels = torch.arange(len(lengths)) * 50 % 97 + 7  # 7, 57, 10, 60, ...: 97 of them differ
    return labels.repeat_interleave(torch.tensor(lengths)).to(device)


def count_positions(
    lengths: Sequence[int], starts: Sequence[int] = (), device: torch.device | str | None = None
) -> Tensor:
    """``position_ids`` of documents that lie end to end: int64 ``[total_tokens]``.

    Args:
        lengths: Of the documents, in tokens; one without tokens leaves no trace.
        starts: Each one's first position; all 0 where left away.
        device: Where the positions live; the CPU by default.

    Raises:
        ValueError: There are not as many starts as lengths, or a document starts where the one before it ends: by
            their positions, the two would be one.
    """
    starts = starts or [0] * len(lengths)
    if len(starts) != len(lengths):
        raise ValueError(f"there are {len(lengths)} documents and {len(starts)} starts; give one to each document")
    end = None
    for length, start in zip(lengths, starts, strict=True):
        if length and start == end:
            raise ValueError(
                f"a document starts at {start}, where the one before it ends: by their positions they are one"
            )
        end = start + length if length else end
    counts = [torch.arange(start, start + length) for length, start in zip(lengths, starts, strict=True)]
    return torch.cat(counts).to(device)


def widths_of(num_heads: int, num_kv_heads: int | None, head_dim: int) -> tuple[int, int, int]:
    """Widths of q, k and v; ``None``: k and v have as many heads as q."""
    if num_kv_heads is None:
        num_kv_heads = num_heads
    if num_kv_heads < 1 or num_heads % num_kv_heads:
        raise ValueError(
            f"num_kv_heads must divide num_heads, so that all groups are equally large; got {num_heads} heads and "
            f"{num_kv_heads} key heads"
        )
    return num_heads * head_dim, num_kv_heads * head_dim, num_kv_heads * head_dim


def random_tensors(
    tokens: tuple[int, ...],
    widths: Sequence[int],
    dtype: torch.dtype,
    device: torch.device | str | None,
    seed: int,
) -> list[Tensor]:
    """Standard normal numbers, a tensor for each width; the same seed gives the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*tokens, width, generator=generator).to(device=device, dtype=dtype) for width in widths]


def _place(words: Sequence[str], seq: int, padding: Padding) -> tuple[str, ...]:
    gap = (PAD,) * (seq - len(words))
    words = tuple(words)
    if padding == "right":
        return words + gap
    if padding == "left":
        return gap + words
    if padding == "holes":
        middle = max(1, len(words) // 2)
        return words[:middle] + gap + words[middle:]
    if padding == "none":
        if gap:
            raise ValueError('padding="none" wants sentences of one length; choose "right", "left" or "holes"')
        return words
    raise ValueError(f'unknown padding {padding!r}; choose "right", "left", "holes" or "none"')
