"""Ids that look alike are told."""

from __future__ import annotations

from attention_grading.lms.candidates import Reading
from attention_grading.lms.intake import intake
from attention_grading.lms.owners.answers import Answers
from attention_grading.lms.owners.lookalikes import look_alikes, oddities
from support.places import ROOT

STEM = "02_eager_causal"
CYRILLIC = "\N{CYRILLIC SMALL LETTER A}"


def test_look_alikes_are_told(tmp_path):
    there = tmp_path / "submitted" / "s1234l"
    there.mkdir(parents=True)
    mixed, hidden = f"m{CYRILLIC}rk", "an\u200bna"
    for student in (mixed, "mark", hidden, "s12341", "zoe"):
        folder = tmp_path / "class" / student
        folder.mkdir(parents=True)
        (folder / f"{STEM}.ipynb").write_bytes((ROOT / "release" / STEM / f"{STEM}.ipynb").read_bytes())
    lines = {
        line.file.split("/")[1]: line
        for line in intake([tmp_path / "class"], tmp_path / "submitted", Reading(answers=Answers(1)))
    }
    said = {name: "; ".join(line.details) for name, line in lines.items()}
    assert {line.status for line in lines.values()} <= {"taken", "repaired"}
    assert f"mixes letters that look alike: Latin (m, U+006D) and Cyrillic ({CYRILLIC}, U+0430)" in said[mixed]
    assert f"looks like another: {mixed!r}" in said["mark"]
    assert "invisible characters: U+200B" in said[hidden]
    assert "looks like another: 's1234l'" in said["s12341"]
    assert said["zoe"] == ""


def test_ids_that_only_resemble_each_other_are_no_look_alikes():
    assert look_alikes(["s101", "s110", "müller", "muller", "Ivan", "Ян", "ann", "anna"]) == {}
    assert list(oddities("Александра")) == []
