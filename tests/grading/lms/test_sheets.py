"""Points written into a platform's own sheet."""

from __future__ import annotations

import csv
import io

import pytest

from attention_grading.lms.owners.roster import Roster, read_roster
from attention_grading.lms.sheets import SheetProblem, canvas_sheet, moodle_sheet, new_canvas_sheet
from attention_lab.variants import VARIANTS
from support.platforms.sheets import CANVAS_EXPORT, MOODLE_SHEET

VARIANT = VARIANTS["eager_causal"]
STEM = VARIANT.stem


def fill(sheet, points, roster=None, **options):
    options = {"max_score": 10, "scale": False, "missing": False} | options
    sheet.fill(points, roster or Roster(), **options)
    return {sheet.rows[index][1]: sheet.rows[index][sheet.grade] for index in sheet.students}


def test_other_points_on_the_platform_are_refused_or_scaled(write):
    path = write("canvas.csv", CANVAS_EXPORT.replace(",10,5,", ",100,5,"))
    with pytest.raises(SheetProblem, match="the platform gives 100 points for it, the course 10"):
        fill(canvas_sheet(path, STEM, None), {"101": 8.5})
    assert fill(canvas_sheet(path, STEM, None), {"101": 8.5}, scale=True)["101"] == "85"
    path = write("moodle.csv", MOODLE_SHEET.replace("10.00", "5.00"))
    with pytest.raises(SheetProblem, match="gives 5 points"):
        fill(moodle_sheet(path, None), {"4711": 8.5})


def test_assignment_is_found_by_name_or_said(write):
    renamed = write("canvas.csv", CANVAS_EXPORT.replace(STEM, "Homework 2"))
    with pytest.raises(SheetProblem, match=r"no column .* --column: Homework 2 \(4567\), Other \(99\)"):
        canvas_sheet(renamed, STEM, None)
    for column in ("4567", "Homework 2 (4567)"):
        assert canvas_sheet(renamed, STEM, column).rows[0][-1] == "Homework 2 (4567)"
    twice = write("twice.csv", CANVAS_EXPORT.replace("Other", "Eager causal again"))
    with pytest.raises(SheetProblem, match="2 columns"):
        canvas_sheet(twice, STEM, None)


def test_column_that_canvas_calculates_is_refused(write):
    path = write("canvas.csv", CANVAS_EXPORT.replace("Current Score", f"{STEM} Final (1)"))
    with pytest.raises(SheetProblem, match="calculates"):
        canvas_sheet(path, STEM, "1")


def test_semicolons_and_a_byte_order_mark_stay_readable(write):
    text = CANVAS_EXPORT.replace('"One, A"', "One A").replace('"Two, B"', "Two B").replace('"Three, C"', "Three C")
    path = write("canvas.csv", "\ufeff" + text.replace('"Four, D"', "Four D").replace(",", ";"))
    sheet = canvas_sheet(path, STEM, None)
    assert fill(sheet, {"101": 8.5})["101"] == "8.5"
    assert sheet.text().splitlines()[0] == f"Student;ID;SIS User ID;SIS Login ID;Section;{STEM} (4567)"


@pytest.mark.parametrize("student", ["101", "s-1", "one", "mine"])
def test_student_is_found_by_any_id_and_by_the_roster(write, student):
    roster = read_roster([write("roster.csv", "student_id,lms_user_id\nmine,101\n")])
    assert fill(canvas_sheet(write("canvas.csv", CANVAS_EXPORT), STEM, None), {student: 3.0}, roster)["101"] == "3"


def test_rows_that_go_by_the_same_id_get_nothing(write):
    path = write("canvas.csv", CANVAS_EXPORT.replace(",102,s-2,two", ",,101,two"))
    sheet = canvas_sheet(path, STEM, None)
    assert fill(sheet, {"101": 3.0})["101"] == ""
    assert sheet.problems == ["101: rows 3, 4 both go by this id; neither was filled in"]
    assert not sheet.filled


def test_moodle_in_another_language_needs_only_the_column(write):
    header = "ID,Vollständiger Name,Status,Bewertung,Bestwertung,Zuletzt geändert (Bewertung)\n"
    path = write("moodle.csv", header + "Teilnehmer/in4711,One A,Zur Bewertung abgegeben,,10,-\n")
    with pytest.raises(SheetProblem, match=r"in another language than English: .* such as --column Bewertung"):
        moodle_sheet(path, None)
    sheet = moodle_sheet(path, "Bewertung")
    sheet.fill({"4711": 7.5}, Roster(), max_score=10, scale=False, missing=False)
    assert sheet.rows[1][3] == "7.5"
    assert sheet.possible == 10


