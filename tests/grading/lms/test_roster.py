"""Two students never share a folder; rosters join what is one student's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_grading.lms.owners.roster import Roster, folder_name, read_roster, same_folder
from support.platforms.downloads import GOOD, OTHER, STEM, notebook, placed, where

STUDENT_FOLDER = 1  # whose a file is, is not the question here


def test_ids_that_differ_in_case_only_are_rejected(take, tmp_path):
    lines = take({f"Student-A/{STEM}.ipynb": notebook(mark="1"), f"student-a/{OTHER}.ipynb": notebook(OTHER)})
    assert {line.status for line in lines.values()} == {"rejected"}
    assert all("'Student-A' (folder), 'student-a' (folder)" in line.details[0] for line in lines.values())
    assert placed(tmp_path) == {}


def test_ids_that_look_alike_in_unicode_are_rejected(take, tmp_path):
    lines = take(
        {f"\ufb01nn/{STEM}.ipynb": notebook(), f"finn/{STEM}.ipynb": notebook(), f"other/{STEM}.ipynb": notebook()}
    )
    assert sorted(line.status for line in lines.values()) == ["rejected", "rejected", "taken"]


def test_numbers_of_two_lmss_are_not_one_student(take, tmp_path):
    lines = take(
        {f"a_4711_9001_{STEM}.ipynb": notebook(), f"A B_4711_assignsubmission_file_/{OTHER}.ipynb": notebook(OTHER)},
        level=None,
    )
    assert {line.status for line in lines.values()} == {"rejected"}


def test_folder_of_another_spelling_from_an_earlier_intake_is_not_shared(take, tmp_path):
    (tmp_path / "submitted" / "STUDENT-A").mkdir(parents=True)
    lines = take({GOOD: notebook()})
    assert "'STUDENT-A'" in lines[GOOD].details[0]
    assert placed(tmp_path) == {}


def test_ids_that_are_made_into_folder_names_stay_apart():
    ids = [
        "a b",
        "a-b",
        "a/b",
        "a+b",
        ".a-b",
        "a-b-",
        "con",
        "..",
        "",
        "x" * 300,
        "x" * 301,
        "学生",
        "学 生",
        "é",
        "*",
        "?",
    ]
    names = [folder_name(each) for each in ids]
    assert len({same_folder(name) for name in names}) == len(ids)
    assert folder_name("学生") == "学生"
    assert folder_name("a-b") == "a-b"
    assert folder_name("e\u0301") == folder_name("é")
    for name in names:
        assert re.fullmatch(r"[\w@][\w.@-]*", name)
        assert len(name.encode()) < 120


def test_roster_joins_ids_and_refuses_ambiguous_ones(take, tmp_path):
    (tmp_path / "students.csv").write_text(
        "id,first_name,last_name,email,lms_user_id\n"
        "student-a,A,A,a@example.org,101\nstudent-b,B,B,b@example.org,102\nstudent-c,C,C,c@example.org,102\n"
    )
    roster = read_roster([tmp_path / "students.csv"])
    lines = take(
        {
            f"a_101_9001_{STEM}.ipynb": notebook(),
            f"b_102_9002_{STEM}.ipynb": notebook(),
            f"d_104_9003_{STEM}.ipynb": notebook(),
        },
        roster=roster,
        level=None,
    )
    assert set(placed(tmp_path)) == {where("student-a"), where("104")}
    assert "several students: student-b, student-c" in lines[f"b_102_9002_{STEM}.ipynb"].details[0]
    assert "is not in the roster" in lines[f"d_104_9003_{STEM}.ipynb"].details


def test_canvas_gradebook_export_is_a_roster(tmp_path):
    (tmp_path / "grades.csv").write_text(
        'Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"A, Student",101,s-1,login,01\n'
    )
    assert read_roster([tmp_path / "grades.csv"]).find("S-1") == "101"
    (tmp_path / "bad.csv").write_text("name\nsomebody\n")
    with pytest.raises(ValueError, match="needs one of these columns"):
        read_roster([tmp_path / "bad.csv"])


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_id_becomes_a_folder_of_its_own(raw):
    assert re.fullmatch(r"[\w@][\w.@-]*", folder_name(raw))
    assert Roster().find(raw) is None


def test_worksheet_of_moodle_in_another_language_is_told_apart_from_a_roster(write):
    header = "ID,Vollständiger Name,E-Mail-Adresse,Status,Bewertung,Bestwertung\n"
    with pytest.raises(ValueError, match="another language than English"):
        read_roster([write("german.csv", header + "Teilnehmer/in4711,A,a@x,-,,10\nTeilnehmer/in4712,B,b@x,-,,10\n")])
    assert read_roster([write("own.csv", header + "s1234,A,a@x,-,,10\n")]).find("s1234") == "s1234"
    ours = "id,first_name,last_name,email,group\nstudent1,A,B,a@x,1\nstudent2,C,D,c@x,1\n"
    assert read_roster([write("students.csv", ours)]).find("a@x") == "student1"
