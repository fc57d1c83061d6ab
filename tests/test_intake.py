"""Intake: every LMS's names, repairs, attempts, times, and archives that mean harm."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbgrader.api import Gradebook
from nbgrader.utils import parse_utc

from attention_grading.authoring.course_root import nbgrader, prepare
from attention_grading.cli import main
from attention_grading.lms import zip_reader
from attention_grading.lms.candidates import Times
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import COLUMNS, Line, write_csv
from attention_grading.lms.owners import id_in_name
from attention_grading.lms.recognise import recognise
from attention_grading.lms.roster import Roster, folder_name, read_roster, same_folder
from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[1]
STEM, OTHER = "02_eager_causal", "05_flash_bidirectional"
PACKED = (2026, 10, 1, 12, 30, 0)


def notebook(stem: str = STEM, mark: str = "") -> bytes:
    """A release, with a mark in its solution so that two can be told apart."""
    released = json.loads((ROOT / "release" / stem / f"{stem}.ipynb").read_text())
    cell = next(cell for cell in released["cells"] if cell["id"] == "solution")
    cell["source"] = [*cell["source"], f"\n# {mark}"]
    return json.dumps(released, indent=1).encode()


def zipped(entries: dict[str, bytes], at: tuple[int, ...] = PACKED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, at), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., dict[str, Line]]:
    """Take in one archive, or a folder with these files; gives the lines by path."""

    def take(entries: dict[str, bytes] | bytes, name: str = "submissions.zip", **options: object) -> dict[str, Line]:
        source = tmp_path / name
        if isinstance(entries, bytes):
            source.write_bytes(entries)
        elif name.endswith(".zip"):
            source.write_bytes(zipped(entries))
        else:
            for below, data in entries.items():
                path = source / below
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        lines = intake([source], tmp_path / "submitted", **options)
        return {line.file.removeprefix(f"{name}/"): line for line in lines}

    return take


def placed(tmp_path: Path) -> dict[str, bytes]:
    """What lies in ``submitted``, timestamps left out."""
    root = tmp_path / "submitted"
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("timestamp"))
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def where(student: str, stem: str = STEM) -> str:
    return f"{student}/{stem}/{stem}.ipynb"


def stamp(tmp_path: Path, student: str, stem: str = STEM) -> datetime | None:
    """The time as nbgrader reads it."""
    path = tmp_path / "submitted" / student / stem / "timestamp.txt"
    return parse_utc(path.read_text().strip()) if path.exists() else None


# ---- naming schemes --------------------------------------------------------------------------------------------------
def test_canvas_names_give_user_and_late_mark_and_the_last_file_counts(take, tmp_path):
    lines = take(
        {
            f"onestudent_101_9999_{STEM}-1.ipynb": notebook(mark="first"),
            f"onestudent_101_10007_{STEM}.ipynb": notebook(mark="second"),
            f"zweistüdent_LATE_102_9002_Copy of {STEM} (1).ipynb": notebook(mark="late"),
            f"anon_x7Yz2_9003_{STEM}.ipynb": notebook(mark="anonymous"),
            f"LATE_anon_x7Yz3_9004_{STEM}.ipynb": notebook(mark="anonymous and late"),
        },
        times=Times(UTC, datetime(2026, 10, 1, 12, tzinfo=UTC)),
    )
    assert placed(tmp_path) == {
        where("101"): notebook(mark="second"),
        where("102"): notebook(mark="late"),
        where("anon_x7Yz2"): notebook(mark="anonymous"),
        where("anon_x7Yz3"): notebook(mark="anonymous and late"),
    }
    assert lines[f"onestudent_101_9999_{STEM}-1.ipynb"].status == "earlier attempt"
    assert lines[f"onestudent_101_10007_{STEM}.ipynb"].status == "taken"
    late = lines[f"zweistüdent_LATE_102_9002_Copy of {STEM} (1).ipynb"]
    assert late.status == "repaired"
    assert f"renamed from 'Copy of {STEM} (1).ipynb'" in late.details
    assert stamp(tmp_path, "101") == datetime(2026, 10, 1, 12)
    assert stamp(tmp_path, "102") == stamp(tmp_path, "anon_x7Yz3") == datetime(2026, 10, 1, 12, 1)


@pytest.mark.parametrize(
    "name", ["李雷", "कृष्णशर्मा", "สมชาย", "jose\u0301", "o_brienliam", "group1", "teststudent"], ids=ascii
)
def test_canvas_names_of_any_script_give_the_user(take, tmp_path, name):
    take({f"{name}_101_9001_{STEM}.ipynb": notebook(), f"{name}_LATE_102_9002_{STEM}.ipynb": notebook()})
    assert set(placed(tmp_path)) == {where("101"), where("102")}


def test_notebook_in_a_students_archive_keeps_its_own_name_in_the_report(take):
    inner = zipped({f"{STEM}.ipynb": notebook(), "other name.ipynb": notebook(OTHER)})
    lines = take({"onestudent_101_9001_work.zip": inner})
    assert lines[f"onestudent_101_9001_work.zip/{STEM}.ipynb"].status == "taken"
    assert "renamed from 'other name.ipynb'" in lines["onestudent_101_9001_work.zip/other name.ipynb"].details


def test_canvas_zip_times_are_those_of_the_download_and_so_not_used(take, tmp_path):
    entries = {f"a_101_9001_{STEM}.ipynb": notebook(), f"b_LATE_102_9002_{STEM}.ipynb": notebook()}
    lines = take(entries)
    assert stamp(tmp_path, "101") is None
    assert "no time known, marked LATE" in lines[f"b_LATE_102_9002_{STEM}.ipynb"].details
    take(entries, times=Times(UTC, trust_files=True))
    assert stamp(tmp_path, "101") == datetime(*PACKED)


MOODLE = {
    f"First Last_4711_assignsubmission_file_/{STEM}.ipynb": notebook(mark="folder"),
    f"Next Name_4712_assignsubmission_file_{STEM}.ipynb": notebook(mark="flat"),
    f"Third Name_4713_assignsubmission_file/sub/{OTHER}.ipynb": notebook(OTHER),
    "First Last_4711_assignsubmission_onlinetext_/onlinetext.html": b"<p>hello</p>",
}


def test_moodle_names_give_the_participant_and_say_that_the_number_changes(take, tmp_path):
    lines = take(MOODLE)
    assert set(placed(tmp_path)) == {where("4711"), where("4712"), where("4713", OTHER)}
    assert lines["First Last_4711_assignsubmission_onlinetext_/onlinetext.html"].status == "ignored"
    assert {"by Moodle's number", "no time known"} <= set(lines[next(iter(MOODLE))].details)
    assert stamp(tmp_path, "4711") is None


def test_moodle_worksheets_gather_a_students_assignments_and_give_the_times(take, tmp_path):
    for number, sheet in ((4711, "one.csv"), (4713, "two.csv")):
        (tmp_path / sheet).write_text(
            "\ufeffIdentifier,Full name,ID number,Email address,Last modified (submission)\n"
            f'Participant {number},First Last,s-1,a@example.org,"Thursday, 1 October 2026, 12:30 PM"\n'
            "Participant 9999,Nobody,,,-\n"
        )
    roster = read_roster([tmp_path / "one.csv", tmp_path / "two.csv"])
    lines = take(MOODLE, roster=roster, times=Times(ZoneInfo("Europe/Berlin")))
    assert {where("s-1"), where("s-1", OTHER)} < set(placed(tmp_path))
    assert stamp(tmp_path, "s-1") == datetime(2026, 10, 1, 10, 30)
    assert "is not in the roster" in lines[f"Next Name_4712_assignsubmission_file_{STEM}.ipynb"].details


def blackboard(user: str, at: str, mark: str = "", title: str = STEM) -> dict[str, bytes]:
    """An attempt as Blackboard packs it, with its description."""
    name = f"{title}_{user}_attempt_{at}"
    text = (
        f"Name: First Last ({user})\nAssignment: {title}\nDate Submitted: Thursday, October 1, 2026 12:30:00 PM CEST\n"
        f"Current Grade: Needs Grading\n\nSubmission Field:\nName: Somebody Else (other)\n\nFiles:\n"
        f"\tOriginal filename: {STEM}.ipynb\n\tFilename: {name}_{STEM}.ipynb\n"
    )
    return {f"{name}.txt": text.encode(), f"{name}_{STEM}.ipynb": notebook(mark=mark)}


def test_blackboard_names_and_description_give_user_and_time_and_the_last_attempt_counts(take, tmp_path):
    entries = {
        **blackboard("j_user", "2026-10-02-12-30-00", "last", "Again_HW"),
        **blackboard("j_user", "2026-10-01-12-30-00", "first", "Week 2_HW"),
        **blackboard("k_user", "2026-10-01-12-30-00", "", "Week 2_HW"),
    }
    lines = take(entries, times=Times(timezone(timedelta(hours=2))))
    assert placed(tmp_path) == {where("j_user"): notebook(mark="last"), where("k_user"): notebook()}
    assert stamp(tmp_path, "j_user") == datetime(2026, 10, 2, 10, 30)
    first = lines[f"Week 2_HW_j_user_attempt_2026-10-01-12-30-00_{STEM}.ipynb"]
    assert (first.status, first.submitted_at) == ("earlier attempt", "2026-10-01 10:30:00.000000 UTC")
    assert not any(name.endswith("00.txt") for name in lines)


def test_blackboard_without_description_takes_the_user_only_where_it_is_sure(take, tmp_path):
    notebooks = {
        f"{STEM}_j_user_attempt_2026-10-01-12-30-00_{STEM}.ipynb": notebook(),
        f"Title with spaces_user7_attempt_2026-10-01-12-30-00_{STEM}.ipynb": notebook(),
        f"HW_2_k_user_attempt_2026-10-01-12-30-00_{STEM}.ipynb": notebook(),
    }
    lines = take(notebooks)
    assert set(placed(tmp_path)) == {where("j_user"), where("user7")}
    assert "cannot be told" in lines[list(notebooks)[2]].details[0]
    (tmp_path / "roster.csv").write_text("id;email\nk_user;k@example.org\n")
    take(notebooks, roster=read_roster([tmp_path / "roster.csv"]))
    assert where("k_user") in placed(tmp_path)


def test_forged_description_does_not_change_whose_it_is(take, tmp_path):
    name = f"{STEM}_student-a_attempt_2026-10-01-12-30-00"
    take({f"{name}.txt": b"Name: Other (student-b)\n", f"{name}_{STEM}.ipynb": notebook()})
    assert set(placed(tmp_path)) == {where("student-a")}


@pytest.mark.parametrize(
    ("name", "student"),
    [
        (f"onestudent_101_9001_other_999_8888_{STEM}.ipynb", "101"),
        (f"onestudent_101_9001_x_999_assignsubmission_file_{STEM}.ipynb", "101"),
        (f"onestudent_101_9001_x_y_attempt_2026-10-01-12-30-00_{STEM}.ipynb", "101"),
        (f"First Last_4711_assignsubmission_file_other_999_8888_{STEM}.ipynb", "4711"),
        (f"{STEM}_user7_attempt_2026-10-01-12-30-00_a_999_assignsubmission_file_b.ipynb", "user7"),
        (f"First Last_4711_assignsubmission_file_/other_999_8888_{STEM}.ipynb", "4711"),
        (f"onestudent_101_9001_work.zip/other_999_8888_{STEM}.ipynb", "101"),
    ],
)
def test_students_own_file_names_cannot_name_another_student(take, tmp_path, name, student):
    outer, _, inner = name.partition(".zip/")
    take({f"{outer}.zip": zipped({inner: notebook()})} if inner else {name: notebook()})
    assert set(placed(tmp_path)) == {where(student)}


PLAIN = {
    f"student-a/{STEM}.ipynb": notebook(mark="a"),
    f"student-a/{STEM} (1).ipynb": notebook(mark="a again"),
    f"student-a/{OTHER}/{OTHER}.ipynb": notebook(OTHER),
    f"student-b/Copy of {STEM}.ipynb": notebook(mark="b"),
    "student-b/readme.pdf": b"%PDF",
}


@pytest.mark.parametrize("name", ["downloads", "submissions.zip"])
@pytest.mark.parametrize("around", ["", "class/", "class/2026/", "submitted/"])
def test_a_folder_for_each_student(take, tmp_path, name, around):
    lines = take({f"{around}{path}": data for path, data in PLAIN.items()}, name)
    assert placed(tmp_path) == {
        where("student-a"): notebook(mark="a again"),
        where("student-a", OTHER): notebook(OTHER),
        where("student-b"): notebook(mark="b"),
    }
    assert lines[f"{around}student-a/{STEM}.ipynb"].status == "earlier attempt"
    assert lines[f"{around}student-b/readme.pdf"].status == "ignored"


def test_ids_in_file_names(take, tmp_path):
    take(
        {
            f"s1234501_{STEM}.ipynb": notebook(),
            f"{STEM}-s77 (1).ipynb": notebook(),
            f"Copy of {STEM}_mail@example.org_final.ipynb": notebook(),
            "team-1_eager_causal.ipynb": notebook(),
            "team-2 Eager Causal Attention.ipynb": notebook(),
        },
        "downloads",
    )
    assert set(placed(tmp_path)) == {
        where(name) for name in ("s1234501", "s77", "mail@example.org", "team-1", "team-2")
    }


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("02_eager_causal.ipynb", ""),
        ("Copy of 02_eager_causal (1).ipynb", ""),
        ("02_eager_causal-1.ipynb", ""),
        ("02_eager_causal_final.ipynb.txt", ""),
        ("team_2_eager_causal.ipynb", "team_2"),
        ("s12_eager_causal.ipynb", "s12"),
        ("02_eager_causal_team-1.ipynb", "team-1"),
    ],
)
def test_nothing_of_an_id_is_lost_with_the_assignments_name(name, left):
    assert id_in_name(name) == left


def test_one_archive_for_each_student_and_archives_in_archives(take, tmp_path):
    inner = {f"work/{STEM}.ipynb": notebook(), f"__MACOSX/._{STEM}.ipynb": b"\0\5\x16\7"}
    both = {"student-a.zip": zipped(inner), "student-b.zip": zipped({"work.zip": zipped(inner)})}
    lines = take(both, "downloads")
    assert lines[f"student-a.zip/work/{STEM}.ipynb"].status == "rejected"  # "work" or "student-a"?
    take({"student-a.zip": zipped(inner), "student-b.zip": zipped(inner)}, "bulk.zip")
    assert set(placed(tmp_path)) == {where("student-a"), where("student-b")}
    take(zipped({f"{STEM}.ipynb": notebook()}), "student-c.zip")
    assert where("student-c") in placed(tmp_path)


@pytest.mark.parametrize(
    "entries",
    [
        {f"week1/a_{STEM}.ipynb": notebook(), f"week1/b_{STEM}.ipynb": notebook()},
        {f"red/a_{STEM}.ipynb": notebook(mark="1"), f"red/b_{OTHER}.ipynb": notebook(OTHER)},
        {"red/studentk.ipynb": notebook(mark="1"), "red/studentl.ipynb": notebook(mark="2")},
        {f"red/a/{STEM}.ipynb": notebook(), f"blue/b/{STEM}.ipynb": notebook(), f"blue/c/{STEM}.ipynb": notebook()},
        {f"red/a/{STEM}.ipynb": notebook()},
        {f"{STEM}.ipynb": notebook(mark="1"), f"{STEM} (1).ipynb": notebook(mark="2")},
        {"homework.ipynb": notebook(mark="1"), "homework (1).ipynb": notebook(mark="2")},
    ],
)
def test_students_are_not_merged_where_the_path_leaves_it_open(take, tmp_path, entries):
    lines = take(entries, "downloads")
    one_each = [path for path, data in placed(tmp_path).items()]
    assert {line.status for line in lines.values()} == {"rejected"} or len(one_each) == len(entries)
    assert all(line.status != "earlier attempt" for line in lines.values())


def test_student_folder_settles_it(take, tmp_path):
    entries = {
        f"red/a/{STEM}.ipynb": notebook(),
        f"blue/b/{STEM}.ipynb": notebook(),
        "blue/b/c/x.ipynb": notebook(OTHER),
    }
    take(entries, "downloads", level=2)
    assert set(placed(tmp_path)) == {where("a"), where("b"), where("b", OTHER)}
    take({f"week1/studentk_{STEM}.ipynb": notebook()}, "more", level=0)
    assert where("studentk") in placed(tmp_path)


def test_a_notebook_that_names_another_student_is_filed_by_its_path_alone(take, tmp_path):
    """Anybody can write anybody's id into a cell: it makes no owner, and nobody else's notebook is rejected for it."""
    naming = json.loads(notebook())
    naming["cells"].append(
        {
            "cell_type": "markdown",
            "id": "student",
            "metadata": {"nbgrader": {"grade_id": "student"}},
            "source": ["id: student-z\n"],
        }
    )
    data = json.dumps(naming).encode()
    # folders of which none can be told to be the student's
    lines = take({f"a/b/{STEM}.ipynb": data, f"c/d/{STEM}.ipynb": notebook()}, "odd")
    assert lines[f"a/b/{STEM}.ipynb"].status == "rejected"
    assert placed(tmp_path) == {}
    take({f"student-a/{STEM}.ipynb": data, f"student-z/{STEM}.ipynb": notebook(mark="z")}, "more")
    assert placed(tmp_path) == {where("student-a"): data, where("student-z"): notebook(mark="z")}


def test_lms_name_in_a_students_folder_beside_plain_ones_is_rejected(take, tmp_path):
    lines = take({f"studentk/studentl_2024_1001_{STEM}.ipynb": notebook(), f"studentl/{STEM}.ipynb": notebook()})
    assert set(placed(tmp_path)) == {where("studentl")}
    assert "--lms" in lines[f"studentk/studentl_2024_1001_{STEM}.ipynb"].details[0]


def test_forced_scheme_takes_names_as_plain(take, tmp_path):
    take({f"studentk/studentk_2024_1001_{STEM}.ipynb": notebook(), f"studentl/{STEM}.ipynb": notebook()}, lms="none")
    assert set(placed(tmp_path)) == {where("studentk"), where("studentl")}


# ---- which of the six, and repairs -----------------------------------------------------------------------------------
@pytest.mark.parametrize("stem", [variant.stem for variant in VARIANTS.values()])
def test_each_release_is_recognised_by_content_under_a_wrong_name(take, tmp_path, stem):
    wrong = OTHER if stem != OTHER else STEM
    lines = take({f"student-a/{wrong}.ipynb": notebook(stem)})
    assert set(placed(tmp_path)) == {where("student-a", stem)}
    assert f"its name says {wrong}, its content is {stem}" in lines[f"student-a/{wrong}.ipynb"].details


def changed(stem: str, edit: Callable[[dict], object]) -> bytes:
    nb = json.loads(notebook(stem))
    edit(nb)
    return json.dumps(nb).encode()


def cell_of(nb: dict, name: str) -> dict:
    return next(cell for cell in nb["cells"] if cell["id"] == name)


def test_helper_from_another_notebook_does_not_change_which_it_is():
    helper = "def eager_bidirectional_attention(q, k, v): ...\ndef eager_causal_attention(q, k, v): ..."
    data = changed(STEM, lambda nb: cell_of(nb, "solution").update(source=helper))
    got = recognise(data, ["x.ipynb"])
    assert (got.variant.stem, got.by, got.notes) == (STEM, "function and checks", ())


def test_solution_without_checks_or_ids_is_recognised_by_its_function():
    def bare(nb):
        nb["cells"] = [{"cell_type": "code", "metadata": {}, "source": "def sdpa_causal_attention(q, k, v): ..."}]

    assert recognise(changed(STEM, bare), ["x.ipynb"]).variant.name == "sdpa_causal"


def test_wrong_function_stays_with_its_notebook_and_is_reported():
    wrong = changed(STEM, lambda nb: cell_of(nb, "solution").update(source="def sdpa_causal_attention(q, k, v): ..."))
    got = recognise(wrong, ["x.ipynb"])
    assert got.variant.stem == STEM
    assert "sdpa_causal_attention" in got.notes[0]
    assert recognise(wrong, ["04_sdpa_causal.ipynb"]).variant.name == "sdpa_causal"


def test_other_notebooks_are_rejected(take, tmp_path):
    lesson = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])).encode()
    lines = take({"student-a/lesson.ipynb": lesson, f"student-a/{OTHER}.ipynb": lesson})
    assert lines["student-a/lesson.ipynb"].status == "rejected"
    assert set(placed(tmp_path)) == {where("student-a", OTHER)}  # known by its name


def old_format() -> bytes:
    nb = json.loads(notebook(mark="old"))
    cells = [
        {**cell, "input": cell["source"], "language": "python", "prompt_number": 1, "outputs": []}
        if cell["cell_type"] == "code"
        else cell
        for cell in nb["cells"]
    ]
    return json.dumps(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    ).encode()


REPAIRED = {
    "byte order mark": (f"{STEM}.ipynb", b"\xef\xbb\xbf" + notebook(), "byte order mark removed"),
    "UTF-16": (f"{STEM}.ipynb", notebook().decode().encode("utf-16"), "was UTF-16, is UTF-8"),
    "Windows": (f"{STEM}.ipynb", notebook(mark="x").replace(b"# x", b"# \xfc"), "was no UTF-8, read as Windows-1252"),
    "txt": (f"{STEM}.ipynb.txt", notebook(), f"renamed from '{STEM}.ipynb.txt'"),
    "json": (f"{STEM}.ipynb.json", notebook(), f"renamed from '{STEM}.ipynb.json'"),
    "no extension": (STEM, notebook(), f"renamed from '{STEM}'"),
    "capitals": (f"{STEM}.IPYNB", notebook(), f"renamed from '{STEM}.IPYNB'"),
    "Colab's copy": (f"Copy of {STEM} (2).ipynb", notebook(), f"renamed from 'Copy of {STEM} (2).ipynb'"),
    "renamed": ("my homework.ipynb", notebook(), "renamed from 'my homework.ipynb'"),
    "format 3": (f"{STEM}.ipynb", old_format(), "brought from an old format to format 4"),
}


@pytest.mark.parametrize("case", REPAIRED)
def test_what_can_be_repaired_is_repaired_and_said(take, tmp_path, case):
    name, data, said = REPAIRED[case]
    line = take({f"student-a/{name}": data})[f"student-a/{name}"]
    assert (line.status, line.assignment) == ("repaired", STEM)
    assert said in line.details
    written = placed(tmp_path)[where("student-a")]
    nb = nbformat.reads(written.decode("utf-8"), as_version=nbformat.NO_CONVERT)
    assert nb.nbformat == 4
    assert any(cell.source.startswith("def eager_causal_attention") for cell in nb.cells)


BROKEN = {
    "cut": notebook()[: len(notebook()) // 2],
    "empty": b"",
    "no JSON": b"hello",
    "list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_notebook_is_put_in_place_if_its_name_is_known(take, tmp_path, case):
    lines = take({f"student-a/{STEM}.ipynb": BROKEN[case], "student-b/mine.ipynb": BROKEN[case]})
    assert placed(tmp_path)[where("student-a")] == BROKEN[case]
    assert "will get 0 points" in " ".join(lines[f"student-a/{STEM}.ipynb"].details)
    by_text = case == "cut"  # enough of it is left to be recognised
    assert lines["student-b/mine.ipynb"].status == ("repaired" if by_text else "rejected")


def test_broken_last_attempt_counts_and_the_earlier_one_is_mentioned(take, tmp_path):
    entries = {f"a_101_9001_{STEM}.ipynb": notebook(), f"a_101_9002_{STEM}-1.ipynb": b"{"}
    lines = take(entries)
    assert placed(tmp_path) == {where("101"): b"{"}
    assert "an earlier attempt can be read" in lines[f"a_101_9002_{STEM}-1.ipynb"].details


def test_scripts_and_other_archives_are_rejected(take):
    lines = take({f"student-a/{STEM}.py": b"pass", "student-b/work.rar": b"Rar!", "student-c/work.tar.gz": b"\x1f\x8b"})
    assert {line.status for line in lines.values()} == {"rejected"}


# ---- times -----------------------------------------------------------------------------------------------------------
def test_zip_entry_time_is_read_in_the_time_zone(take, tmp_path):
    take({f"student-a/{STEM}.ipynb": notebook()}, times=Times(ZoneInfo("America/New_York")))
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 16, 30)


def test_zip_entry_time_in_utc_is_preferred(take, tmp_path):
    info = zipfile.ZipInfo(f"student-a/{STEM}.ipynb", PACKED)
    moment = int(datetime(2026, 9, 30, 8, tzinfo=UTC).timestamp())
    info.extra = struct.pack("<HHBi", 0x5455, 5, 1, moment)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, notebook())
    take(file.getvalue(), times=Times(ZoneInfo("America/New_York")))
    assert stamp(tmp_path, "student-a") == datetime(2026, 9, 30, 8)


def test_time_inside_a_students_own_archive_does_not_count(take, tmp_path):
    early = zipped({f"{STEM}.ipynb": notebook()}, (2020, 1, 1, 0, 0, 0))
    take({"student-a.zip": early, f"student-b/{STEM}.ipynb": notebook()}, times=Times(UTC))
    assert stamp(tmp_path, "student-a") == datetime(*PACKED)


def test_file_time_counts_in_a_folder(take, tmp_path):
    path = tmp_path / "downloads" / "student-a" / f"{STEM}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(notebook())
    os.utime(path, (0, datetime(2026, 10, 1, 9, tzinfo=UTC).timestamp()))
    line = take({}, "downloads")[f"student-a/{STEM}.ipynb"]
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 9)
    assert line.time_from == "file"


def test_impossible_times_are_left_out(take, tmp_path):
    data = bytearray(zipped({f"student-a/{STEM}.ipynb": notebook()}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 12 : at + 16] = b"\xff\xff\xff\xff"
    take(bytes(data))
    assert where("student-a") in placed(tmp_path)
    assert stamp(tmp_path, "student-a") is None


# ---- what must not get in --------------------------------------------------------------------------------------------
GOOD = f"student-a/{STEM}.ipynb"


def with_entry(name: str, data: bytes = b"{}", **fields: object) -> bytes:
    """A good notebook, and one entry with these fields."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(GOOD, PACKED), notebook(), zipfile.ZIP_DEFLATED)
        info = zipfile.ZipInfo("placeholder", PACKED)
        info.filename = info.orig_filename = name
        for field, value in fields.items():
            setattr(info, field, value)
        archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def encrypted() -> bytes:
    data = bytearray(with_entry(f"student-b/{STEM}.ipynb", notebook()))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rfind(signature) + offset] |= 1
    return bytes(data)


