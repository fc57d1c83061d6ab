"""The numbers in the folded answers of "Predict, then change": made by the change that the question asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lab import attention_map, cached_batch, flex, packed_batch, padded_batch, real_batch
from attention_lab.flash import flash_attn_varlen_func
from attention_lab.inputs import count_positions
from attention_lab.maps.heatmaps import attention_leaks, caption, mask_heatmap
from attention_lab.maps.key_heads import key_head_cells, key_head_shares
from attention_lab.maps.masks import masked_cells
from attention_lab.notebook.learner_cells import SOLUTION_ID
from attention_lab.pictures import block_sparsity
from attention_lab.roles import by_role
from attention_lab.rules import Reason, distance, visible_keys
from corpus.answer import changed as spoilt
from support.cells import cells_of
from support.places import MASTERS

Function = Callable[..., Tensor]
SENTENCES = [line.split() for line in ("Go home", "The cat sat on the mat", "Yes", "Dogs bark at night")]


def answer(number: str, question: int) -> str:
    (stem,) = (stem for stem in MASTERS if stem.startswith(number))
    answers = cells_of(MASTERS[stem])["wrap-up"].source.split("<summary>Answers</summary>")[1]
    (text,) = re.findall(rf"^{question}\. (.*)$", answers, re.M)
    return text


def solution(number: str, *changes: tuple[str, str]) -> Function:
    """The instructor's solution, with texts in it replaced."""
    (stem,) = (stem for stem in MASTERS if stem.startswith(number))
    scope: dict[str, Any] = {"torch": torch, "F": F, "math": math, "flash_attn_varlen_func": flash_attn_varlen_func}
    scope |= {"create_block_mask": flex.create_block_mask, "flex_attention": flex.flex_attention}
    exec(spoilt(cells_of(MASTERS[stem])[SOLUTION_ID].source, changes), scope)
    return scope[f"{stem[3:]}_attention"]


def changed(function: Function, **change: Callable[[dict[str, Any]], Any]) -> Function:
    """The function, given other arguments than it was called with."""

    def with_changes(**arguments: Any) -> Tensor:
        return function(**arguments | {name: how(arguments) for name, how in change.items()})

    return with_changes


def leaking_cells(variant: str, function: Function, batch: Any, item: int | None = None) -> list[tuple[int, int, int]]:
    leaks = attention_leaks(variant, batch, attention_map(function, batch), item=item)
    return [(leak.head, leak.query, leak.key) for leak in leaks]


def flipped(batch: Any) -> dict[str, Any]:
    arguments = batch.arguments()
    return arguments | {name: arguments[name].flip(1) for name in ("q", "k", "v", "mask")}


def test_01_without_the_scale_the_largest_weights_grow():
    batch, function = padded_batch(), solution("01")
    unscaled = changed(function, q=lambda given: given["q"] * math.sqrt(batch.head_dim))
    before, after = (attention_map(f, batch)[0].amax(-1).mean().item() for f in (function, unscaled))
    assert f"from {before:.2f} to {after:.2f}" in answer("01", 1)
    assert f"√{batch.head_dim} ≈ {math.sqrt(batch.head_dim):.1f}" in answer("01", 1)


def test_01_reversed_tokens_give_the_reversed_output_and_02_do_not():
    batch = padded_batch()
    off = {
        number: (solution(number)(**batch.arguments()) - solution(number)(**flipped(batch)).flip(1))[batch.mask]
        for number in ("01", "02")
    }
    assert off["01"].abs().max() < 1e-5
    assert off["02"].abs().max() > 1
    assert answer("01", 2).startswith("It comes out reversed, otherwise the same")
    assert answer("02", 2).startswith("The numbers differ")


def test_02_and_04_an_ignored_mask_shows_with_padding_on_the_left_alone():
    for number, variant in (("02", "eager_causal"), ("04", "sdpa_causal")):
        ignoring = changed(solution(number), mask=lambda given: None)
        on_the_right = padded_batch(padding="right")
        assert leaking_cells(variant, ignoring, on_the_right) == []
        same = (ignoring(**on_the_right.arguments()) - solution(number)(**on_the_right.arguments())).abs()
        assert same[on_the_right.mask].max() < 1e-5
        on_the_left = padded_batch(padding="left")
        other = (ignoring(**on_the_left.arguments()) - solution(number)(**on_the_left.arguments())).abs().amax(
            -1
        ) > 1e-3
        assert (other & on_the_left.mask).sum(1).tolist() == [0, 4]
        cells = leaking_cells(variant, ignoring, on_the_left, item=1)
        assert {key for _, _, key in cells} == {0, 1}
        if number == "04":
            assert f"{len(cells) // on_the_left.num_heads} cells per head" in answer("04", 1)
    assert answer("02", 1).startswith("On the left, all four of the padded sentence. On the right, none")


