"""A model's attention layer, with the attention function as an argument."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attention_lab.models.token_batch import TokenBatch

AttentionFunction = Callable[..., Tensor]

PACKED_DTYPE = torch.float16  # flash-attn takes fp16 and bf16; of the two fp16 keeps more digits


class SelfAttention(nn.MultiheadAttention):
    """PyTorch's own attention layer, in which another function may do the attention.

    The layer's learned matrices make queries, keys and values from the tokens; the function mixes the values; one more
    matrix, W_O, mixes the heads.

    Args:
        hidden_dim: Numbers a token.
        num_heads: Number of heads; ``head_dim = hidden_dim // num_heads``.
        causal: Whether query i sees only keys j <= i.
    """

    def __init__(self, hidden_dim: int, num_heads: int, causal: bool):
        super().__init__(hidden_dim, num_heads, batch_first=True)
        self.causal = causal

    def forward(  # type: ignore[override]  # of the built-in layer only the weights and the mathematics are kept
        self, hidden: Tensor, batch: TokenBatch, attention: AttentionFunction | None
    ) -> Tensor:
        """Let the tokens look at each other.

        Args:
            hidden: ``[batch, seq, hidden_dim]`` or ``[total_tokens, hidden_dim]``.
            batch: How the tokens lie.
            attention: Called with q, k, v, num_heads, head_dim and the batch's layout by name; ``None`` lets the
                built-in layer do all of it, for padded batches.

        Returns:
            The same shape as ``hidden``.
        """
        if attention is None:
            return self._built_in(hidden, batch)[0]
        q, k, v = self.project(hidden)
        if batch.packed:
            q, k, v = (x.to(PACKED_DTYPE) for x in (q, k, v))
        output = attention(q=q, k=k, v=v, num_heads=self.num_heads, head_dim=self.head_dim, **batch.layout)
        return self.merge(output.to(hidden.dtype))

    def project(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each ``[..., hidden_dim]``, of tokens ``[..., hidden_dim]``."""
        q, k, v = F.linear(hidden, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        return q, k, v

    def merge(self, output: Tensor) -> Tensor:
        """Mix the heads' outputs by W_O: ``[..., hidden_dim]`` to the same."""
        merged: Tensor = self.out_proj(output)
        return merged

    def weights(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        """The built-in layer's attention weights, ``[batch, num_heads, seq, seq]``, of a padded batch."""
        _, weights = self._built_in(hidden, batch, weights=True)
        assert weights is not None  # they were asked for
        return weights

    def _built_in(self, hidden: Tensor, batch: TokenBatch, weights: bool = False) -> tuple[Tensor, Tensor | None]:
        if batch.packed:
            raise ValueError("the built-in layer knows no packed batches; give it a padded one")
        seq = hidden.shape[1]
        # here True hides a key, unlike in this course
        later = torch.ones(seq, seq, dtype=torch.bool, device=hidden.device).triu(1) if self.causal else None
        return super().forward(
            hidden,
            hidden,
            hidden,
            key_padding_mask=~batch.mask,
            attn_mask=later,
            need_weights=weights,
            average_attn_weights=False,
        )
