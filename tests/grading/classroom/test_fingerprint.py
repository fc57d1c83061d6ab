"""What a grade hangs on, in one fingerprint, and the stamp that keeps it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import attention_lab
from attention_grading.classroom.fingerprint import STAMP, fingerprint, stamp_of, versions, versions_of, write_stamp
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.notebooks.grade import GradingTerms, Terms
from attention_grading.sandbox.limits import Limits, OutputLimits


def test_seed_shows_in_no_text_and_changes_the_fingerprint(tmp_path):
    (tmp_path / "file").write_text("text")
    terms = GradingTerms(Terms("a secret seed", Limits(), OutputLimits(), True))
    assert "secret" not in f"{terms} {terms!r}"
    others = [
        replace(terms, judging=replace(terms.judging, seed=PUBLIC_SEED)),
        replace(terms, judging=replace(terms.judging, limits=Limits(seconds=1))),
        replace(terms, verdict_only=True),
        replace(terms, max_lines=5),
    ]
    prints = [fingerprint(tmp_path, ["master"], other, 0) for other in [terms, *others]]
    prints += [fingerprint(tmp_path, ["changed"], terms, 0), fingerprint(tmp_path, ["master"], terms, 5)]
    (tmp_path / "file").write_text("other text")
    prints.append(fingerprint(tmp_path, ["master"], terms, 0))
    assert len(set(prints)) == len(prints)
    assert "secret" not in "".join(prints)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fingerprint"', "\xff"])
def test_damaged_stamp_counts_as_none(tmp_path, text):
    (tmp_path / STAMP).write_text(text, encoding="latin-1")
    assert stamp_of(tmp_path) is None


def terms(code_cells: int) -> GradingTerms:
    return GradingTerms(Terms("seed", Limits(), OutputLimits(), True, code_cells))


def test_another_limit_is_a_change_for_grading(tmp_path):
    before, after = (fingerprint(tmp_path, [], terms(number), 0) for number in (2000, 3000))
    assert before != after
    assert before == fingerprint(tmp_path, [], replace(terms(2000)), 0)


def test_stamp_says_by_which_versions_it_was_graded(tmp_path):
    write_stamp(tmp_path, "a print", "0.1.0")
    assert (stamp_of(tmp_path), versions_of(tmp_path)) == ("a print", "0.1.0")
    write_stamp(tmp_path, "a print", versions("0.2.0"))
    assert versions_of(tmp_path) == f"attention-grading 0.2.0 with attention-lab {attention_lab.__version__}"
    (tmp_path / STAMP).write_text("[]")
    assert versions_of(tmp_path) == "unknown versions"
