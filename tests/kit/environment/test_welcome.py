"""A notebook's first words: the device, the flash route, and what is too old."""

from __future__ import annotations

import pytest
import torch

from attention_lab.environment import packages
from attention_lab.environment.welcome import welcome
from attention_lab.variants import VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_welcome_gives_the_device_and_the_flash_route_where_it_matters(name, capsys):
    assert welcome(name) == ("cuda" if torch.cuda.is_available() else "cpu")
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__}" in printed
    assert ("Flash route: " in printed) == VARIANTS[name].packed
    assert printed.endswith("All that this notebook needs is here.\n")


def test_welcome_says_what_to_do_about_an_old_package(monkeypatch, capsys):
    monkeypatch.setattr(packages, "version_of", lambda name: "3.5.1" if name == "matplotlib" else "99.0")
    welcome("eager_causal")
    printed = capsys.readouterr().out
    assert "matplotlib 3.5.1 is older than 3.10" in printed
    assert "--upgrade" in printed
    assert "All that this notebook needs is here." not in printed