def test_no_cell_of_a_sheet_is_a_formula(write):
    for dangerous in ("=1+1", "+1+1", "@SUM(1)", "-1+1", "\t=1"):
        text = CANVAS_EXPORT.replace("=2+5", dangerous)
        cells = list(csv.reader(io.StringIO(canvas_sheet(write("c.csv", text), STEM, None).text())))
        assert f"'{dangerous}" in [row[0] for row in cells]
    assert new_canvas_sheet({"101": "=1"}, STEM, 10).text().count("'=1") == 1


@pytest.mark.parametrize("words", ["EX", "N/A", "excused"])
def test_words_in_a_cell_are_left_there_and_said(write, words):
    path = write("canvas.csv", CANVAS_EXPORT.replace("two,Group 1,,", f"two,Group 1,{words},"))
    sheet = canvas_sheet(path, STEM, None)
    got = fill(sheet, {"101": 3.0, "102": 4.0}, missing=True)
    assert (got["101"], got["102"], got["105"]) == ("3", words, "0")
    assert sheet.problems == [f"102: {words!r} stands in the sheet and was left there instead of 4 points"]


def test_a_number_that_stands_there_is_overwritten_and_moodles_hyphen_is_empty(write):
    path = write(
        "moodle.csv", MOODLE_SHEET.replace("grading,,", "grading,1.00,", 1).replace("submission,,", "submission,-,")
    )
    sheet = moodle_sheet(path, None)
    sheet.fill({"101": 8.5}, Roster(), max_score=10, scale=False, missing=True)
    assert [row[4] for row in sheet.rows[1:]] == ["8.5", "0", "0", "7.00", "0"]
    assert sheet.problems == []


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
def test_gradebooks_are_decoded_as_notebooks_are(tmp_path, encoding):
    path = tmp_path / "canvas.csv"
    path.write_bytes(CANVAS_EXPORT.replace("One, A", "Öne, A").encode(encoding))
    sheet = canvas_sheet(path, STEM, None)
    assert fill(sheet, {"101": 8.5})["101"] == "8.5"
    assert sheet.rows[2][0] == "Öne, A"


def test_a_spreadsheet_programs_own_file_is_told(tmp_path):
    path = tmp_path / "grades.xlsx"
    path.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(SheetProblem, match="save it as CSV"):
        canvas_sheet(path, STEM, None)


@pytest.mark.parametrize("words", ["#NV", "#WERT!", "#BEZUG!", "#DIV/0!", "#N/A", "#VALUE!", "#¡REF!"])
def test_what_a_spreadsheet_program_made_of_a_cell_is_told_in_plain_words(write, words):
    """German Excel's error words, say: no points, no ids."""
    sheet = canvas_sheet(write("canvas.csv", CANVAS_EXPORT.replace("Group 1,,4", f'Group 1,"{words}",4')), STEM, None)
    assert fill(sheet, {"101": 3.0, "102": 4.0})["102"] == words
    (problem,) = sheet.problems
    assert "a spreadsheet program wrote" in problem
    assert "export it anew" in problem
    with pytest.raises(ValueError, match=r"row 3: a spreadsheet program wrote .* export it anew"):
        read_roster([write("roster.csv", f'id,name\n101,A One\n"{words}",B Two\n')])


def test_an_id_that_a_spreadsheet_program_rounded_is_no_id(write):
    with pytest.raises(ValueError, match=r"row 2: .*'1,01E\+02'.* export it anew"):
        read_roster([write("roster.csv", "id;name\n1,01E+02;A One\n")])


def test_excels_line_about_the_delimiter_is_no_row(write):
    assert set(read_roster([write("roster.csv", "sep=;\nid;name\n101;A One\n")]).people) == {"101"}


def test_a_column_that_cannot_be_told_is_said_in_plain_words(write):
    with pytest.raises(
        SheetProblem, match=r"no column of .* is named after 03_sdpa_bidirectional; choose one with --column"
    ):
        canvas_sheet(write("canvas.csv", CANVAS_EXPORT), "03_sdpa_bidirectional", None)
    twice = CANVAS_EXPORT.replace("Other (99)", f"{STEM} (99)")
    with pytest.raises(SheetProblem, match=f"2 columns of .* are named after {STEM}; choose one with --column"):
        canvas_sheet(write("twice.csv", twice), STEM, None)
