"""A notebook's first words: the device, the flash route, and what is too old."""

from __future__ import annotations

import pytest
import torch

import attention_lab
from attention_lab import flex
from attention_lab.environment import packages
from attention_lab.environment.welcome import welcome
from attention_lab.variants import VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_welcome_gives_the_device_and_the_flash_route_where_it_matters(name, capsys):
    assert welcome(name) == ("cuda" if torch.cuda.is_available() else "cpu")
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__}" in printed
    assert ("Flash route: " in printed) == (VARIANTS[name].kernel == "flash")
    assert ("flex_attention runs uncompiled here" in printed) == (VARIANTS[name].kernel == "flex")
    assert printed.endswith("All that this notebook needs is here.\n")


@pytest.mark.parametrize(
    ("package", "old", "oldest"), [("torch", "2.9.1+cpu", "2.10"), ("matplotlib", "3.5.1", "3.10")]
)
def test_old_package_is_refused_with_what_to_do(package, old, oldest, monkeypatch, capsys):
    monkeypatch.setattr(packages, "version_of", lambda name: old if name == package else "99.0")
    packages.require.cache_clear()
    with pytest.raises(packages.MissingPackage) as refused:
        welcome("eager_causal")
    problem, remedy = refused.value._render_traceback_()
    assert problem.startswith(f"{package} {old} is older than {oldest}")
    assert f'--upgrade "{package}>={oldest}"' in remedy
    assert remedy.endswith("Then restart the kernel and run the cell again.")
    assert capsys.readouterr().out == ""


def test_old_torch_is_refused_where_no_welcome_is_said(monkeypatch):
    monkeypatch.setattr(packages, "version_of", lambda name: "2.9.1" if name == "torch" else "99.0")
    packages.require.cache_clear()
    with pytest.raises(packages.MissingPackage, match=r"torch 2\.9\.1 is older than 2\.10"):
        attention_lab.check  # noqa: B018


@pytest.mark.parametrize("version", ["2.10.0", "2.10.0+cu128", "2.15.0a0+git1234", "3.0"])
def test_newer_torch_is_allowed_without_a_word(version, monkeypatch, capsys):
    monkeypatch.setattr(packages, "version_of", lambda name: version if name == "torch" else "99.0")
    packages.require.cache_clear()
    welcome("eager_causal")
    assert "torch" not in capsys.readouterr().out.partition("\n")[2]


def test_where_there_is_no_flex_attention_one_sentence_says_so(monkeypatch, capsys):
    monkeypatch.setattr(flex, "_flex", None)
    flex.forward_alone.cache_clear()
    try:
        welcome("flex_document")
    finally:
        flex.forward_alone.cache_clear()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert printed[1].startswith(f"This PyTorch ({torch.__version__}) has no flex_attention: ")
