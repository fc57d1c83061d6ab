"""The blocks of a learner's own block mask."""

from __future__ import annotations

import pytest
import torch

from attention_lab.flex import create_block_mask, flex_attention
from attention_lab.notebook.run_cells import names_in_scope
from attention_lab.pictures import block_sparsity
from attention_lab.pictures.blocks import NoBlocks
from corpus import CORPUS


def answer(name: str):
    (source,) = (each.source for each in CORPUS if (each.variant, each.name) == ("flex_document", name))
    scope = names_in_scope()
    exec(source, scope)
    return scope["flex_document_attention"]


def test_the_caption_counts_blocks_without_a_window_and_with_one():
    caption = block_sparsity(answer("closure"), lengths=(256, 128), window=1).caption
    assert caption == (
        "384 tokens in 2 documents of 256, 128. "
        "window=None: of 9 blocks 4 are computed, 1 without the mask function and 3 with it; 5 are skipped, 56%. "
        "window=1: of 9 blocks 3 are computed, 0 without the mask function and 3 with it; 6 are skipped, 67%."
    )


def test_a_window_that_is_ignored_shows():
    caption = block_sparsity(answer("window-ignored"), lengths=(256, 128), window=1).caption
    assert "window=1: of 9 blocks 4 are computed" in caption


def test_smaller_blocks_are_more_blocks():
    assert "of 144 blocks" in block_sparsity(answer("small-blocks"), lengths=(256, 128)).caption


@pytest.mark.parametrize("name", ["no-block-mask", "sdpa"])
def test_without_a_block_mask_there_is_nothing_to_draw(name):
    if name == "sdpa":
        with pytest.raises(NoBlocks, match="handed no block mask to flex_attention"):
            block_sparsity(answer(name), lengths=(6, 4))
    else:  # PyTorch then makes one of a single block
        assert "of 1 blocks" in block_sparsity(answer(name), lengths=(6, 4)).caption


def test_it_runs_where_nobody_called_flex_attention_before():
    x = torch.zeros(1, 1, 2, 8)
    assert flex_attention(x, x, x, block_mask=create_block_mask(lambda b, h, i, j: i >= j, 1, 1, 2, 2, "cpu")).shape
