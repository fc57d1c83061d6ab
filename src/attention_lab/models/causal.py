"""A causal model small enough to be trained in minutes, which has learned one thing: to repeat.

Two layers of attention and nothing else between embeddings and guesses. Trained on random words that come again, by
``benchmarks/train_repeater.py``, it finds the way that large models take too: a head of the first layer looks at the
previous token, and a head of the second at what followed the same word earlier (an induction head).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from attention_lab.models.self_attention import AttentionFunction, SelfAttention
from attention_lab.models.token_batch import TokenBatch, packed_tokens, padded_tokens

_WORDS = (
    "the a an . , and or but of to in on at by with under cat dog fox owl hen mouse bird fish tree hill lake road "
    "house door lamp book bread milk apple stone king queen child friend red blue green old young small big quiet "
    "saw ran sang slept ate found lost gave took here there now then again"
)
WORDS: tuple[str, ...] = tuple(_WORDS.split())
TRAINED = Path(str(files("attention_lab"))) / "data" / "repeater.npz"


class TinyCausalModel(nn.Module):
    """Guesses the next word of each text.

    ``forward`` reads whole texts. Who wants to do it otherwise, with a cache of keys and values for instance, goes
    through its parts: ``embed``, then for each of ``steps()`` the layer's ``project`` of the normed vectors, attention,
    and ``merge``, whose result is added to the vectors; in the end ``guess`` of the last norm.

    Args:
        vocabulary: Its words; a word's id is its place.
        hidden_dim: Numbers a token.
        num_heads: Heads of each layer.
        num_layers: Number of layers.
        longest: Most tokens that a text may have.
    """

    causal = True

    def __init__(
        self,
        vocabulary: Sequence[str] = WORDS,
        hidden_dim: int = 64,
        num_heads: int = 2,
        num_layers: int = 2,
        longest: int = 64,
    ):
        super().__init__()
        self.vocabulary = tuple(vocabulary)
        self.longest = longest
        self.word = nn.Embedding(len(vocabulary), hidden_dim)
        self.place = nn.Embedding(longest, hidden_dim)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in range(num_layers + 1))
        self.layers = nn.ModuleList(SelfAttention(hidden_dim, num_heads, causal=True) for _ in range(num_layers))
        self.guess = nn.Linear(hidden_dim, len(vocabulary), bias=False)

    def forward(self, batch: TokenBatch, attention: AttentionFunction | None = None) -> Tensor:
        """Score every word as the next one, after each token.

        Args:
            batch: Texts, padded or packed as the attention function wants them.
            attention: A causal attention function; ``None`` takes PyTorch's own layer, for padded batches.

        Returns:
            ``[batch, seq, words]`` or ``[total_tokens, words]``; the softmax over the last axis gives probabilities.
        """
        hidden = self.embed(batch)
        for norm, layer in self.steps():
            hidden = hidden + layer(norm(hidden), batch, attention)
        scores: Tensor = self.guess(self.norms[-1](hidden))
        return scores

    def embed(self, batch: TokenBatch) -> Tensor:
        """What the first layer gets: each token's word and place, ``[..., hidden_dim]``."""
        embedded: Tensor = self.word(batch.ids) + self.place(batch.positions)
        return embedded

    @torch.no_grad()
    def attention_weights(self, batch: TokenBatch) -> list[Tensor]:
        """Each layer's weights, ``[batch, num_heads, seq, seq]``, as PyTorch's own layer has them; padded batches."""
        hidden, weights = self.embed(batch), []
        for norm, layer in self.steps():
            weights.append(layer.weights(norm(hidden), batch))
            hidden = hidden + layer(norm(hidden), batch, None)
        return weights

    def steps(self) -> Iterator[tuple[nn.LayerNorm, SelfAttention]]:
        """The layers, each with the norm before it; the last norm stands before the guess."""
        return cast(Iterator[tuple[nn.LayerNorm, SelfAttention]], zip(self.norms, self.layers, strict=False))

    def padded(self, texts: Sequence[str]) -> TokenBatch:
        """Texts as a padded batch."""
        return padded_tokens([self.ids(text) for text in texts], device=self.guess.weight.device)

    def packed(self, texts: Sequence[str]) -> TokenBatch:
        """Texts as a packed batch."""
        return packed_tokens([self.ids(text) for text in texts], device=self.guess.weight.device)

    def ids(self, text: str) -> list[int]:
        """The ids of a text's words, which stand between spaces.

        Raises:
            ValueError: A word is not in the vocabulary, or the text is too long.
        """
        words = text.split()
        unknown = [word for word in words if word not in self.vocabulary]
        if unknown:
            raise ValueError(f"the model does not know {unknown[0]!r}; it knows: {' '.join(self.vocabulary)}")
        if len(words) > self.longest:
            raise ValueError(f"the text has {len(words)} words; the model takes at most {self.longest}")
        return [self.vocabulary.index(word) for word in words]

    @torch.no_grad()
    def chances(self, text: str, attention: AttentionFunction | None = None, packed: bool = False) -> Tensor:
        """The probability that the model gave to each word of a text, before it read it.

        Args:
            text: Words that the model knows, at least two.
            attention: A causal attention function.
            packed: Whether the function takes packed batches.

        Returns:
            ``[words - 1]``, from the second word on: nothing stands before the first.
        """
        batch = self.packed([text]) if packed else self.padded([text])
        guesses = batch.real(self(batch, attention)).softmax(dim=-1)  # [words, vocabulary]
        coming = batch.real(batch.ids)[1:]
        return guesses[:-1].gather(1, coming[:, None]).squeeze(1)

    @torch.no_grad()
    def generate(self, text: str, words: int, attention: AttentionFunction | None = None, packed: bool = False) -> str:
        """Go on with a text, each time by the likeliest word, and read all of it anew for each.

        Args:
            text: Words that the model knows, at least one.
            words: How many to add.
            attention: A causal attention function.
            packed: Whether the function takes packed batches.

        Returns:
            The added words.
        """
        ids, start = self.ids(text), len(text.split())
        for _ in range(words):
            read, device = [ids[-self.longest :]], self.guess.weight.device
            batch = packed_tokens(read, device) if packed else padded_tokens(read, device=device)
            ids.append(int(batch.real(self(batch, attention))[-1].argmax()))
        return " ".join(self.vocabulary[each] for each in ids[start:])


def load_repeater(device: torch.device | str | None = None, path: Path = TRAINED) -> TinyCausalModel:
    """The trained model, from the kit's own data, in fp32.

    Args:
        device: Where its weights live; the CPU by default.
        path: Of the weights, as ``benchmarks/train_repeater.py`` writes them.
    """
    with np.load(path, allow_pickle=False) as data:
        weights = {name: torch.from_numpy(data[name].astype(np.float32)) for name in data.files}
    model = TinyCausalModel()
    model.load_state_dict(weights)
    return model.to(device).eval().requires_grad_(False)
