"""A model run with learners' functions: who fits, who agrees, and what is said of who does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from attention_grading.reference import attend
from attention_lab import VARIANTS
from attention_lab.models.agreement import choose, fitting, run_inside, without_mask
from attention_lab.models.causal import load_repeater
from attention_lab.models.extra import PACKAGES
from support.places import ROOT

TEXTS = ("a quiet owl saw the fox . a quiet owl saw the", "king and queen sang . king and")
CAUSAL = [name for name, variant in VARIANTS.items() if variant.causal and not variant.options]


def function(name, without=""):
    variant = VARIANTS[name]
    variant = replace(variant, rules=tuple(rule for rule in variant.rules if rule != without))
    return lambda **arguments: attend(variant, arguments).to(arguments["q"].dtype)


FUNCTIONS = {name: function(name) for name in VARIANTS}


@pytest.fixture(scope="module")
def model():
    return load_repeater()


def test_functions_of_one_direction_fit():
    assert fitting(FUNCTIONS, causal=True)[:3] == ["eager_causal", "sdpa_causal", "flash_causal"]
    assert {*fitting(FUNCTIONS, causal=False)}.isdisjoint(fitting(FUNCTIONS, causal=True))


def test_right_functions_agree_with_pytorchs_own_layer(model):
    inside = run_inside(model, TEXTS, FUNCTIONS)
    assert list(inside.outputs) == CAUSAL
    assert all(inside.agrees(name) for name in CAUSAL)
    assert str(inside).count("the same but for rounding") == len(CAUSAL)


@pytest.mark.parametrize("name", CAUSAL)
def test_functions_without_causality_do_not_agree(model, name):
    inside = run_inside(model, TEXTS, {name: function(name, without="causal")})
    assert not inside.agrees(name)
    assert "NOT the same: run its notebook's checks" in str(inside)


def test_a_function_that_forgets_the_scale_does_not_agree(model):
    def unscaled(q, head_dim, **others):
        return FUNCTIONS["eager_causal"](q=q * math.sqrt(head_dim), head_dim=head_dim, **others)

    assert not run_inside(model, TEXTS, {"eager_causal": unscaled}).agrees("eager_causal")


def test_nan_never_agrees(model):
    inside = run_inside(model, TEXTS, {"eager_causal": lambda q, **_: q * torch.nan})
    assert not inside.agrees("eager_causal")


def test_a_function_that_stops_is_named_and_stops_nobody(model):
    def broken(q, k, v, num_heads, head_dim, mask=None):
        raise RuntimeError("shapes do not match")

    text = str(run_inside(model, TEXTS, {**FUNCTIONS, "eager_causal": broken}))
    assert "eager_causal         stops: RuntimeError: shapes do not match" in text
    assert text.count("the same but for rounding") == len(CAUSAL) - 1


def test_without_any_function_the_table_says_what_to_finish(model):
    assert "finish notebook 02, 04 or 06" in str(run_inside(model, TEXTS, {}))


def test_the_first_fitting_function_is_chosen_or_pytorchs_layer():
    assert choose(FUNCTIONS, causal=True)[::2] == ("eager causal", False)
    assert choose({"flash_causal": FUNCTIONS["flash_causal"]}, causal=True)[::2] == ("flash causal", True)
    later = {name: FUNCTIONS[name] for name, variant in VARIANTS.items() if variant.part > 1}
    assert choose(later, causal=True).function is None  # they take arguments that the lesson does not give them
    assert choose({}, causal=True) == ("PyTorch's own layer", None, False)


def test_a_forgotten_mask_lets_padding_and_neighbours_in(model):
    for name, batch in (("eager_causal", model.padded(TEXTS)), ("flash_causal", model.packed(TEXTS))):
        chosen = choose({name: FUNCTIONS[name]}, causal=True)
        told, forgot = (batch.real(model(batch, way.function)) for way in (chosen, without_mask(chosen)))
        apart = (told - forgot).abs().amax(dim=-1) > 0.1
        # padding on the right hides nothing from causal queries; the second packed text reads the first
        assert apart.tolist() == [chosen.packed and place >= 12 for place in range(len(apart))]


def test_pytorchs_own_layer_keeps_its_mask():
    with pytest.raises(ValueError, match="finish a function first"):
        without_mask(choose({}, causal=True))


def test_the_named_packages_are_the_extra_s():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert list(PACKAGES) == project["optional-dependencies"]["models"]
