"""Ids and cells that a terminal, a spreadsheet or a folder would obey."""

from __future__ import annotations

import pytest

from attention_grading.lms.owners.roster import folder_name
from attention_grading.text import harmless, id_problem

ODD_IDS = {
    "=cmd|' /C calc'!A0": "formula",
    "+1": "formula",
    "-2": "formula",
    "@SUM(1)": "formula",
    "\t=1": "formula",
    "\r1": "U+000D",
    "a\x1b[31m": "U+001B",
    "a\u202eb": "U+202E",
    "a\u200bb": "U+200B",
    "a\u2028b": "U+2028",
    "[a-z]1": "'['",
    "a*": "'*'",
    "a/b": "'/'",
    "": "empty",
}


@pytest.mark.parametrize(("student", "words"), ODD_IDS.items())
def test_odd_ids_are_named_and_made_harmless(student, words):
    assert words in id_problem(student)
    assert id_problem(folder_name(student)) is None


@pytest.mark.parametrize(
    "student", ["s1234", "müller.anna", "ann@uni.example", "a-b_c", "Александра_К", "学生1", "ann lee"]
)
def test_plain_ids_are_no_problem(student):
    assert id_problem(student) is None


def test_no_id_that_intake_writes_begins_with_what_a_spreadsheet_runs():
    assert folder_name("@ann").startswith("ann-")
    assert folder_name("@-.ann").startswith("ann-")
    assert folder_name("ann@uni.example") == "ann@uni.example"


@pytest.mark.parametrize("cell", ["=1+1", " =1+1", "\t=1", "\r=1", "\tx", "@a", "＝1", "-a"])
def test_cells_that_a_spreadsheet_would_run_are_defused(cell):
    assert harmless(cell) == f"'{cell}"