def test_03_an_inverted_mask_gives_all_weight_to_the_padding():
    batch = padded_batch()
    inverted = changed(solution("03"), mask=lambda given: ~given["mask"])
    assert {key for _, _, key in leaking_cells("sdpa_bidirectional", inverted, batch, item=1)} == {4, 5}
    weights = attention_map(inverted, batch)[1]
    torch.testing.assert_close(weights[..., 4:].sum(-1), torch.ones_like(weights[..., 0]))
    assert answer("03", 1).startswith("Both padding columns")


def test_03_and_04_differ_from_eager_by_rounding_of_the_stated_size():
    for fused, eager, padding in (("03", "01", "right"), ("04", "02", "left")):
        for dtype, low, high in ((torch.float32, 5e-8, 1e-6), (torch.bfloat16, 5e-3, 3e-2)):
            batch = padded_batch(padding=padding, dtype=dtype)
            outputs = [solution(number)(**batch.arguments())[batch.mask].float() for number in (fused, eager)]
            assert low <= (outputs[0] - outputs[1]).abs().max() <= high
        assert answer(fused, 2).startswith("By some 1e-7 in fp32, and by about 0.01 in bf16")


# Notebook 08's toy inputs
SHARED = {"num_heads": 6, "num_kv_heads": 3, "head_dim": 8, "padding": "left"}


def toy_08(**sizes: Any) -> Any:
    lines = ("Cats sleep on warm mats", "Dogs bark loudly")
    return padded_batch([line.split() for line in lines], **SHARED | sizes)