def damaged() -> bytes:
    data = bytearray(with_entry(f"student-b/{STEM}.ipynb", notebook()))
    middle = (data.rfind(b"PK\x03\x04") + data.find(b"PK\x01\x02")) // 2
    data[middle : middle + 40] = bytes(40)
    return bytes(data)


def doubled() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(GOOD, notebook())
        archive.writestr(f"student-b/{STEM}.ipynb", notebook(mark="one"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(f"student-b/{STEM}.ipynb", notebook(mark="two"))
    return file.getvalue()


def deep() -> bytes:
    data = zipped({f"{STEM}.ipynb": notebook()})
    for _ in range(3):
        data = zipped({"student-b.zip": data})
    return with_entry("student-b.zip", data)


HOSTILE = {
    "absolute": (lambda: with_entry(f"/tmp/{STEM}.ipynb", notebook()), "absolute path"),
    "parent": (lambda: with_entry(f"x/../../{STEM}.ipynb", notebook()), "leads out"),
    "backslash": (lambda: with_entry(f"..\\..\\{STEM}.ipynb", notebook()), "backslashes"),
    "drive": (lambda: with_entry(f"C:/{STEM}.ipynb", notebook()), "drive letter"),
    "long": (lambda: with_entry("x" * 5000 + ".ipynb", notebook()), "more than 1000 characters"),
    "control": (lambda: with_entry(f"student-b\n/{STEM}.ipynb", notebook()), "control characters"),
    "link": (
        lambda: with_entry(f"student-b/{STEM}.ipynb", b"/etc/passwd", external_attr=0o120777 << 16, create_system=3),
        "is a link",
    ),
    "device": (lambda: with_entry(f"student-b/{STEM}.ipynb", external_attr=0o020666 << 16), "no plain file"),
    "encrypted": (encrypted, "^is encrypted$"),
    "damaged": (damaged, "damaged"),
    "doubled": (doubled, "more than once"),
    "bomb": (lambda: with_entry(f"student-b/{STEM}.ipynb", b" " * (8 * 2**20)), "zip bomb"),
    "large": (lambda: with_entry(f"student-b/{STEM}.ipynb", os.urandom(2**16) * 801), "larger than 50 MB"),
    "nested bomb": (lambda: with_entry("student-b.zip", zipped({"x.ipynb": bytes(2**28)})), "zip bomb"),
    "nested damaged": (lambda: with_entry("student-b.zip", b"PK\x03\x04 no zip"), "no zip archive"),
    "deep": (deep, "inside 3 others"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_entry_is_refused_with_its_reason_and_the_others_go_on(take, tmp_path, case):
    make, reason = HOSTILE[case]
    before = set(tmp_path.parent.rglob("*"))
    lines = take(make())
    assert placed(tmp_path) == {where("student-a"): notebook()}
    rejected = [line for line in lines.values() if line.status == "rejected"]
    assert rejected
    assert all(re.search(reason, line.details[0]) for line in rejected)
    new = {path.relative_to(tmp_path).parts[0] for path in set(tmp_path.parent.rglob("*")) - before}
    assert new == {"submissions.zip", "submitted"}


def overlapping() -> bytes:
    """Many entries that share one body."""
    data = zipped({f"a/{STEM}.ipynb": os.urandom(5000)})
    start = data.find(b"PK\x01\x02")
    end = data.rfind(b"PK\x05\x06")
    entry = data[start:end]
    tail = bytearray(data[end:])
    tail[8:12] = struct.pack("<HH", 50, 50)
    tail[12:16] = struct.pack("<I", len(entry) * 50)
    return data[:start] + entry * 50 + bytes(tail)


def large_directory() -> bytes:
    data = bytearray(zipped({GOOD: notebook()}))
    at = data.rfind(b"PK\x05\x06")
    data[at + 12 : at + 16] = struct.pack("<I", 2**31)
    return bytes(data)


def large_directory_64() -> bytes:
    data = zipped({GOOD: notebook()})
    at = data.rfind(b"PK\x05\x06")
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<IIQI", 0x07064B50, 0, at, 1)
    return data[:at] + record + locator + data[at:]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"hello", "no zip archive"),
        (lambda: zipped({GOOD: notebook()})[:-30], "no zip archive"),
        (lambda: zipped({GOOD: notebook()}).replace(b"PK\x01\x02", b"PK\x01\x03"), "no zip archive"),
        (overlapping, "lie on one another"),
        (large_directory, "table of contents"),
        (large_directory_64, "table of contents"),
    ],
)
def test_archive_that_is_none_or_means_harm_is_refused_whole(take, tmp_path, make, reason):
    (line,) = take(make()).values()
    assert line.status == "rejected"
    assert reason in line.details[0]
    assert placed(tmp_path) == {}


@pytest.mark.parametrize(("limit", "value"), [("MAX_ENTRIES", 3), ("MAX_TOTAL_BYTES", 3 * len(notebook()))])
def test_limits_of_the_run_stop_it_and_what_was_read_is_taken(take, tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(zip_reader, limit, value)
    lines = take({f"student-{number}/{STEM}.ipynb": notebook(mark="x") for number in range(9)})
    assert "the rest was not read" in lines["submissions.zip"].details[0]
    assert 1 <= len(placed(tmp_path)) <= 3


def test_links_pipes_and_unreadable_things_in_a_folder_are_refused(take, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(notebook(mark="secret"))
    folder = tmp_path / "downloads" / "student-b"
    folder.mkdir(parents=True)
    (folder / f"{STEM}.ipynb").symlink_to(secret)
    (tmp_path / "downloads" / "student-c").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.ipynb")
    lines = take({GOOD: notebook()}, "downloads")
    assert placed(tmp_path) == {where("student-a"): notebook()}
    assert lines[f"student-b/{STEM}.ipynb"].details == ("is a link",)
    assert lines["student-c"].details == ("is a link",)
    assert lines["student-b/pipe.ipynb"].details == ("is no plain file",)


def test_folder_that_is_written_to_is_not_read(tmp_path):
    (tmp_path / "student-a").mkdir()
    (tmp_path / GOOD).write_bytes(notebook())
    for _ in range(2):
        lines = intake([tmp_path], tmp_path / "submitted")
        assert len(lines) == 1
    assert lines[0].status == "already there"


# ---- two students never share a folder -------------------------------------------------------------------------------
def test_ids_that_differ_in_case_only_are_rejected(take, tmp_path):
    lines = take({f"Student-A/{STEM}.ipynb": notebook(mark="1"), f"student-a/{OTHER}.ipynb": notebook(OTHER)})
    assert {line.status for line in lines.values()} == {"rejected"}
    assert all("'Student-A' (plain), 'student-a' (plain)" in line.details[0] for line in lines.values())
    assert placed(tmp_path) == {}


def test_ids_that_look_alike_in_unicode_are_rejected(take, tmp_path):
    lines = take(
        {f"\ufb01nn/{STEM}.ipynb": notebook(), f"finn/{STEM}.ipynb": notebook(), f"other/{STEM}.ipynb": notebook()}
    )
    assert sorted(line.status for line in lines.values()) == ["rejected", "rejected", "taken"]


def test_numbers_of_two_lmss_are_not_one_student(take, tmp_path):
    lines = take(
        {f"a_4711_9001_{STEM}.ipynb": notebook(), f"A B_4711_assignsubmission_file_/{OTHER}.ipynb": notebook(OTHER)}
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
    with pytest.raises(ValueError, match="wants one of these columns"):
        read_roster([tmp_path / "bad.csv"])


# ---- placing ---------------------------------------------------------------------------------------------------------
def test_second_run_finds_everything_there(take, tmp_path):
    take({GOOD: notebook()})
    again = take({GOOD: notebook()})[GOOD]
    assert (again.status, again.details) == ("already there", ())


def test_other_file_is_left_alone_unless_replaced_and_then_kept(take, tmp_path):
    take({GOOD: notebook(mark="old")}, times=Times(UTC))
    lines = take({GOOD: notebook(mark="new")}, times=Times(timezone(timedelta(hours=1))))
    assert lines[GOOD].status == "rejected"
    assert placed(tmp_path) == {where("student-a"): notebook(mark="old")}
    for mark in ("new", "newest"):
        lines = take({GOOD: notebook(mark=mark)}, replace_others=True, times=Times(timezone(timedelta(hours=1))))
        assert lines[GOOD].status == "taken"
        assert ("its time is before that of the old one" in lines[GOOD].details) == (mark == "new")
    assert f"the old one is kept as {STEM}.ipynb.2" in lines[GOOD].details
    path = where("student-a")
    assert placed(tmp_path) == {
        path: notebook(mark="newest"),
        f"{path}.1": notebook(mark="old"),
        f"{path}.2": notebook(mark="new"),
    }
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 11, 30)
    kept = tmp_path / "submitted" / "student-a" / STEM / "timestamp.txt.1"
    assert parse_utc(kept.read_text().strip()) == datetime(*PACKED)


def test_same_notebook_with_another_time_keeps_the_first_unless_replaced(take, tmp_path):
    take({GOOD: notebook()}, times=Times(UTC))
    later = Times(timezone(timedelta(hours=-1)))
    assert "left alone" in take({GOOD: notebook()}, times=later)[GOOD].details[0]
    assert stamp(tmp_path, "student-a") == datetime(*PACKED)
    take({GOOD: notebook()}, times=later, replace_others=True)
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 13, 30)


def test_replaced_file_does_not_keep_the_old_ones_time(take, tmp_path):
    name = f"a_101_9001_{STEM}.ipynb"
    take({name: notebook(mark="1")}, times=Times(UTC, trust_files=True))
    take({name: notebook(mark="2")}, replace_others=True)
    assert stamp(tmp_path, "101") is None


@pytest.mark.parametrize(
    "place", ["student-a", f"student-a/{STEM}", where("student-a"), f"student-a/{STEM}/timestamp.txt"]
)
def test_nothing_is_written_through_links(take, tmp_path, place):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "submitted" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere / "file" if link.suffix else elsewhere)
    lines = take({GOOD: notebook()}, replace_others=True)
    assert "is a link" in lines[GOOD].details[0]
    assert list(elsewhere.iterdir()) == []


def test_file_in_the_way_is_reported(take, tmp_path):
    (tmp_path / "submitted").mkdir()
    (tmp_path / "submitted" / "student-a").write_text("in the way")
    lines = take({GOOD: notebook(), f"student-b/{STEM}.ipynb": notebook()})
    assert "cannot be written" in lines[GOOD].details[0]
    assert lines[f"student-b/{STEM}.ipynb"].status == "taken"


def test_dry_run_says_the_same_and_writes_nothing(take, tmp_path):
    said = take(PLAIN, dry_run=True)
    assert not (tmp_path / "submitted").exists()
    assert take(PLAIN) == said


# ---- the command and its report --------------------------------------------------------------------------------------
@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "nbgrader_config.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command_exits_with_0_1_or_2(root, capsys):
    (root / "good.zip").write_bytes(zipped(PLAIN))
    assert main(["intake", "good.zip"]) == 0
    assert "1 taken, 2 repaired, 1 earlier attempt, 1 ignored" in capsys.readouterr().out
    (root / "bad.zip").write_bytes(with_entry("/x.ipynb"))
    assert main(["intake", "bad.zip", "--replace"]) == 1
    usages = (
        ["missing.zip"],
        ["good.zip", "--timezone", "Nowhere/At all"],
        ["good.zip", "--due", "some day"],
        ["good.zip", "--roster", "missing.csv"],
        ["good.zip", "--into", "good.zip"],
        ["good.zip", "--student-folder", "-1"],
        ["good.zip", "--report", "missing/report.csv"],
        [],
    )
    for wrong in usages:
        with pytest.raises(SystemExit) as stopped:
            main(["intake", *wrong])
        assert stopped.value.code == 2
    (root / "nbgrader_config.py").unlink()
    with pytest.raises(SystemExit) as stopped:
        main(["intake", "good.zip"])
    assert stopped.value.code == 2


def test_terminal_shows_what_was_done_and_no_control_characters(root, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    name = "student-\x1b[31mred\u202e[bold]"
    (root / "downloads" / name).mkdir(parents=True)
    (root / "downloads" / name / "mine.ipynb").write_bytes(notebook())
    assert main(["intake", "downloads", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "nothing was written" in out
    assert "repaired" in out
    assert "[bold]/mine.ipynb" in out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert not (root / "submitted").exists()


def test_hints_are_said_once(root, capsys):
    entries = {f"a_{number}_9001_{STEM}.ipynb": notebook() for number in (101, 102, 103)}
    (root / "canvas.zip").write_bytes(zipped({**entries, f"b_LATE_104_9004_{STEM}.ipynb": notebook()}))
    assert main(["intake", "canvas.zip"]) == 0
    out = capsys.readouterr().out
    assert out.count("hint") == 2
    assert "--due makes times of them" in " ".join(out.split())
    assert main(["intake", "canvas.zip", "--due", "2026-10-01"]) == 0
    assert "hint" not in capsys.readouterr().out


def test_report_is_harmless_in_a_spreadsheet_and_an_old_one_is_kept(root):
    for name in ("=cmd()", "+1", "-1", "@sum", "\t=1"):
        (root / "downloads" / name).mkdir(parents=True)
        (root / "downloads" / name / "x.pdf").write_bytes(b"")
    (root / "report.csv").write_text("old")
    main(["intake", str(root / "downloads"), "--report", "report.csv"])
    with (root / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 5
    assert (root / "report.csv.1").read_text() == "old"
    write_csv(root / "direct.csv", [Line("ignored", file=name) for name in ("=1", "+1", "-1", "@1", " =1", "a=1", "")])
    with (root / "direct.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["'=1", "'+1", "'-1", "'@1", "' =1", "a=1", ""]


# ---- anything at all -------------------------------------------------------------------------------------------------
SMALL = b'{"cells": [{"cell_type": "code", "source": "def eager_causal_attention(q): ..."}]}'
# It states an id that leads out of every folder
FORGED = SMALL.replace(b"]}", b', {"id": "student", "source": "id: ../../../evil"}]}')
CONTENT = st.sampled_from([SMALL, FORGED, SMALL[:30], b"", b"PK\x03\x04", zipped({"x.ipynb": SMALL})]) | st.binary()
PIECE = st.text(max_size=12) | st.sampled_from(
    [
        "..",
        ".",
        "~",
        "C:",
        "\\",
        "student-a",
        STEM,
        "a_1_1000_",
        "_assignsubmission_file_",
        "_attempt_2026-10-01-12-30-00",
    ]
)
NAME = st.builds(
    lambda pieces, end: "/".join(pieces) + end,
    st.lists(PIECE, min_size=1, max_size=4),
    st.sampled_from(["", ".ipynb", f"{STEM}.ipynb", ".zip", ".txt", ".json"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.dictionaries(NAME, CONTENT, max_size=5),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
    level=st.sampled_from([None, None, 0, 1]),
)
def test_anything_is_taken_or_reported_and_nothing_leaves_submitted(tmp_path_factory, entries, flips, level):
    base = tmp_path_factory.mktemp("any")
    root = base / "a" / "b" / "course"
    root.mkdir(parents=True)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo("x")
            info.filename = name.encode("utf-8", "replace").decode()[:200]
            archive.writestr(info, data)
    data = bytearray(file.getvalue())
    for place, flip in flips:
        data[int(place * len(data))] ^= flip
    (root / "any.zip").write_bytes(bytes(data))
    lines = intake([root / "any.zip"], root / "submitted", level=level)
    assert all(line.status for line in lines)
    write_csv(root / "report.csv", lines)
    for path in base.rglob("*"):
        below = path.relative_to(base).parts
        assert below[:3] in (("a",), ("a", "b"), ("a", "b", "course"))
        assert below[3:4] in ((), ("any.zip",), ("report.csv",), ("submitted",))
        if below[3:4] == ("submitted",):
            assert len(below) <= 7
            assert len(below) < 6 or below[5] in {variant.stem for variant in VARIANTS.values()}
            assert len(below) < 7 or below[6] in (f"{below[5]}.ipynb", "timestamp.txt")


@settings(max_examples=300, deadline=None)
@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.just(STEM),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["cells", "worksheets", "metadata", "source", "input", "id", "nbformat", "cell_type", "x"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_recognised_or_not_and_never_raise(data):
    got = recognise(data, ["x.ipynb"])
    assert got.data or not data


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_id_becomes_a_folder_of_its_own(raw):
    assert re.fullmatch(r"[\w@][\w.@-]*", folder_name(raw))
    assert Roster().find(raw) is None


def test_only_the_assignment_that_is_asked_for_is_taken(take, tmp_path):
    whole = zipped({f"release/{stem}/{stem}.ipynb": notebook(stem) for stem in (STEM, OTHER)})
    lines = take({"onestudent_101_9001_release.zip": whole}, only=[STEM])
    assert set(placed(tmp_path)) == {where("101")}
    (other,) = (line for line in lines.values() if line.assignment == OTHER)
    assert (other.status, other.details) == ("ignored", ("is another assignment's: see --only",))


def test_worksheet_of_moodle_in_another_language_is_told_apart_from_a_roster(write):
    header = "ID,Vollständiger Name,E-Mail-Adresse,Status,Bewertung,Bestwertung\n"
    with pytest.raises(ValueError, match="another language than English"):
        read_roster([write("german.csv", header + "Teilnehmer/in4711,A,a@x,-,,10\nTeilnehmer/in4712,B,b@x,-,,10\n")])
    assert read_roster([write("own.csv", header + "s1234,A,a@x,-,,10\n")]).find("s1234") == "s1234"
    ours = "id,first_name,last_name,email,group\nstudent1,A,B,a@x,1\nstudent2,C,D,c@x,1\n"
    assert read_roster([write("students.csv", ours)]).find("a@x") == "student1"


# ---- with nbgrader ---------------------------------------------------------------------------------------------------
def test_late_submission_is_taken_in_graded_and_penalised(tmp_path, monkeypatch):
    folder = tmp_path / "course"
    prepare(ROOT, folder)
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write('\nc.LateSubmissionPlugin.penalty_method = "zero"\nc.JudgingRules.allow_unconfined = True\n')
    nbgrader(folder, "generate_assignment", STEM)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate=datetime(2026, 10, 1, 12))
    master = nbformat.read(folder / "source" / STEM / f"{STEM}.ipynb", as_version=4)
    solved = nbformat.read(folder / "release" / STEM / f"{STEM}.ipynb", as_version=4)
    answer = next(cell.source for cell in master.cells if cell.id == "solution")
    next(cell for cell in solved.cells if cell.id == "solution").source = answer
    data = nbformat.writes(solved).encode()
    entries = {f"one_101_9001_Copy of {STEM}.ipynb": data, f"two_LATE_102_9002_{STEM}.ipynb": b"\xef\xbb\xbf" + data}
    (folder / "canvas.zip").write_bytes(zipped(entries))
    monkeypatch.chdir(folder)
    assert main(["intake", "canvas.zip", "--due", "2026-10-01 14:00", "--timezone", "Europe/Berlin"]) == 0
    nbgrader(folder, "autograde", STEM)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        one, two = (gradebook.find_submission(STEM, student) for student in ("101", "102"))
        assert (one.score, one.total_seconds_late, one.late_submission_penalty) == (10, 0, 0)
        assert (two.score, two.total_seconds_late, two.late_submission_penalty) == (10, 60, 10)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
