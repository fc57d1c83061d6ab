"""Records queries, keys and values of trained heads on two short sentences, for the kit's second batch.

    python benchmarks/record_heads.py [--out src/attention_lab/data/heads.npz]

Needs the extra ``models``. Bidirectional heads are the encoder's, causal ones those of the tiny model that repeats.
They are chosen for what they do on these sentences; what that is, the maps measure and say.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from attention_lab.models.causal import TinyCausalModel, load_repeater
from attention_lab.models.self_attention import SelfAttention
from attention_lab.models.token_batch import TokenBatch, padded_tokens

if TYPE_CHECKING:
    from attention_lab.models.encoder import SentenceEncoder

OUT = Path(__file__).parents[1] / "src" / "attention_lab" / "data" / "heads.npz"

Heads = Sequence[tuple[int, int]]  # layer and head, both from 0

ENCODER_SENTENCES = ("The cat sat on the mat", "Dogs bark at night")
ENCODER_HEADS: Heads = ((0, 2), (1, 8), (2, 7))
CAUSAL_SENTENCES = ("the owl found bread . the owl found bread .", "king and queen sang . king and queen sang")


def record(
    layers: Sequence[SelfAttention], inputs: Sequence[Tensor], batch: TokenBatch, heads: Heads
) -> dict[str, Any]:
    """Queries, keys and values of some heads at the real tokens, in fp16: each ``[total_tokens, hidden_dim]``."""
    parts: dict[str, list[Tensor]] = {"q": [], "k": [], "v": []}
    for layer, head in heads:
        dim = layers[layer].head_dim
        for name, x in zip("qkv", layers[layer].project(inputs[layer]), strict=True):
            parts[name].append(batch.real(x)[:, head * dim : (head + 1) * dim])
    return {name: torch.cat(x, dim=-1).half().numpy() for name, x in parts.items()} | {
        "num_heads": np.array(len(heads)),
        "lengths": batch.mask.sum(dim=1).numpy(),
    }


def layer_inputs(model: SentenceEncoder | TinyCausalModel, batch: TokenBatch) -> list[Tensor]:
    """What each attention layer gets, ``[batch, seq, hidden_dim]``."""
    inputs: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
        for module in model.modules()
        if isinstance(module, SelfAttention)
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    return inputs


def encoder_heads() -> dict[str, Any]:
    from attention_lab.models.encoder import load_encoder  # takes the extra; the causal heads do not

    model = load_encoder()
    batch = model.padded(ENCODER_SENTENCES)
    layers = [layer.attention for layer in model.layers]
    tokens = [piece for sentence in ENCODER_SENTENCES for piece in model.pieces(sentence)]
    return record(layers, layer_inputs(model, batch), batch, ENCODER_HEADS) | {"tokens": np.array(tokens)}


def causal_heads() -> dict[str, Any]:
    """One head that looks at the previous token, and all of the second layer."""
    model = load_repeater()
    batch = padded_tokens([model.ids(sentence) for sentence in CAUSAL_SENTENCES])
    first = model.attention_weights(batch)[0]  # [texts, num_heads, seq, seq]
    previous = int(first.diagonal(-1, 2, 3)[0].mean(dim=-1).argmax())
    heads = ((0, previous), *((1, head) for head in range(model.layers[1].num_heads)))
    tokens = " ".join(CAUSAL_SENTENCES).split()
    return record(list(model.layers), layer_inputs(model, batch), batch, heads) | {"tokens": np.array(tokens)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    recorded = {"bidirectional": encoder_heads(), "causal": causal_heads()}
    arrays = {f"{kind}.{name}": x for kind, of_kind in recorded.items() for name, x in of_kind.items()}
    np.savez_compressed(arguments.out, **arrays)
    print(f"{arguments.out}: {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
