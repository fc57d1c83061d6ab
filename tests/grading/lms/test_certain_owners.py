"""An owner is certain or asked for: each platform's layout, rosters, and what an instructor says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from attention_grading.cli import main
from attention_grading.lms.owners.gradescope import Submitted
from attention_grading.lms.owners.platforms import Download
from attention_grading.lms.owners.roster import Roster, Unknown
from attention_grading.lms.owners.rule import Known
from support.platforms.downloads import OTHER, STEM, notebook, placed, stamp, where, zipped

NOTEBOOK = f"{STEM}.ipynb"
Intake = Callable[..., int]


@pytest.fixture
def intake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Intake:
    """Run the command on an archive, or a folder, with these files; gives the exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nbgrader_config.py").write_text("")

    def intake(entries: dict[str, bytes], *options: str, name: str = "download.zip") -> int:
        if name.endswith(".zip"):
            (tmp_path / name).write_bytes(zipped(entries))
        else:
            for below, data in entries.items():
                (tmp_path / name / below).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / below).write_bytes(data)
        return main(["intake", name, "--into", "submitted", *options])

    return intake


def students(tmp_path: Path) -> set[str]:
    root = tmp_path / "submitted"
    return {path.name for path in root.iterdir()} if root.is_dir() else set()


def roster(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "roster.csv").write_text(text)
    return ["--roster", "roster.csv"]


# ---- never merged ----------------------------------------------------------------------------------------------------

LOOSE = {"ada.ipynb": notebook(mark="ada"), "bob.ipynb": notebook(mark="bob")}
MERGED = {
    "loose notebooks": LOOSE,
    "one of each assignment": {"ada.ipynb": notebook(), "bob.ipynb": notebook(OTHER)},
    "Gradescope without its list": {
        f"export/submission_101/{NOTEBOOK}": notebook(mark="1"),
        f"export/submission_102/{NOTEBOOK}": notebook(mark="2"),
    },
    "lab1 and lab2": {f"ada/lab1/{NOTEBOOK}": notebook(mark="1"), f"ada/lab2/{NOTEBOOK}": notebook(mark="2")},
    "labs alone": {f"lab1/{NOTEBOOK}": notebook(mark="1"), f"lab2/{NOTEBOOK}": notebook(mark="2")},
    "Autolab without addresses": {"mail_1_handin.ipynb": notebook(mark="1"), "post_1_handin.ipynb": notebook(mark="2")},
    "the released folder in each": {
        f"ada.zip/course/{STEM}/{NOTEBOOK}": notebook(mark="1"),
        f"bob.zip/course/{STEM}/{NOTEBOOK}": notebook(mark="2"),
    },
}


@pytest.mark.parametrize("name", ["cohort.zip", "cohort"])
@pytest.mark.parametrize("case", MERGED)
def test_nobody_is_merged_where_nothing_says_whose_it_is(intake, tmp_path, capsys, case, name):
    assert intake(MERGED[case], name=name) == 1
    assert students(tmp_path) == set()
    assert "2 rejected" in capsys.readouterr().out


def test_numbers_that_two_people_share_are_no_platforms(intake, tmp_path):
    entries = {f"ada_2026_1001_{NOTEBOOK}": notebook(mark="1"), f"bob_2026_1001_{NOTEBOOK}": notebook(mark="2")}
    assert intake(entries) == 1
    assert students(tmp_path) == set()


@pytest.mark.parametrize(
    ("entries", "options"),
    [
        ({"lab1/ada.ipynb": notebook(mark="1"), "lab1/bob.ipynb": notebook(mark="2")}, ["--student-folder", "1"]),
        (
            {f"w1/ada_{NOTEBOOK}": notebook(mark="1"), f"w2/ada_{NOTEBOOK}": notebook(mark="2")},
            ["--student-folder", "0"],
        ),
        ({"x/ada.ipynb": notebook(mark="1"), "y/ada.ipynb": notebook(mark="2")}, ["--pattern", "*/{student}.ipynb"]),
    ],
)
def test_an_answer_that_merges_different_notebooks_is_not_taken(intake, tmp_path, capsys, entries, options):
    assert intake(entries, *options) == 1
    assert students(tmp_path) == set()
    assert "nothing says that they are one student's attempts" in " ".join(capsys.readouterr().out.split())


