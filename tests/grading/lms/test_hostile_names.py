"""No name, text or number of files holds intake up."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from itertools import product

import pytest

from attention_grading.files import decode
from attention_grading.lms import sheets, zip_reader
from attention_grading.lms.candidates import Reading
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import Line, attention, summary, write_csv
from attention_grading.lms.left_aside import keep_left_aside
from attention_grading.lms.owners.answers import Answers, read_pattern
from attention_grading.lms.owners.file_names import id_in_name, split_copy
from attention_grading.lms.owners.gradescope import read_metadata
from attention_grading.lms.owners.lookalikes import look_alikes, oddities
from attention_grading.lms.owners.platforms import Download, blackboard_key, blackboard_user, owner_by_platform
from attention_grading.lms.owners.roster import Roster, Unknown, folder_name, read_roster, same_folder
from attention_grading.lms.owners.rule import Known
from attention_grading.lms.recognise import looks_like_notebook, recognise, variant_in_name
from attention_grading.lms.return_command import _MOODLE_FOLDER
from attention_grading.nbgrader_plugin.left_aside import read_left_aside
from attention_grading.text import harmless, id_problem, plain
from attention_lab.notebook.learner_cells import NotJudgeable, defines, notebook_submission, parse_notebook
from attention_lab.notebook.python_lines import python_lines
from attention_lab.variants import get_variant
from support.places import ROOT
from support.within import within

STEM = "02_eager_causal"

# ---- time ------------------------------------------------------------------------------------------------------------


PIECES = (
    "ж_", "Ж", "\u0905\u093f", "a", "_", " ", "1", "_1", "1_", "_12345", "_LATE_", "-", ".", ".zip", ".ipynb", "(1)",
    "(", ")", " (", "copy ", " copy", "copy of ", "submi", "submission_", "data_", "02_", "02", "eager", "eager_",
    "eager_causal_", "l-1", "anon_", "_attempt_", "_attempt_2026-10-01-12-30-00", "_4711_assignsubmission_",
    "assignsubmission", "v1", "\u200b", "\t",
    "\N{COMBINING ACUTE ACCENT}", "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}", "=", "[", "*",
)  # fmt: skip
ENDS = ("", "!", "ж", ".ipynb", "_x_1_22.ipynb")


ROSTER = Download(Roster({"a": frozenset("b")}, named={("a", "b"): frozenset("b")}))


def names() -> list[str]:
    return [(start + piece * 1000)[:1000] + end for start, piece, end in product(("", "submi", "a_"), PIECES, ENDS)]


def ask_about(name: str) -> None:
    """Everything that intake asks about a name."""
    for parts in ((name,), (name, f"{STEM}.ipynb"), ("a", name, "b")):
        for source in ("submissions.zip", name):
            for ask in (Known(download=ROSTER).owner_of, lambda *path: owner_by_platform(*path, ROSTER)):
                with contextlib.suppress(Unknown):
                    ask(source, parts)
        blackboard_key(parts)
    for function in (id_in_name, split_copy, folder_name, same_folder, variant_in_name, id_problem, harmless):
        function(name)
    list(oddities(name))
    look_alikes([name, "a"])
    read_pattern("**/{student}_*_*_*.ipynb").student_in(name)
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


@pytest.mark.parametrize("end", ["", "!", "_question_1", "_question_1_1_"])
def test_digits_at_the_end_of_a_quizs_name_are_looked_at_once(end):
    with within(0.5):
        owner_by_platform("quiz", ("a" + "1" * 20_000 + end,), ROSTER)


def test_cyrillic_folder_is_told_at_once(tmp_path):
    folder = tmp_path / "download" / "Александра_Константинопольская"
    folder.mkdir(parents=True)
    (folder / f"{STEM}.ipynb").write_bytes((ROOT / "release" / STEM / f"{STEM}.ipynb").read_bytes())
    with within(5):
        (line,) = intake([tmp_path / "download"], tmp_path / "submitted", Reading(answers=Answers(1)))
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


@pytest.mark.slow
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


# ---- Gradescope's list, which a student can bring along -------------------------------------------------------------

LISTS = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'a'] * 10)}]" for n in range(7))
_ONES = {n: ", ".join([f"*x{n - 1}"] * 10) for n in range(1, 6)}
MERGED = "\n".join(["x0: &x0 {a: b}", *(f"x{n}: &x{n} {{<<: [{ones}]}}" for n, ones in _ONES.items())])


@pytest.mark.parametrize(
    "value", ["!!bool x", "!!timestamp x", "!!int x", "!!null x", "0x" + "f" * 9000, "[]", "{}", "!a x", "*x6", "*x5"]
)
@pytest.mark.parametrize("before", ["", LISTS, MERGED], ids=["", "lists", "merged"])
def test_list_that_is_none_of_gradescopes_is_read_at_once(before, value):
    person = f"- :name: bob\n    :sid: {value}\n    :email: {value}"
    text = f"{before}\nsubmission_1:\n  :created_at: {value}\n  :submitters:\n  {person}\n"
    with within(0.5):
        found = read_metadata(text.encode())
        assert max(map(len, str(found.get("submission_1", "")).split(","))) < 20_000


# ---- many files ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_thousands_of_files_do_not_bury_the_report(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"student-a/{STEM}.ipynb", (ROOT / "release" / STEM / f"{STEM}.ipynb").read_bytes())
        for number in range(30_000):
            archive.writestr(f"student-a/{number}.{'dat' if number % 2 else 'py'}", "")
    source = tmp_path / "submissions.zip"
    source.write_bytes(file.getvalue())
    with within(30):
        lines = intake([source], tmp_path / "submitted", Reading(answers=Answers(1)))
        said = [text.plain for text in attention(lines, 80)]
        write_csv(tmp_path / "report.csv", lines)
        keep_left_aside(tmp_path, lines, None)
    assert len(read_left_aside(tmp_path)) == 0
    assert len(said) < 150
    assert "15000 ignored" in summary(lines)
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 30_002


def test_whoever_needs_attention_is_shown_however_many_there_are():
    lines = [Line("rejected", f"s{number}", STEM, details=("another file is there",)) for number in range(100)]
    lines += [Line("taken", f"s{number}", STEM) for number in range(100)]
    said = [text.plain for text in attention(lines, 80)]
    assert len(said) == 101
    assert not any("taken" in text for text in said)
