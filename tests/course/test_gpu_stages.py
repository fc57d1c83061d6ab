"""The stages of ``benchmarks/gpu/run.sh``, which want a GPU: what they cover, and that the page names them all."""

from __future__ import annotations

import importlib.util
import re

from support.places import MASTERS, ROOT

SCRIPT = (ROOT / "benchmarks/gpu/run.sh").read_text()
STAGES = re.findall(r"^    (\w+)\)$", SCRIPT, re.M)


def test_notebooks_of_all_variants_are_executed():
    place = ROOT / "benchmarks/gpu/notebooks.py"
    spec = importlib.util.spec_from_file_location("gpu_notebooks", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.tasks() == list(MASTERS.values())


def test_usage_and_page_name_every_stage():
    assert re.search(r"stages: (.*)", SCRIPT)[1].split() == STAGES
    page = (ROOT / "CONTRIBUTING.md").read_text().split("## On a GPU")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == STAGES


def test_every_stage_asks_for_the_route_that_is_wanted():
    assert SCRIPT.count("        require_route\n") == len(STAGES)
