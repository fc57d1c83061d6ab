"""The attention weights of any function, from its outputs alone."""

from __future__ import annotations

import pytest
import torch

from attention_grading.reference import attend
from attention_lab import attention_map, get_variant, packed_batch, padded_batch
from attention_lab.variants import VARIANTS
from support.answers import right


@pytest.mark.parametrize("name", VARIANTS)
def test_attention_map_gives_the_weights_back(name):
    variant = get_variant(name)
    batch = packed_batch(inputs=variant.inputs) if variant.packed else padded_batch(padding="left")
    weights = attention_map(right(name), batch)
    tokens = batch.q.shape[-2]
    assert weights.shape[-3:] == (batch.num_heads, tokens, tokens)
    # the weights, applied to the true values, give the output
    values = batch.v.float().unflatten(-1, (batch.num_heads, batch.head_dim)).transpose(-3, -2)
    output = (weights @ values).transpose(-3, -2).flatten(-2)
    torch.testing.assert_close(output, attend(variant, batch.arguments()).float(), atol=2e-2, rtol=2e-2)


def test_attention_map_names_a_wrong_shape():
    with pytest.raises(ValueError, match="your function returned"):
        attention_map(lambda **arguments: arguments["q"][0], padded_batch())