def test_the_same_notebook_twice_is_one(intake, tmp_path):
    assert intake({"x/ada.ipynb": notebook(), "y/ada.ipynb": notebook()}, "--student-folder", "0") == 0
    assert students(tmp_path) == {"ada"}


# ---- platforms -------------------------------------------------------------------------------------------------------


def test_canvas_quiz_puts_the_student_before_the_question(intake, tmp_path):
    entries = {
        f"baker_bob101_question_55_9001_{NOTEBOOK}": notebook(mark="101"),
        f"cray_cyd102_question_55_9002_{NOTEBOOK}": notebook(mark="102"),
    }
    assert intake(entries, "--due", "2026-09-01") == 0
    assert placed(tmp_path) == {where("101"): notebook(mark="101"), where("102"): notebook(mark="102")}
    assert stamp(tmp_path, "101") is None  # a quiz tells neither times nor who was late


def test_canvas_quiz_asks_the_roster_where_a_name_ends_in_digits(intake, tmp_path):
    options = roster(tmp_path, "id,name\n101,student 2\n")
    assert intake({f"student_2101_question_55_9001_{NOTEBOOK}": notebook()}, *options) == 0
    assert students(tmp_path) == {"101"}


BRIGHTSPACE = {
    "index.html": b"<html>",
    f"700-12 - Bob Baker - Oct 1, 2026 912 AM/{NOTEBOOK}": notebook(mark="first"),
    f"700-12 - Bob Baker - Oct 1, 2026 112 PM/{NOTEBOOK}": notebook(mark="second"),
    f"701-12 - Cyd Cray - Oct 1, 2026 1245 PM/{NOTEBOOK}": notebook(mark="cyd"),
}


def test_brightspace_resubmissions_are_attempts_in_the_order_of_their_times(intake, tmp_path):
    assert intake(BRIGHTSPACE, "--timezone", "UTC") == 0
    assert placed(tmp_path) == {where("700"): notebook(mark="second"), where("701"): notebook(mark="cyd")}
    assert stamp(tmp_path, "700") == datetime(2026, 10, 1, 13, 12)
    assert stamp(tmp_path, "701") == datetime(2026, 10, 1, 12, 45)


def test_brightspace_roster_joins_by_name_and_writes_a_hash_before_ids(intake, tmp_path):
    head = "OrgDefinedId,Username,Last Name,First Name,End-of-Line Indicator\n"
    options = roster(tmp_path, f"{head}#400123,#bbaker,Baker,Bob,#\n#700,#ccray,Cray,Cyd,#\n")
    assert intake(BRIGHTSPACE, *options) == 0
    # 700 is Brightspace's number of Bob Baker, and the school's of somebody else
    assert placed(tmp_path)[where("400123")] == notebook(mark="second")
    assert placed(tmp_path)[where("700")] == notebook(mark="cyd")


def test_teams_takes_submitted_files_and_no_drafts(intake, tmp_path, capsys):
    options = roster(tmp_path, "id,name\ns1,Bob Baker\ns2,Cyd Cray\n")
    entries = {
        f"Submitted files/Bob Baker/Week 2/Version 1/{NOTEBOOK}": notebook(mark="1"),
        f"Submitted files/Bob Baker/Week 2/Version 2/{NOTEBOOK}": notebook(mark="2"),
        f"Working files/Bob Baker/Week 2/{NOTEBOOK}": notebook(mark="draft"),
        f"Working files/Cyd Cray/Week 2/{NOTEBOOK}": notebook(mark="draft only"),
    }
    assert intake(entries, *options) == 1  # Cyd Cray handed in nothing
    assert placed(tmp_path) == {where("s1"): notebook(mark="2")}
    out = " ".join(capsys.readouterr().out.split())
    assert "Cyd Cray (s2), 02_eager_causal" in out
    assert "it is a draft, and was not handed in" in out
    assert "s1" not in out


