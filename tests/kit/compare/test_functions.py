"""Learners' functions loaded from their notebooks and held against each other."""

from __future__ import annotations

import torch

from attention_lab.checks.calls import perform_on
from attention_lab.compare import functions as compare_functions
from attention_lab.compare import measure
from attention_lab.variants import VARIANTS
from support.places import ROOT
from support.releases import RIGHT


def test_notebooks_are_found_in_folders_of_their_own_and_side_by_side(releases):
    places = releases(**RIGHT)
    assert list(compare_functions.load_functions(places).functions) == list(VARIANTS)
    stem = VARIANTS["flash_causal"].stem
    (places / stem / f"{stem}.ipynb").rename(places / f"{stem}.ipynb")
    assert "flash_causal" in compare_functions.load_functions(places).functions
    (places / f"{stem}.ipynb").unlink()
    assert compare_functions.load_functions(places).left_out == {"flash_causal": f"{stem}.ipynb is not in {places}"}


def test_paired_batches_hold_the_same_numbers():
    padded, packed = compare_functions.paired_batches((2, 5, 0, 3))
    assert torch.equal(padded.q[padded.mask], packed.q.float())
    assert packed.cu_seqlens.tolist() == [0, 2, 7, 7, 10]
    assert (packed.max_seqlen, padded.seq) == (5, 5)


def test_a_function_that_differs_by_more_than_rounding_is_named(releases):
    functions = dict(compare_functions.load_functions(releases(**RIGHT)).functions)
    assert "All of it is rounding" in compare_functions.agreement(functions)
    right = functions["sdpa_causal"]
    functions["sdpa_causal"] = lambda **arguments: 1.001 * right(**arguments)
    words = compare_functions.agreement(functions)
    assert words.endswith("Run their notebooks' checks.")
    assert "More than rounding: eager_causal and sdpa_causal" in words
    functions["sdpa_causal"] = lambda **arguments: torch.full_like(arguments["q"], torch.nan)
    assert "eager_causal and sdpa_causal; sdpa_causal and flash_causal" in compare_functions.agreement(functions)


def test_lesson_l1_gives_flash_functions_their_inputs_where_the_kernel_runs(monkeypatch, capsys):
    asked = []

    def perform_elsewhere(device, function, call):
        asked.append(device)
        return perform_on("cpu", function, call)

    for module in (compare_functions, measure):
        monkeypatch.setattr(module, "checked_on", lambda variant: "cuda" if variant.kernel == "flash" else "cpu")
    monkeypatch.setattr(compare_functions, "perform_on", perform_elsewhere)
    loaded = compare_functions.load_functions(ROOT / "source")
    of_flash = [variant.kernel == "flash" for variant in VARIANTS.values()]
    assert list(loaded.functions) == list(VARIANTS)
    assert asked == ["cuda" if each else "cpu" for each in of_flash]
    costs = measure.measure(loaded.functions, "cpu", lengths=(8,))
    assert set(costs) == {name for name in loaded.functions if VARIANTS[name].kernel != "flash"}
    assert capsys.readouterr().out.count("its kernel runs on the GPU alone") == sum(of_flash)
