"""Trains the kit's tiny causal model to repeat, and says what its heads have become.

    python benchmarks/train_repeater.py [--steps 3000] [--seed 0] [--out src/attention_lab/data/repeater.npz]

Its texts are random words in which one stretch comes again and again, each time at another distance. What comes in a
later stretch can be known from the first one alone: there the model is scored, nowhere else.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_lab.models.causal import WORDS, TinyCausalModel, load_repeater
from attention_lab.models.repeating import head_scores, share_repeated
from attention_lab.models.token_batch import TokenBatch

OUT = Path(__file__).parents[1] / "src" / "attention_lab" / "data" / "repeater.npz"
TEXTS, LENGTH, RATE = 64, 48, 5e-3


def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random texts with a stretch that comes again.

    Returns:
        Ids, int64 ``[texts, length]``, and which of them are known from what came before, bool of the same shape.
    """
    stretch = torch.randint(4, 20, (TEXTS, 1), generator=generator)
    period = stretch + torch.randint(0, 6, (TEXTS, 1), generator=generator)
    start = torch.randint(0, 8, (TEXTS, 1), generator=generator)
    ids = torch.randint(len(WORDS), (TEXTS, LENGTH), generator=generator)
    since = torch.arange(LENGTH) - start  # [texts, length]
    within = since.remainder(period)
    again = (since >= period) & (within < stretch)
    ids = torch.where(again, ids.gather(1, (start + within).clamp(max=LENGTH - 1)), ids)
    return ids, again & (within > 0)  # where a stretch comes again, its first word is news


def train(steps: int, seed: int) -> TinyCausalModel:
    """Train a model from scratch, on one thread."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    model = TinyCausalModel()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    mask = torch.ones(TEXTS, LENGTH, dtype=torch.bool)
    places = torch.arange(LENGTH).expand(TEXTS, LENGTH)
    for step in range(steps):
        ids, known = draw(generator)
        scores = model(TokenBatch(ids, places, mask, {"mask": mask}))[:, :-1]
        loss = F.cross_entropy(scores[known[:, 1:]], ids[:, 1:][known[:, 1:]])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.3f}", flush=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    start = time.perf_counter()
    model = train(arguments.steps, arguments.seed)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    np.savez_compressed(arguments.out, **{name: x.half().numpy() for name, x in model.state_dict().items()})
    print(f"{arguments.out}: {arguments.out.stat().st_size:,} bytes")
    trained = load_repeater(path=arguments.out)
    print(f"repeated words guessed: {share_repeated(trained):.1%}")
    for (layer, head), score in head_scores(trained).items():
        print(f"layer {layer} head {head}: previous token {score.previous:.2f}, after the same word {score.after:.2f}")


if __name__ == "__main__":
    main()