def test_a_draft_in_teams_counts_as_nothing_even_beside_another_assignment(intake, tmp_path):
    entries = {
        f"Bob Baker/Week 2/Version 1/{NOTEBOOK}": notebook(),
        f"../Working files/Bob Baker/Week 5/{OTHER}.ipynb": notebook(OTHER),
    }
    assert intake(entries, name="Submitted files") == 0
    main(["intake", "Submitted files", "Working files", "--into", "submitted", "--report", "report.csv"])
    with (tmp_path / "report.csv").open(newline="") as file:
        status = {row["assignment"]: row["status"] for row in csv.DictReader(file)}
    assert status == {STEM: "already there", OTHER: "rejected"}


def test_google_classrooms_names_are_the_students(intake, tmp_path):
    entries = {f"Bob Baker - Copy of {NOTEBOOK}": notebook(mark="b"), f"Cyd Cray - {NOTEBOOK}": notebook(mark="c")}
    assert intake(entries, *roster(tmp_path, "name,email\nBob Baker,b@example.org\n\nCyd Cray,c@example.org\n")) == 0
    assert placed(tmp_path) == {where("b@example.org"): notebook(mark="b"), where("c@example.org"): notebook(mark="c")}


@pytest.mark.parametrize(
    "names",
    [
        (f"Homework 2 - {NOTEBOOK}", f"Homework 2 - {STEM} (1).ipynb"),
        (f"Bob Baker - {NOTEBOOK}", f"Bob Baker - {STEM} (1).ipynb"),  # two people of one name, or one twice?
    ],
)
def test_names_in_google_drive_that_do_not_tell_are_asked_for(intake, tmp_path, names):
    assert intake({name: notebook(mark=name) for name in names}) == 1
    assert students(tmp_path) == set()


METADATA = """\
submission_101:
  :submitters:
  - :name: Bob Baker
    :sid: '400123'
    :email: b@example.org
  :created_at: 2026-10-01 12:30:00.000000000 Z
  :history:
  - :results: !ruby/hash:ActiveSupport::HashWithIndifferentAccess
      score: 1
submission_102:
  :submitters:
  - :name: Cyd Cray
    :email: c@example.org
  - :name: Dan Dean
    :email: d@example.org
  :created_at: 2026-10-02 12:30:00.000000000 Z
"""
GRADESCOPE = {
    "assignment_9_export/submission_metadata.yml": METADATA.encode(),
    f"assignment_9_export/submission_101/{NOTEBOOK}": notebook(mark="bob"),
    f"assignment_9_export/submission_102/{NOTEBOOK}": notebook(mark="both"),
}


def test_gradescopes_list_names_students_partners_and_times(intake, tmp_path):
    assert intake(GRADESCOPE) == 0
    assert placed(tmp_path) == {
        where("400123"): notebook(mark="bob"),
        where("c@example.org"): notebook(mark="both"),
        where("d@example.org"): notebook(mark="both"),
    }
    assert stamp(tmp_path, "400123") == datetime(2026, 10, 1, 12, 30)


def test_a_learner_cannot_put_a_list_of_owners_into_a_submission(intake, tmp_path):
    forged = METADATA.replace("400123", "victim").encode()
    entries = {**GRADESCOPE, "assignment_9_export/submission_102/submission_metadata.yml": forged}
    intake(entries)
    assert "victim" not in students(tmp_path)


def test_autolab_names_address_and_version(intake, tmp_path):
    entries = {
        "b@example.org_1_handin.ipynb": notebook(mark="first"),
        "b@example.org_10_handin.ipynb": notebook(mark="tenth"),
        "b@example.org_9_handin.ipynb": notebook(mark="ninth"),
        "c.d@example.org_1_handin.ipynb": notebook(mark="c"),
    }
    assert intake(entries) == 0
    assert placed(tmp_path) == {
        where("b@example.org"): notebook(mark="tenth"),
        where("c.d@example.org"): notebook(mark="c"),
    }


def test_blackboards_roster_has_a_space_in_student_id(intake, tmp_path):
    options = roster(tmp_path, '"Last Name","First Name","Username","Student ID"\n"Baker","Bob","bbaker","M101"\n')
    assert intake({f"{STEM}_bbaker_attempt_2026-10-01-12-30-00_x.ipynb": notebook()}, *options) == 0
    assert students(tmp_path) == {"M101"}


