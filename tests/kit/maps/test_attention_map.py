"""The attention weights of any function, from its outputs alone."""

from __future__ import annotations

import pytest
import torch

from attention_grading.reference import attend, heads_of
from attention_lab import attention_map, get_variant, padded_batch
from attention_lab.roles import by_role
from attention_lab.variants import VARIANTS
from support.answers import right
from support.batches import small_batch


@pytest.mark.parametrize("name", VARIANTS)
def test_attention_map_gives_the_weights_back(name):
    variant = get_variant(name)
    batch = small_batch(name)
    weights, arguments = attention_map(right(name), batch), by_role(batch.arguments())
    assert weights.shape[-3:] == (batch.num_heads, batch.q.shape[-2], arguments["k"].shape[-2])
    # the weights, applied to the true values, give the output
    values = heads_of(arguments["v"].float(), batch.num_heads, batch.head_dim)
    output = (weights @ values).transpose(-3, -2).flatten(-2)
    torch.testing.assert_close(output, attend(variant, arguments).float(), atol=2e-2, rtol=2e-2)


def test_attention_map_names_a_wrong_shape():
    with pytest.raises(ValueError, match="your function returned"):
        attention_map(lambda **arguments: arguments["q"][0], padded_batch())
