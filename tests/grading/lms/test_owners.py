"""Whose a file is: every platform's names, folders, and what students may call their files."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from attention_grading.lms.candidates import Times
from attention_grading.lms.owners.file_names import id_in_name
from attention_grading.lms.owners.roster import read_roster
from attention_grading.lms.owners.rule import ASKED
from support.platforms.downloads import OTHER, PACKED, PLAIN, STEM, notebook, placed, stamp, where, zipped


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
    f"First Last_4713_assignsubmission_file/sub/{OTHER}.ipynb": notebook(OTHER),
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


@pytest.mark.parametrize("name", ["downloads", "submissions.zip"])
@pytest.mark.parametrize("around", ["", "class/", "class/2026/", "submitted/"])
def test_a_folder_for_each_student(take, tmp_path, name, around):
    lines = take({f"{around}{path}": data for path, data in PLAIN.items()}, name, level=around.count("/") + 1)
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
        level=0,
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
    assert lines[f"student-a.zip/work/{STEM}.ipynb"].details == (ASKED,)  # "work" or "student-a"?
    take(both, "downloads", level=1)
    assert set(placed(tmp_path)) == {where("student-a"), where("student-b")}


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
    assert {line.status for line in lines.values()} == {"rejected"}
    assert placed(tmp_path) == {}


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
    take({f"student-a/{STEM}.ipynb": data, f"student-z/{STEM}.ipynb": notebook(mark="z")}, "more", level=1)
    assert placed(tmp_path) == {where("student-a"): data, where("student-z"): notebook(mark="z")}


def test_platforms_name_in_a_students_folder_beside_nbgraders_is_rejected(take, tmp_path):
    ours = {f"submitted/studentl/{STEM}/{STEM}.ipynb": notebook()}
    lines = take({f"studentk/studentl_2024_1001_{STEM}.ipynb": notebook(), **ours})
    assert set(placed(tmp_path)) == {where("studentl")}
    assert "--lms" in lines[f"studentk/studentl_2024_1001_{STEM}.ipynb"].details[0]


def test_what_the_instructor_says_counts_before_a_platforms_name(take, tmp_path):
    take({f"studentk/studentk_2024_1001_{STEM}.ipynb": notebook(), f"studentl/{STEM}.ipynb": notebook()}, level=1)
    assert set(placed(tmp_path)) == {where("studentk"), where("studentl")}