@pytest.mark.parametrize(
    "header",
    [
        "Identifiant,Nom complet,Adresse de courriel,Statut,Note,Note maximale",
        "ID,Vollständiger Name,E-Mail-Adresse,Status,Bewertung,Bestwertung",
    ],
)
def test_moodles_worksheet_in_another_language_is_told(intake, tmp_path, capsys, header):
    options = roster(tmp_path, f"{header}\nParticipant 4711,Bob Baker,b@example.org,,,10\n")
    assert intake({f"Bob Baker_4711_assignsubmission_file_/{NOTEBOOK}": notebook()}, *options) == 2
    assert "another language than English" in capsys.readouterr().err


# ---- nbgrader, roster, answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["submitted.zip", "archive.zip"])
def test_nbgraders_own_folders_are_certain(intake, tmp_path, name):
    top = "" if name == "submitted.zip" else "submitted/"
    entries = {f"{top}{student}/{STEM}/{NOTEBOOK}": notebook(mark=student) for student in ("ada", "bob")}
    assert intake(entries, name=name) == 0
    assert students(tmp_path) == {"ada", "bob"}


PEOPLE = "id,first_name,last_name,email\nada,Ada,Able,a@example.org\nbob,Bob,Baker,b@example.org\n"


@pytest.mark.parametrize(
    "entries",
    [
        LOOSE,
        {f"class/ada/{NOTEBOOK}": notebook(mark="ada"), f"class/bob/work/{NOTEBOOK}": notebook(mark="bob")},
        {f"Able, Ada/{NOTEBOOK}": notebook(mark="ada"), f"Bob Baker/{NOTEBOOK}": notebook(mark="bob")},
        {f"ada_{NOTEBOOK}": notebook(mark="ada"), f"{STEM}-bob (1).ipynb": notebook(mark="bob")},
        {"ada_1_handin.ipynb": notebook(mark="ada"), "bob_1_handin.ipynb": notebook(mark="bob")},
        {f"a@example.org/{NOTEBOOK}": notebook(mark="ada"), "b@example.org.ipynb": notebook(mark="bob")},
    ],
)
def test_a_roster_makes_owners_certain(intake, tmp_path, entries):
    assert intake(entries, *roster(tmp_path, PEOPLE)) == 0
    assert placed(tmp_path) == {where("ada"): notebook(mark="ada"), where("bob"): notebook(mark="bob")}


def test_a_path_that_names_two_of_the_roster_is_asked_for(intake, tmp_path, capsys):
    assert intake({"ada/bob.ipynb": notebook()}, *roster(tmp_path, PEOPLE)) == 1
    assert students(tmp_path) == set()
    assert "several students of the roster: ada, bob" in " ".join(capsys.readouterr().out.split())


def test_short_numbers_of_a_roster_are_not_found_in_file_names(intake, tmp_path):
    options = roster(tmp_path, "id,name\n1,Ada Able\n2,Bob Baker\n")
    assert intake({"1_handin.ipynb": notebook(mark="1"), f"2/{NOTEBOOK}": notebook(mark="2")}, *options) == 1
    assert students(tmp_path) == set()


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{student}_*_handin.ipynb", "ada_1_handin.ipynb"),
        ("*/group-{student}/**", f"x/group-ada/y/z/{NOTEBOOK}"),
        ("**/{student}.zip/*", f"x/ada.zip/{NOTEBOOK}"),
    ],
)
def test_a_pattern_says_where_the_id_stands(intake, tmp_path, pattern, path):
    assert intake({path: notebook()}, "--pattern", pattern, name="download") == 0
    assert students(tmp_path) == {"ada"}


def test_a_file_that_does_not_fit_the_pattern_is_rejected(intake, tmp_path, capsys):
    assert intake({"ada_1_handin.ipynb": notebook(), "other.ipynb": notebook()}, "--pattern", "{student}_*.ipynb") == 1
    assert students(tmp_path) == {"ada"}
    assert "does not fit --pattern" in capsys.readouterr().out


