"""Names, ids and texts of anybody's choice: none takes long, none reaches a terminal, a sheet or a pattern as it is."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import zipfile
from itertools import product
from pathlib import Path

import pytest
from rich.console import Console
from within import within

from attention_grading.judging.command import print_verdict
from attention_grading.judging.verdict import not_judged
from attention_grading.lms import sheets, zip_reader
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import Line, summary, table, write_csv
from attention_grading.lms.lookalikes import look_alikes, oddities
from attention_grading.lms.owners import (
    blackboard_key,
    blackboard_user,
    id_in_name,
    owner_by_lms,
    owners_by_path,
    split_copy,
)
from attention_grading.lms.recognise import decode, looks_like_notebook, recognise, variant_in_name
from attention_grading.lms.return_command import _MOODLE_FOLDER
from attention_grading.lms.roster import Roster, Unknown, folder_name, read_roster, same_folder
from attention_grading.nbgrader_plugin.folders import student_folders
from attention_grading.text import harmless, id_problem, plain
from attention_lab import cli
from attention_lab.cli import main
from attention_lab.notebook import visible_checks
from attention_lab.notebook.learner_cells import NotJudgeable, defines, notebook_submission, parse_notebook
from attention_lab.notebook.python_lines import python_lines
from attention_lab.variants import VARIANTS, get_variant

ROOT = Path(__file__).parents[1]
STEM = "02_eager_causal"
CYRILLIC = "\N{CYRILLIC SMALL LETTER A}"

# ---- time ------------------------------------------------------------------------------------------------------------

PIECES = (
    "ж_", "Ж", "\u0905\u093f", "a", "_", " ", "1", "_1", "1_", "_12345", "_LATE_", "-", ".", ".zip", ".ipynb", "(1)",
    "(", ")", " (", "copy ", " copy", "copy of ", "submi", "submission_", "data_", "02_", "02", "eager", "eager_",
    "eager_causal_", "l-1", "anon_", "_attempt_", "_attempt_2026-10-01-12-30-00", "_4711_assignsubmission_",
    "assignsubmission", "v1", "\u200b", "\t",
    "\N{COMBINING ACUTE ACCENT}", "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}", "=", "[", "*",
)  # fmt: skip
ENDS = ("", "!", "ж", ".ipynb", "_x_1_22.ipynb")


def names() -> list[str]:
    return [(start + piece * 1000)[:1000] + end for start, piece, end in product(("", "submi", "a_"), PIECES, ENDS)]


def ask_about(name: str) -> None:
    """Everything that intake asks about a name."""
    for parts in ((name,), (name, f"{STEM}.ipynb"), ("a", name, "b")):
        for source in ("submissions.zip", name):
            with contextlib.suppress(Unknown):
                owner_by_lms(source, parts, {}, Roster({"a": frozenset("b")}))
            owners_by_path(source, [parts, ("b", "c")])
        blackboard_key(parts)
    for function in (id_in_name, split_copy, folder_name, same_folder, variant_in_name, id_problem, harmless):
        function(name)
    list(oddities(name))
    look_alikes([name, "a"])
    plain(name, 500)
    zip_reader.why_not(zipfile.ZipInfo(name))
    zip_reader.JUNK.fullmatch(name)
    sheets._cell(name)
    _MOODLE_FOLDER.match(name)


@pytest.mark.parametrize("start", range(0, len(names()), 60))
def test_no_name_takes_long(start):
    for name in names()[start : start + 60]:
        with within(0.5):
            ask_about(name)


def test_cyrillic_folder_is_told_at_once(tmp_path):
    folder = tmp_path / "download" / "Александра_Константинопольская"
    folder.mkdir(parents=True)
    (folder / f"{STEM}.ipynb").write_bytes((ROOT / "release" / STEM / f"{STEM}.ipynb").read_bytes())
    with within(5):
        (line,) = intake([tmp_path / "download"], tmp_path / "submitted")
    assert line.student == "Александра_Константинопольская"


def test_sheets_and_rosters_of_long_cells_are_read_at_once(tmp_path):
    for cell in ("1" * 50_000 + "x", " " * 50_000 + "x", "Participant " + "1 " * 20_000 + "x", "(1" * 20_000):
        with within(0.5):
            sheets._cell(cell)
            path = tmp_path / "roster.csv"
            path.write_text(f"id,identifier\n1,{cell}\n2,\n")
            read_roster([path])
            with pytest.raises(sheets.SheetProblem):
                sheets.moodle_sheet(path, None)


MEGABYTES = 2_000_000
TEXTS = (
    "check(", "check(' ", "check('", "judge(\"a\", ", "Your task: `", "Your task: `_attention", "def ", "def\n",
    "def a_attention", "_attention", " ", "\t", "\n", " \n", "async ", "async def ", "eager_causal_attention",
    "eager_causal_attention ", "%", "!", "x = ", "x =  ", "a, ", "?", "\x1b[", "\x1b]", "\x1bP", "\x1b[0",
    "\x1b]a\x07", "Name: (a", "Name: (", "ж", "a", "'", '"', "\\", "\\\"", "[", "{", "\r\n", "if importlib",
    "raise stop\nfrom", "kit = ",
)  # fmt: skip


@pytest.mark.parametrize("piece", TEXTS)
def test_no_text_takes_long(piece):
    text = piece * (MEGABYTES // len(piece))
    variant = get_variant("eager_causal")
    master = json.loads((ROOT / "source" / STEM / f"{STEM}.ipynb").read_text())
    setup = next("".join(cell["source"]) for cell in master["cells"] if cell["id"] == "setup")
    one_part = setup[setup.index("}}") + 2 :][:40]
    for source in (text, setup[:200] + text, one_part * (MEGABYTES // 40)):
        cells = [
            {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": grade_id}}, "source": source}
            for grade_id in ("setup", "solution", "x")
        ]
        data = json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}})
        with within(4), pytest.raises(NotJudgeable):
            notebook_submission(parse_notebook(data), variant, master)
    with within(4):
        recognise(data.encode(), [f"{STEM}.ipynb"])
        recognise(text.encode(), ["x"])
        looks_like_notebook(text.encode())
        decode(text.encode())
        defines(text, variant.function_name)
    with within(1):
        plain(text, MEGABYTES, lines=True)
        blackboard_user(("a", "b"), text[:2000])
    with within(4):
        python_lines("x = = 1\n" + text[: MEGABYTES // 20])


# ---- many files ------------------------------------------------------------------------------------------------------


def test_thousands_of_files_do_not_bury_the_report(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"student-a/{STEM}.ipynb", (ROOT / "release" / STEM / f"{STEM}.ipynb").read_bytes())
        for number in range(30_000):
            archive.writestr(f"student-a/{number}.{'dat' if number % 2 else 'py'}", "")
    source = tmp_path / "submissions.zip"
    source.write_bytes(file.getvalue())
    with within(30):
        lines = intake([source], tmp_path / "submitted")
        console = Console(record=True, width=120, file=io.StringIO())
        console.print(table(lines, "intake"))
        write_csv(tmp_path / "report.csv", lines)
    said = console.export_text()
    assert len(said.splitlines()) < 150
    assert "taken" in said
    assert "and 14995 more" in said
    assert "and 14980 more" in said
    assert "15000 ignored" in summary(lines)
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 30_002


def test_lines_that_ask_for_attention_are_all_shown():
    lines = [Line("rejected", f"s{number}", STEM, details=("another file is there",)) for number in range(100)]
    lines += [Line("taken", f"s{number}", STEM) for number in range(100)]
    assert table(lines, "intake").row_count == 200


# ---- ids -------------------------------------------------------------------------------------------------------------

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


def test_look_alikes_are_told(tmp_path):
    there = tmp_path / "submitted" / "s1234l"
    there.mkdir(parents=True)
    mixed, hidden = f"m{CYRILLIC}rk", "an\u200bna"
    for student in (mixed, "mark", hidden, "s12341", "zoe"):
        folder = tmp_path / "class" / student
        folder.mkdir(parents=True)
        (folder / f"{STEM}.ipynb").write_bytes((ROOT / "release" / STEM / f"{STEM}.ipynb").read_bytes())
    lines = {line.file.split("/")[1]: line for line in intake([tmp_path / "class"], tmp_path / "submitted")}
    said = {name: "; ".join(line.details) for name, line in lines.items()}
    assert {line.status for line in lines.values()} <= {"taken", "repaired"}
    assert f"mixes letters that look alike: Latin (m, U+006D) and Cyrillic ({CYRILLIC}, U+0430)" in said[mixed]
    assert f"looks like another: {mixed!r}" in said["mark"]
    assert "show nothing: U+200B" in said[hidden]
    assert "looks like another: 's1234l'" in said["s12341"]
    assert said["zoe"] == ""


def test_ids_that_only_resemble_each_other_are_no_look_alikes():
    assert look_alikes(["s101", "s110", "müller", "muller", "Ivan", "Ян", "ann", "anna"]) == {}
    assert list(oddities("Александра")) == []


# ---- patterns of names -----------------------------------------------------------------------------------------------


def test_students_are_found_in_a_course_with_brackets_in_its_path(tmp_path):
    for student in ("ann", "[b]ob"):
        (tmp_path / "course [2026]" / "submitted" / student / STEM).mkdir(parents=True)
    (tmp_path / "course 2" / "submitted" / "stranger" / STEM).mkdir(parents=True)
    pattern = tmp_path / "course [2026]" / "submitted" / "*" / STEM
    assert [student for student, _ in student_folders(pattern)] == ["[b]ob", "ann"]


# ---- terminals -------------------------------------------------------------------------------------------------------


def test_escape_sequences_in_a_files_name_do_not_reach_the_judges_terminal():
    file = io.StringIO()
    console = Console(file=file, highlight=False, soft_wrap=True)
    bad = not_judged(VARIANTS["eager_causal"], "no \x1b[2J cell", ["a \x1b]0;title\x07 note"])
    print_verdict(console, "a\x1b[2J\udcff\u202e.ipynb", bad)
    assert "a.ipynb" in file.getvalue()
    assert "\x1b" not in file.getvalue()
    assert "\x07" not in file.getvalue()


@pytest.mark.parametrize("name", ["\x1b[2J.ipynb", "\x1b]0;x\x07.ipynb", "a\udcffb.ipynb"])
def test_escape_sequences_in_a_files_name_do_not_reach_the_learners_terminal(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: ())
    monkeypatch.chdir(tmp_path)
    assert main(["check", name]) == 2
    Path(name).write_text("{}")
    assert main(["check", name]) == 2  # it names no variant
    other = name.replace(".ipynb", ".txt")
    os.rename(name, other)
    visible_checks.main("eager_causal", other)
    monkeypatch.setattr(cli.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    main(["check", "--variant", "eager_causal", other])
    said = capsys.readouterr()
    assert said.err.count("?") >= 2
    assert said.out.count("?") >= 2
    assert not {"\x1b", "\x07", "\udcff"} & set(said.out + said.err)


def test_check_says_first_that_it_runs_code_unconfined(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: ())
    path = tmp_path / "eager_causal.py"
    path.write_text("print('ran')")
    monkeypatch.setattr(cli.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    main(["check", str(path)])
    assert "unconfined, as your own account" in capsys.readouterr().out.splitlines()[0]
