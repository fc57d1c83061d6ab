"""What is missing or too old, and what is asked for."""

from __future__ import annotations

import re
import tomllib

from attention_lab.environment import packages
from attention_lab.environment.packages import MissingPackage, missing_package
from support.places import ROOT


def test_missing_package_is_an_import_error():
    assert issubclass(MissingPackage, ImportError)
    assert "torchgen is not installed" in str(missing_package("torch", ModuleNotFoundError(name="torchgen.gen")))


def test_oldest_versions_are_those_that_pip_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = (re.fullmatch(r"([\w-]+)>=([\d.]+)", text) for text in project["dependencies"])
    declared = dict(match.groups() for match in asked if match)  # what has no version comes with one of these
    assert {name: ".".join(map(str, numbers)) for name, numbers in packages.OLDEST.items()} == declared
    assert project["requires-python"] == ">=" + ".".join(map(str, packages.OLDEST_PYTHON))