def test_the_table_of_a_dry_run_is_taken_back_edited(intake, tmp_path, capsys):
    names = ("=x/one.ipynb", "two.ipynb", "three.ipynb", "four.ipynb")
    entries = {name: notebook(mark=name) for name in names}
    assert intake(entries, "--dry-run") == 1
    assert not (tmp_path / "submitted").exists()
    assert "--owners intake.csv" in " ".join(capsys.readouterr().out.split())
    with (tmp_path / "intake.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["student"] for row in rows] == ["", "", "", ""]
    said = {"one": "ada", "two": "bob; cyd", "three": "-", "four": ""}
    for row in rows:
        row["student"] = said[Path(row["file"]).stem]
    with (tmp_path / "intake.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert intake(entries, "--owners", "intake.csv") == 1  # nobody was named for the fourth
    assert placed(tmp_path) == {
        where("ada"): notebook(mark="=x/one.ipynb"),
        where("bob"): notebook(mark="two.ipynb"),
        where("cyd"): notebook(mark="two.ipynb"),
    }
    out = capsys.readouterr().out
    assert "1 rejected" in out
    assert "1 ignored" in out


@pytest.mark.parametrize(
    ("entries", "options"),
    [
        (
            {
                f"a_101_9001_{NOTEBOOK}": notebook(mark="first"),
                f"a_101_9002_{NOTEBOOK}": notebook(mark="second"),
                f"b_LATE_102_9003_{NOTEBOOK}": notebook(mark="late"),
            },
            ["--due", "2026-10-01 12:00", "--timezone", "UTC"],
        ),
        (GRADESCOPE, []),
        (BRIGHTSPACE, ["--timezone", "UTC"]),
    ],
)
def test_a_table_that_was_not_edited_changes_nothing(intake, tmp_path, entries, options):
    intake(entries, *options, "--dry-run")
    assert intake(entries, *options) == 0
    first = {path: path.read_bytes() for path in (tmp_path / "submitted").rglob("*") if path.is_file()}
    (tmp_path / "submitted").rename(tmp_path / "before")
    assert intake(entries, *options, "--owners", "intake.csv") == 0
    assert {path: path.read_bytes() for path in first} == first


def test_the_table_names_the_owner_of_a_single_file(intake, tmp_path):
    (tmp_path / "mine.ipynb").write_bytes(notebook())
    assert main(["intake", "mine.ipynb", "--into", "submitted", "--dry-run"]) == 1
    table = (tmp_path / "intake.csv").read_text()
    (tmp_path / "intake.csv").write_text(table.replace(f"rejected,,{STEM}", f"rejected,ada,{STEM}"))
    assert main(["intake", "mine.ipynb", "--into", "submitted", "--owners", "intake.csv"]) == 0
    assert students(tmp_path) == {"ada"}


def test_what_the_table_leaves_out_is_no_more_rejected(intake, tmp_path):
    (tmp_path / "owners.csv").write_text("file,student\ndownload.zip/ada.py,-\ndownload.zip/ada.ipynb,ada\n")
    assert intake({"ada.py": b"pass", "ada.ipynb": notebook()}, "--owners", "owners.csv") == 0


def test_a_hint_says_what_each_answer_would_make_of_a_path(intake, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    intake({f"lab1/ada/{NOTEBOOK}": notebook()})
    assert "--student-folder 1 takes 'lab1', 2 takes 'ada' as the student" in capsys.readouterr().out


# ---- groups ----------------------------------------------------------------------------------------------------------

GROUPS = "id,name,group\nada,Ada Able,g1\nbob,Bob Baker,g1\ncyd,Cyd Cray,g2\n"


def test_one_hands_in_for_the_roster_s_group_where_that_is_said(intake, tmp_path):
    options = roster(tmp_path, GROUPS)
    assert intake({"ada.ipynb": notebook(mark="1"), f"g2/{NOTEBOOK}": notebook(mark="2")}, *options) == 1
    assert students(tmp_path) == {"ada"}
    assert intake({"ada.ipynb": notebook(mark="1")}, *options, "--groups") == 0
    assert students(tmp_path) == {"ada", "bob"}


def test_a_member_s_own_notebook_counts_before_a_partner_s(intake, tmp_path):
    entries = {"ada.ipynb": notebook(mark="ada"), "bob.ipynb": notebook(mark="bob")}
    assert intake(entries, *roster(tmp_path, GROUPS), "--groups") == 0
    assert placed(tmp_path) == {where("ada"): notebook(mark="ada"), where("bob"): notebook(mark="bob")}


def test_between_two_partners_nobody_chooses(intake, tmp_path):
    options = roster(tmp_path, GROUPS.replace("g2", "g1"))
    assert intake({"ada.ipynb": notebook(mark="a"), "bob.ipynb": notebook(mark="b")}, *options, "--groups") == 1
    assert students(tmp_path) == {"ada", "bob"}


TEAMS = """\
Identifier,Full name,Email address,Group
Participant 17,Dan Dean,d@example.org,Team B
Participant 18,Ada Able,a@example.org,Team A
Participant 19,Bob Baker,b@example.org,Team A
"""
TEAM_A = {f"Team A_17_assignsubmission_file/{NOTEBOOK}": notebook()}


def test_a_team_s_number_in_moodle_is_not_the_participant_who_has_the_same(intake, tmp_path, capsys):
    assert intake(TEAM_A, *roster(tmp_path, TEAMS)) == 1
    assert students(tmp_path) == set()
    assert "with --groups it counts for all" in " ".join(capsys.readouterr().out.split())
    assert intake(TEAM_A, *roster(tmp_path, TEAMS), "--groups") == 0
    assert students(tmp_path) == {"a@example.org", "b@example.org"}


def test_a_number_of_moodle_s_with_another_name_than_the_roster_s_is_nobody_s(intake, tmp_path):
    assert intake(TEAM_A, *roster(tmp_path, TEAMS.replace(",Group", ",Section"))) == 1
    assert students(tmp_path) == set()
    named = {f'Dean, "D" Dan_17_assignsubmission_file/{NOTEBOOK}': notebook()}
    assert intake(named, *roster(tmp_path, TEAMS.replace("Dan Dean", '"Dan ""D"" Dean"'))) == 0
    assert students(tmp_path) == {"d@example.org"}


# ---- left aside ------------------------------------------------------------------------------------------------------


def test_who_handed_in_something_else_is_named(intake, tmp_path, capsys):
    entries = {
        f"a_101_9001_{NOTEBOOK}": notebook(),
        "a_101_9002_essay.pdf": b"%PDF",
        "b_102_9003_essay.pdf": b"%PDF",
        "c_103_9004_script.py": b"pass",
        "d_104_9005_other.ipynb": b'{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
        "e_105_9006_work.rar": b"Rar!",
        "f_106_9007_work.zip": b"PK and no zip",
        f"g_107_9008_{STEM}.gshortcut": b"{}",
    }
    assert intake(entries) == 1
    assert students(tmp_path) == {"101"}
    out = capsys.readouterr().out
    for student in ("102", "103", "104", "105", "106"):
        assert f"    {student}: download.zip/" in out
    assert f"107, {STEM}: download.zip/g_107_9008_{STEM}.gshortcut" in out
    assert "is a shortcut to a file that stayed where it was" in out
    assert "essay.pdf" in out
    assert "a_101_9002" not in out  # a notebook of theirs is there


def test_rosters_and_tables_are_decoded_as_notebooks_are(intake, tmp_path):
    for encoding in ("utf-16", "cp1252", "utf-8-sig"):
        (tmp_path / "roster.csv").write_bytes("id\tname\nada\tJosé Müller\nbob\tBob Baker\n".encode(encoding))
        assert intake({f"José Müller/{NOTEBOOK}": notebook()}, "--roster", "roster.csv", "--dry-run") == 0


@pytest.mark.parametrize("inside", ["submission_1/02_eager_causal.ipynb", "bob_102_4567_02_eager_causal.ipynb"])
def test_student_cannot_hand_in_for_another_by_names_inside_the_own_folder(inside):
    roster = Roster({name: frozenset({name}) for name in ("ann", "bob")} | {"102": frozenset({"bob"})})
    submitted = {("ann", "submission_1"): Submitted((("bob",),), None)}
    with pytest.raises(Unknown, match="in the folder of ann"):
        Known(download=Download(roster, submitted=submitted)).owner_of("download", ("ann", *inside.split("/")))
    own = {("ann", "submission_1"): Submitted((("ann",),), None)}
    path = ("ann", "submission_1", "02_eager_causal.ipynb")
    assert Known(download=Download(roster, submitted=own)).owner_of("download", path).raw == "ann"
