"""Maps of a sliding window over packed sequences: each masked cell has its reason, and a leak is called what it is."""

from __future__ import annotations

from attention_lab import attention_heatmap, attention_map, mask_heatmap, packed_batch
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in
from attention_lab.maps.masks import masked_cells
from attention_lab.rules import Reason

NAME, WINDOW = "window_causal", 3
BATCH = packed_batch([["a"], [*"bcdefg"], ["h"], [*"ijklm"]], num_heads=2, window=WINDOW)


def windowed(left, right):
    """A function whose window reaches so far, whatever is asked."""

    def function(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen, window):
        heads = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
        borders = (cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
        return flash_attn_varlen_stand_in(*heads, *borders, window_size=(left, right)).flatten(1)

    return function


def words(left, right):
    return attention_heatmap(NAME, BATCH, attention_map(windowed(left, right), BATCH)).caption


def reason_of(query, key):
    """Another sequence first of all, whether the key comes later or lies far back; then the other two."""
    sequence = [number for number, length in enumerate(BATCH.lengths) for _ in range(length)]
    if sequence[query] != sequence[key]:
        return Reason.OTHER_SEQUENCE
    if key > query:
        return Reason.CAUSAL
    return Reason.WINDOW if query - key >= WINDOW else Reason.VISIBLE


def test_every_cell_has_the_reason_that_counts():
    tokens = range(BATCH.total_tokens)
    expected = [[int(reason_of(query, key)) for key in tokens] for query in tokens]
    assert masked_cells(NAME, BATCH).tolist() == expected


def test_each_reason_has_a_hatch_and_words_in_the_legend():
    legend = [text.get_text() for text in mask_heatmap(NAME, BATCH).legends[0].get_texts()]
    assert sorted(legend) == [
        "causal: the key comes later",
        "the key is in another sequence",
        "window: the key is too far back",
    ]


def test_a_leak_is_named_by_its_reason():
    assert "No weight falls on a masked key." in words(WINDOW - 1, 0)
    assert "which lies outside the window" in words(WINDOW, 0)
    assert "on the later token" in words(WINDOW - 1, 1)
