"""The demo's honest students score the same with and without confinement."""

from __future__ import annotations

import nbformat
import pytest

from attention_grading.authoring.demo_class import HONEST
from attention_grading.judging.session import Session
from attention_lab.variants import VARIANTS
from support.places import ROOT

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]


@pytest.mark.parametrize("variant", list(VARIANTS.values()), ids=list(VARIANTS))
def test_honest_class_scores_the_same_with_and_without_confinement(variant, session, tmp_path):
    released = nbformat.read(ROOT / "release" / variant.stem / f"{variant.stem}.ipynb", as_version=4)
    master = nbformat.read(ROOT / "source" / variant.stem / f"{variant.stem}.ipynb", as_version=4)
    got = {}
    with Session(confined=False) as unconfined:
        for student, write in HONEST.items():
            path = tmp_path / f"{student}.ipynb"
            path.write_text(write(variant, released, master), encoding="utf-8")
            got[student] = [each.judge_file(variant, path).as_json() for each in (session, unconfined)]
    assert all(with_ == without for with_, without in got.values())
    assert got["all-right"][0]["score"] == 10
    assert got["one-mistake"][0]["score"] < 10