def test_08_copies_in_turn_are_framed_at_some_heads_and_show_in_neither_mha_nor_mqa():
    def in_turn(k: Tensor, num_heads: int, num_kv_heads: int, head_dim: int) -> Tensor:
        return k.unflatten(-1, (num_kv_heads, head_dim)).repeat(1, 1, num_heads // num_kv_heads, 1).flatten(-2)

    def wrong(k: Tensor, v: Tensor, num_heads: int, num_kv_heads: int, head_dim: int, **others: Any) -> Tensor:
        k, v = (in_turn(x, num_heads, num_kv_heads, head_dim) for x in (k, v))
        return solution("08")(k=k, v=v, num_heads=num_heads, num_kv_heads=num_heads, head_dim=head_dim, **others)

    framed, read = {}, {}
    for shared in (3, 1, 6):
        batch = toy_08(num_kv_heads=shared)
        moved = torch.stack(key_head_shares(wrong, batch)) > 0.5
        astray = (moved & (key_head_cells(batch) != Reason.VISIBLE)).any(0)
        framed[shared] = astray.any(1).nonzero().flatten().tolist()
        read[shared] = moved[0].int().argmax(1).tolist()
    assert framed[1] == framed[6] == []
    stated = [int(number) for number in re.findall(r"\d+", answer("08", 1).partition(". With")[0])]
    assert stated == [*framed[3], *(read[3][head] for head in framed[3])]


def test_08_gradients_of_shared_values_add_up_to_the_same():
    for shared in (3, 1):
        batch = toy_08(num_kv_heads=shared)
        v = batch.v.requires_grad_()
        output = solution("08")(**batch.arguments() | {"mask": None})
        output.sum().backward()
        assert f"To {output.numel()} both times" in answer("08", 2)
        torch.testing.assert_close(v.grad.sum(), torch.tensor(float(output.numel())))


def test_08_says_how_large_a_cache_is(capsys):
    (stem,) = (stem for stem in MASTERS if stem.startswith("08"))
    cells = cells_of(MASTERS[stem])
    exec(cells["cache-bytes"].source, {})
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Llama 3 8B"))
    shared, own = re.findall(r"(\d+\.\d) GB", line)
    assert f"A quarter: {shared} GB instead of {own}." in cells["cache-text"].source
    assert float(own) == pytest.approx(4 * float(shared), abs=0.2)


def test_05_without_borders_so_many_cells_leak():
    batch = packed_batch(SENTENCES)
    tokens = len(batch.q)
    borders = changed(
        solution("05"),
        cu_seqlens=lambda given: torch.tensor([0, tokens], dtype=torch.int32),
        max_seqlen=lambda given: tokens,
    )
    cells = leaking_cells("flash_bidirectional", borders, batch)
    blocks = [len(sentence) ** 2 for sentence in SENTENCES]
    stated = [int(number) for number in re.findall(r"\d+", answer("05", 1))]
    assert stated == [len(cells) // batch.num_heads, tokens**2, *blocks]


def test_05_says_how_much_padding_wastes():
    lengths = [len(sentence) for sentence in SENTENCES]
    (stem,) = (stem for stem in MASTERS if stem.startswith("05"))
    rows, scores = len(lengths) * max(lengths), len(lengths) * max(lengths) ** 2
    no_rows, no_scores = rows - sum(lengths), scores - sum(length**2 for length in lengths)
    said = (
        f"{no_rows} of the {rows} rows are wasted ({no_rows / rows:.0%}), "
        f"and {no_scores} of the {scores} scores ({no_scores / scores:.0%})"
    )
    assert said in cells_of(MASTERS[stem])["idea"].source


def test_06_without_causality_so_many_cells_leak():
    batch = packed_batch(SENTENCES)
    cells = leaking_cells("flash_causal", solution("05"), batch)
    above = [len(sentence) * (len(sentence) - 1) // 2 for sentence in SENTENCES]
    stated = [int(number) for number in re.findall(r"\d+", answer("06", 1))]
    assert stated == [len(cells) // batch.num_heads, *above]


def test_06_a_longest_length_that_is_too_large_changes_nothing_and_one_too_small_is_refused():
    batch = packed_batch(SENTENCES)
    arguments = batch.arguments()
    outputs = [solution("06")(**arguments | {"max_seqlen": length}) for length in (6, 100)]
    assert torch.equal(*outputs)
    with pytest.raises(ValueError, match="the longest sequence has 6 tokens"):
        solution("06")(**arguments | {"max_seqlen": 3})
    assert answer("06", 2).startswith("With 3, the stand-in raises an error")


def windowed() -> Any:
    """Notebook 09's toy inputs, made by its own cell."""
    (stem,) = (stem for stem in MASTERS if stem.startswith("09"))
    scope: dict[str, Any] = {"packed_batch": packed_batch, "device": "cpu"}
    exec(cells_of(MASTERS[stem])["toy-inputs"].source, scope)
    return scope["batch"]


def test_09_a_window_of_one_more_leaks_so_many_cells():
    batch = windowed()
    wider = changed(solution("09"), window=lambda given: given["window"] + 1)
    cells = leaking_cells("window_causal", wider, batch)
    in_sentence = [sum(start <= query < end for _, query, _ in cells) // batch.num_heads for start, end in ends(batch)]
    stated = [int(number) for number in re.findall(r"\d+", answer("09", 1))]
    assert stated == [len(cells) // batch.num_heads, *(number for number in in_sentence if number)]


def test_09_a_window_that_is_open_on_the_right_leaks_so_many_cells():
    batch = windowed()

    def open_on_the_right(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen, window):
        heads = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
        borders = (cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
        return flash_attn_varlen_func(*heads, *borders, window_size=(window - 1, -1)).flatten(1)

    cells = leaking_cells("window_causal", open_on_the_right, batch)
    above = [length * (length - 1) // 2 for length in batch.lengths]
    stated = [int(number) for number in re.findall(r"\d+", answer("09", 2))]
    assert stated == [len(cells) // batch.num_heads, *above]


def test_09_a_left_side_of_minus_one_shows_all_of_the_past():
    batch = windowed()
    smaller = changed(solution("09"), window=lambda given: given["window"] - 1)
    one, all_of_it = batch.arguments() | {"window": 1}, {**batch.arguments()}
    del all_of_it["window"]
    torch.testing.assert_close(smaller(**one), solution("06")(**all_of_it))
    assert answer("09", 3).startswith("All of its past")


def test_09_a_window_of_four_takes_from_trained_heads_what_they_look_at():
    looks = {}
    for window in (5, 4):
        batch = real_batch("window_causal", window=window)
        looks[window] = caption("window_causal", batch, attention_map(solution("09"), batch))
    assert real_batch("window_causal").options == {"window": 5}
    for head in (1, 2):
        assert re.search(rf"Head {head} puts [\d.]+ of its weight on what followed the same word earlier", looks[5])
        (weight,) = re.findall(rf"Head {head} puts ([\d.]+) of its weight on each token itself", looks[4])
        assert 0.5 < float(weight) < 0.7
    assert "four tokens back" in answer("09", 4)
    assert "more than half of their weight stays on each token itself" in answer("09", 4)


def test_09_counts_what_is_too_far_back_and_what_a_window_saves():
    cells, batch = cells_of(next(path for stem, path in MASTERS.items() if stem.startswith("09"))), windowed()
    start, end = ends(batch)[1]
    too_far = (masked_cells("window_causal", batch)[start:end] == Reason.WINDOW).sum(1)
    stated = [
        int(number) for number in re.findall(r"\d+", cells["mask-picture-text"].source.split("Answer</summary>")[1])
    ]
    assert stated == [int(too_far.sum()), *too_far[too_far > 0].tolist()]
    seq, window = 2**16, 1024

    def pairs(seq: int, window: int) -> int:
        return sum(min(place + 1, window) for place in range(seq))

    growth = [round(pairs(4 * seq, size(4 * seq)) / pairs(seq, size(seq))) for size in (int, lambda _: window)]
    folded = cells["saving-text"].source.split("Answer</summary>")[1]
    assert [int(number) for number in re.findall(r"\d+", folded)] == growth


def ends(batch: Any) -> list[tuple[int, int]]:
    """Where each sequence of a packed batch begins and ends."""
    return list(pairwise(batch.cu_seqlens.tolist()))


def folded(number: str, cell: str) -> str:
    """The answer below a question in the notebook's text."""
    (stem,) = (stem for stem in MASTERS if stem.startswith(number))
    return cells_of(MASTERS[stem])[cell].source.split("<summary>Answer</summary>")[1]


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def test_10_new_tokens_stand_where_the_text_says():
    arguments = by_role(cached_batch((tuple("abcdef"),), new=3, max_len=8).arguments())
    stand = distance(arguments)[0, :, 0]
    seen = visible_keys(("causal", "unused"), arguments)[0].sum(-1)
    assert numbers(folded("10", "idea-detail")) == [*stand.tolist(), *seen.tolist()]
    does = F.scaled_dot_product_attention(torch.zeros(3, 8), torch.zeros(8, 8), torch.eye(8), is_causal=True)
    assert numbers(folded("10", "alignment-text"))[:3] == does[-1].nonzero().flatten().tolist()


def test_10_so_many_cells_are_blue():
    caption = mask_heatmap("cached_decode", cached_batch()).caption
    blue = re.findall(r"(\d+) of \d+ \(item", caption)
    assert numbers(folded("10", "mask-picture-text")) == [int(number) for number in blue]


def test_10_is_causal_hides_too_much_and_shows_nothing_wrong_and_a_prefill_stays_right():
    batch = cached_batch()
    function = solution("10", ("attn_mask=allowed[:, None]", "is_causal=True"))
    assert leaking_cells("cached_decode", function, batch) == []
    alike = torch.isclose(function(**batch.arguments()), solution("10")(**batch.arguments()), atol=1e-5)
    assert [bool(item.all()) for item in alike] == [False, True]
    assert answer("10", 1).startswith("None: ")
    assert "The second: all its tokens are new" in answer("10", 1)


def test_10_nan_in_an_unused_place_spoils_its_whole_sentence():
    batch = cached_batch()
    batch.v_cache[1, 4:] = math.nan
    output = solution("10", ("v_cache.masked_fill(unused, 0.0)", "v_cache"))(**batch.arguments())
    assert output[1].isnan().all()
    assert output[0].isfinite().all()
    assert numbers(answer("10", 2))[0] == int(output.isnan().sum())
    assert solution("10")(**batch.arguments()).isfinite().all()


def test_10_the_cached_model_computes_the_text_once_and_then_one_token_a_step():
    assert folded("10", "generate-text").split() == ["All", "7", "of", "the", "text;", "then", "one.", "</details>"]
    (stem,) = (stem for stem in MASTERS if stem.startswith("10"))
    text = re.search(r'model\.ids\("([^"]+)"\)', cells_of(MASTERS[stem])["generate"].source)[1]
    assert len(text.split()) == 7


def positions_batch() -> Any:
    return packed_batch(SENTENCES, inputs="positions", starts=(0, 0, 0, 2))


def told(number: str, cell: str) -> str:
    (stem,) = (stem for stem in MASTERS if stem.startswith(number))
    return cells_of(MASTERS[stem])[cell].source


def test_11_on_the_same_tokens_gives_what_06_gives():
    batch, of_06 = positions_batch(), packed_batch(SENTENCES)
    assert torch.equal(solution("11")(**batch.arguments()), solution("06")(**of_06.arguments()))


def test_11_so_many_cells_are_blue():
    triangles = [len(sentence) * (len(sentence) + 1) // 2 for sentence in SENTENCES]
    blue = int((masked_cells("packed_positions", positions_batch()) == Reason.VISIBLE).sum())
    stated = [int(number) for number in re.findall(r"\d+", told("11", "mask-picture-text").split("Answer")[1])]
    assert stated == [blue, *triangles] == [sum(triangles), *triangles]


def test_11_who_looks_for_zeros_alone_lets_so_many_cells_leak():
    batch = positions_batch()
    lengths = [len(sentence) for sentence in SENTENCES]
    # without the border before the last sentence, which starts at 2
    merged = changed(solution("11"), position_ids=lambda given: count_positions([*lengths[:2], sum(lengths[2:])]))
    cells = leaking_cells("packed_positions", merged, batch)
    assert {key for _, _, key in cells} == {sum(lengths[:2])}
    assert answer("11", 1).startswith(f"{len(cells) // batch.num_heads}: each token of the last sentence sees *Yes*")


def test_11_a_document_that_starts_where_the_one_before_ends_has_no_border():
    with pytest.raises(ValueError, match="by their positions they are one"):
        packed_batch(SENTENCES, inputs="positions", starts=(0, 0, 0, 1))
    last = list(range(len(SENTENCES[2]) + len(SENTENCES[3])))
    assert ", ".join(map(str, last)) + f", those of one document with {len(last)} tokens" in answer("11", 2)


def test_11_as_many_tokens_as_the_row_has_are_long_enough():
    batch = packed_batch(SENTENCES)
    arguments = batch.arguments()
    assert torch.equal(solution("06")(**arguments), solution("06")(**arguments | {"max_seqlen": len(batch.q)}))
    assert answer("11", 3).startswith("No number")


def test_11_a_loss_falls_where_borders_are_missed(capsys):
    scope: dict[str, Any] = {"torch": torch, "F": F, "device": "cpu", "packed_positions_attention": solution("11")}
    for cell in ("row", "leak"):
        exec(told("11", cell), scope)
    numbers = [
        [float(number) for number in re.findall(r"\d+\.\d+", line)] for line in capsys.readouterr().out.split("\n")
    ]
    (*_, last, row), (*_, last_leaking, row_leaking) = (found for found in numbers if found)
    assert f"from {last} to {last_leaking}: it copies" in told("11", "leak-text")
    assert f"from {row} to {row_leaking}." in told("11", "leak-text")


def documents_batch(window: int | None = 3) -> Any:
    return packed_batch(SENTENCES, inputs="documents", dtype=torch.float32, window=window)


def test_12_the_small_mask_functions_see_so_many_keys():
    causal = torch.ones(4, 4).tril()
    assert numbers(folded("12", "idea-detail").split("</details>")[0]) == [
        int(causal.sum()),
        int((torch.eye(4).bool() | (torch.arange(4) == 0)).sum()),
    ]


def test_12_the_window_takes_keys_from_so_many_rows():
    why = masked_cells("flex_document", documents_batch())
    rows = (why == Reason.WINDOW).any(-1)
    assert numbers(folded("12", "mask-picture-text").split("</details>")[0]) == [int(rows.sum())]
    assert rows.nonzero().flatten().tolist() == [5, 6, 7, 12]  # the second sentence's last three, the fourth's last


def test_12_with_places_swapped_the_maps_show_the_upper_triangle():
    swapped = attention_map(solution("12", ("(b, h, q_idx, kv_idx)", "(b, h, kv_idx, q_idx)")), documents_batch())
    assert torch.equal(swapped[0] > 0, (attention_map(solution("12"), documents_batch())[0] > 0).T)
    assert answer("12", 1).startswith("The upper one")


def test_12_labels_compared_by_size_leak_where_the_earlier_one_is_smaller():
    batch = documents_batch()
    sequence = torch.repeat_interleave(torch.arange(4), torch.tensor([len(sentence) for sentence in SENTENCES]))
    assert f"{', '.join(map(str, batch.ids['document_ids'].unique_consecutive().tolist()[:3]))} and 60" in told(
        "12", "wrap-up"
    )
    cells = leaking_cells(
        "flex_document", solution("12", ("document_ids[q_idx] == ", "document_ids[q_idx] >= ")), batch
    )
    assert {(int(sequence[query]), int(sequence[key])) for _, query, key in cells} == {(1, 0), (3, 1), (3, 2)}
    assert answer("12", 2).startswith("The second and the fourth read those before them")


def test_12_says_how_many_blocks_are_computed():
    blocks = torch.ones(8, 8).tril()
    counted = [
        int(number) for number in re.findall(r"of 64 blocks (\d+) are computed", block_sparsity(solution("12")).caption)
    ]
    assert numbers(folded("12", "blocks-text").split("</details>")[0]) == [
        int(blocks.sum()),
        int(blocks.tril(-1).sum()),
        *counted,
    ]
