"""The loss of a packed row, document by document."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from attention_grading.reference import attend
from attention_lab import get_variant
from attention_lab.models.causal import load_repeater
from attention_lab.models.packed_loss import IGNORED, losses

TEXTS = ("red fox saw small bird", "king slept", "red fox saw small tree")
VARIANT = get_variant("packed_positions")


def attention(**arguments):
    return attend(VARIANT, arguments).to(arguments["q"].dtype)


@pytest.fixture(scope="module")
def model():
    return load_repeater()


def packed(model):
    documents = [torch.tensor(model.ids(text)) for text in TEXTS]
    positions = [torch.arange(len(ids)) for ids in documents]
    labels = [torch.tensor([IGNORED, *ids[1:].tolist()]) for ids in documents]
    return [torch.cat(parts) for parts in (documents, positions, labels)]


def test_each_document_s_loss_is_that_of_its_text_alone(model):
    of_documents, row = losses(model, *packed(model), attention)
    alone = [-model.chances(text).log() for text in TEXTS]
    assert of_documents == pytest.approx([float(each.mean()) for each in alone], abs=0.02)
    assert row == pytest.approx(float(torch.cat(alone).mean()), abs=0.02)


def test_what_is_not_to_be_guessed_does_not_count(model):
    input_ids, position_ids, labels = packed(model)
    fewer = labels.clone()
    fewer[2] = IGNORED
    (first, *others), _ = losses(model, input_ids, position_ids, fewer, attention)
    right = losses(model, input_ids, position_ids, labels, attention)[0]
    assert first != right[0]
    assert others == right[1:]
    assert F.cross_entropy(torch.zeros(1, 2), torch.tensor([IGNORED]), reduction="none") == 0


def test_a_missed_border_lets_a_document_copy_from_another(model):
    def without_borders(position_ids, **others):
        return attention(**others, position_ids=torch.arange(len(position_ids)))

    row = packed(model)
    kept, leaking = (losses(model, *row, function)[0] for function in (attention, without_borders))
    assert leaking[0] == kept[0]
    assert leaking[2] < kept[2] / 2
