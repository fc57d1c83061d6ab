"""``attention-grading return``: points and feedback under the names that each platform gave."""

from __future__ import annotations

import csv
import io
import re
import shutil
import zipfile
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.converters.base import NbGraderException

from attention_grading.authoring.course_root import nbgrader, prepare
from attention_grading.authoring.demo_class import blank, one_mistake, right
from attention_grading.cli import main
from attention_grading.lms.candidates import Reading
from attention_grading.lms.intake import intake
from attention_grading.lms.owners.roster import read_roster
from attention_lab.variants import POINTS, VARIANTS
from support.places import ROOT
from support.platforms.sheets import CANVAS_EXPORT, MOODLE_SHEET

pytestmark = pytest.mark.nbgrader


VARIANT = VARIANTS["eager_causal"]
STEM = VARIANT.stem
NAMES = (f"one_101_9001_{STEM}.ipynb", f"two_LATE_102_9002_Copy of {STEM}.ipynb", f"three_103_9004_{STEM}-1.ipynb")
MOODLE_NAMES = tuple(
    f"{name}_assignsubmission_file_/{STEM}.ipynb" for name in ("One A_4711", "Two_B b_4712", "Three C_4713")
)


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Path:
    """A course whose three students came from Canvas; the second was late. Read it, copy it, leave it as it is."""
    folder = tmp_path_factory.mktemp("returns") / "course"
    prepare(ROOT, folder)
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write('\nc.LateSubmissionPlugin.penalty_method = "zero"\nc.JudgingRules.allow_unconfined = True\n')
    nbgrader(folder, "generate_assignment", STEM)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate=datetime(2026, 10, 1, 12))
    released = nbformat.read(folder / "release" / STEM / f"{STEM}.ipynb", as_version=4)
    master = nbformat.read(folder / "source" / STEM / f"{STEM}.ipynb", as_version=4)
    texts = [write(VARIANT, released, master) for write in (right, one_mistake, blank)]
    early = f"three_103_9003_{STEM}.ipynb"  # an earlier attempt of the third
    for archive, names in (("canvas.zip", (*NAMES, early)), ("moodle.zip", MOODLE_NAMES)):
        with zipfile.ZipFile(folder / archive, "w") as out:
            for name, text in zip(names, [*texts, texts[2]], strict=False):
                out.writestr(name, text)
    (folder / "canvas.csv").write_text(CANVAS_EXPORT)
    (folder / "moodle.csv").write_text(MOODLE_SHEET)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = ["--due", "2026-10-01 12:00", "--timezone", "UTC"]
        assert main(["intake", "canvas.zip", "--roster", "canvas.csv", *arguments]) == 0
    nbgrader(folder, "autograde", STEM)
    nbgrader(folder, "generate_feedback", STEM)
    return folder


@pytest.fixture
def course(graded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The graded course, to be changed."""
    folder = Path(shutil.copytree(graded, tmp_path / "course"))
    monkeypatch.chdir(folder)
    return folder


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_canvas_gets_points_by_its_own_ids_and_keeps_what_nobody_handed_in(course):
    assert main(["return", "--lms", "canvas", "--gradebook", "canvas.csv", "--download", "canvas.zip"]) == 0
    header, possible, *students = rows(course / "returned" / STEM / "grades.csv")
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", f"{STEM} (4567)"]
    assert (possible[0].strip(), possible[-1]) == ("Points Possible", "10")
    assert {row[1]: row[-1] for row in students} == {"101": "10", "102": "0", "103": "0", "104": "7", "105": ""}
    assert students[-1][0] == "'=2+5"
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        late = gradebook.find_submission(STEM, "102")
        assert 0 < late.score == late.late_submission_penalty


def test_canvas_gets_feedback_notebooks_under_the_names_that_it_gave(course):
    main(["return", "--lms", "canvas", "--gradebook", "canvas.csv", "--download", "canvas.zip"])
    with zipfile.ZipFile(course / "returned" / STEM / "feedback.zip") as archive:
        assert set(archive.namelist()) == set(NAMES)  # the attempt that counted
        texts = [archive.read(name).decode() for name in NAMES]
    for text in texts:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        assert not any("nbgrader" in cell.metadata for cell in notebook.cells)
        for hidden in ("HIDDEN TESTS", "from attention_grading", 'judge("eager_causal"'):
            assert hidden not in text
    first, second, _ = texts
    assert "**10 of 10 points.**" in first
    assert "image/png" in first
    assert "taken off because it was late" in second
    assert "diagnosis: causal-dropped-with-mask" in second


def test_feedback_page_names_the_checks_the_points_and_the_penalty(graded):
    first, second = ((graded / "feedback" / student / STEM / f"{STEM}.html").read_text() for student in ("101", "102"))
    assert f"{STEM}: 10 of 10 points<" in first
    assert f"{STEM}: 0 of 10 points (4 taken off because it was late)<" in second
    points = re.findall(r'href="#test-(\w+)">\1</a></td>\s*<td>(\S+) of (\S+)</td>', second)
    assert [name for name, _, _ in points] == list(POINTS)
    assert dict((name, float(most)) for name, _, most in points) == POINTS
    assert sum(float(earned) for _, earned, _ in points) == 4
    for page in (first, second):
        assert "img { max-width: 100%" in page
        assert page.count('id="test-values"') + page.count('name="test-values"') == 1


def test_graders_comment_goes_back_as_plain_text(course):
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        gradebook.find_comment("solution", STEM, STEM, "101").manual_comment = "neat <b>and</b> short"
        gradebook.db.commit()
    main(["return", "--lms", "canvas", "--download", "canvas.zip"])
    with zipfile.ZipFile(course / "returned" / STEM / "feedback.zip") as archive:
        text = "\n".join(cell.source for cell in nbformat.reads(archive.read(NAMES[0]), as_version=4).cells)
    assert r"**The grader's comment:** neat \<b\>and\</b\> short" in text


def test_what_was_handed_in_as_an_archive_goes_back_as_one(course):
    with zipfile.ZipFile("canvas.zip") as archive:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as packed:
            packed.writestr(f"{STEM}.ipynb", archive.read(NAMES[0]))
    with zipfile.ZipFile("packed.zip", "w") as archive:
        archive.writestr("one_101_9001_work.zip", inner.getvalue())
    assert main(["return", "--lms", "canvas", "--download", "packed.zip"]) == 1  # two students are not in it
    with zipfile.ZipFile(course / "returned" / STEM / "feedback.zip") as archive:
        assert archive.namelist() == ["one_101_9001_work.zip"]
        with zipfile.ZipFile(io.BytesIO(archive.read("one_101_9001_work.zip"))) as packed:
            assert set(packed.namelist()) == {f"{STEM}.ipynb", f"{STEM}.html"}


def as_moodle_reads(name: str) -> tuple[str, str]:
    """Participant's number and plugin, from a name in the archive, as Moodle's importer takes it apart."""
    parts = name.split("/")[0].split("_", 4)
    assert len(parts) >= 4
    return parts[1], "_".join(parts[2:4])


@pytest.mark.parametrize("download", [["--download", "moodle.zip"], []], ids=["names from download", "from worksheet"])
def test_moodle_gets_points_and_pages_by_participant(course, download):
    lines = intake([course / "moodle.zip"], course / "submitted", Reading(read_roster([course / "moodle.csv"])))
    assert {line.student for line in lines} == {"101", "102", "103"}
    assert main(["return", STEM, "--lms", "moodle", "--gradebook", "moodle.csv", *download]) == 0
    before, after = rows(course / "moodle.csv"), rows(course / "returned" / STEM / "grades.csv")
    assert [row[4] for row in after] == ["Grade", "10", "0", "0", "7.00", ""]
    for old, new in zip(before, after, strict=True):
        new[4] = old[4]
        assert [cell.removeprefix("'") for cell in new] == old
    assert after[-1][1] == "'=2+5"
    with zipfile.ZipFile(course / "returned" / STEM / "feedback.zip") as archive:
        found = {as_moodle_reads(name): archive.read(name).decode() for name in archive.namelist()}
    assert set(found) == {(number, "assignsubmission_file") for number in ("4711", "4712", "4713")}
    page = found["4712", "assignsubmission_file"]
    assert "diagnosis: causal-dropped-with-mask" in page
    assert "HIDDEN TESTS" not in page


def test_missing_gets_0_only_when_asked_and_only_where_nothing_stands(course):
    main(["return", "--lms", "canvas", "--gradebook", "canvas.csv", "--download", "canvas.zip", "--missing-zero"])
    got = {row[1]: row[-1] for row in rows(course / "returned" / STEM / "grades.csv")[2:]}
    assert (got["104"], got["105"]) == ("7", "0")


def test_nobody_who_handed_in_something_gets_0_for_nothing(course, capsys):
    """A PDF, a script, the wrong notebook, one that waits to be graded: each is listed with the reason."""
    export = course / "canvas.csv"
    late = [f'"Six, F",{number},s-{number},l{number},Group 1,,,\n' for number in (106, 107, 108, 109)]
    export.write_text(CANVAS_EXPORT + "".join(late))
    with zipfile.ZipFile(course / "second.zip", "w") as archive:
        archive.writestr("five_105_9005_essay.pdf", "%PDF")
        archive.writestr("six_106_9006_answer.py", "pass")
        archive.writestr(long := f"nine_109_9008_{'a_long_name_' * 9}.pdf", "%PDF")
        archive.writestr("seven_107_9007_other.ipynb", '{"cells": []}')
        archive.writestr(NAMES[0], (course / "submitted" / "101" / STEM / f"{STEM}.ipynb").read_bytes())
    assert main(["intake", "second.zip", "--roster", "canvas.csv"]) == 1
    shutil.copytree(course / "submitted" / "101", course / "submitted" / "108")
    capsys.readouterr()
    export_options = ["--gradebook", "canvas.csv", "--download", "canvas.zip", "--missing-zero"]
    assert main(["return", STEM, "--lms", "canvas", *export_options]) == 1
    got = {row[1]: row[-1] for row in rows(course / "returned" / STEM / "grades.csv")[2:]}
    assert {number: got[number] for number in ("105", "106", "107", "108")} == dict.fromkeys(
        ("105", "106", "107", "108"), ""
    )
    out = capsys.readouterr().out
    assert long in out  # in one piece, on a terminal of 80 columns
    said = " ".join(out.split())
    assert "=2+5 (105) has no points: second.zip/five_105_9005_essay.pdf is not a notebook" in said
    assert "F Six (106) has no points: second.zip/six_106_9006_answer.py is a script" in said
    assert "F Six (107) has no points: second.zip/seven_107_9007_other.ipynb neither its content nor its name" in said
    assert "F Six (108) has no points: handed in, and not graded yet" in said


def test_who_gets_0_is_listed_with_the_reason(course, capsys):
    main(["return", "--lms", "canvas", "--gradebook", "canvas.csv", "--download", "canvas.zip", "--missing-zero"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"{STEM}: 1 gets 0 (nothing handed in): =2+5 (105)" in said
    assert (
        f"{STEM}: 2 get 0 (graded; no point earned, or all taken off for lateness): Two, B (102), Three, C (103)"
        in said
    )


def test_a_notebook_that_came_later_takes_its_student_off_the_list(course):
    for name, data in (("five_105_9005_essay.pdf", "%PDF"), (f"five_105_9006_{STEM}.ipynb", None)):
        with zipfile.ZipFile(course / "one.zip", "w") as archive:
            archive.writestr(name, data or (course / "submitted" / "101" / STEM / f"{STEM}.ipynb").read_bytes())
        main(["intake", "one.zip", "--only", STEM])
        assert (course / "left_aside.csv").exists() == (data is not None)


def test_feedback_that_says_other_points_than_the_gradebook_does_not_go_back(course):
    """After a score is overridden by hand nbgrader keeps the page, whose submission has the same time."""
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        for grade in gradebook.find_submission_notebook(STEM, STEM, "103").grades:
            grade.manual_score = grade.max_score
        gradebook.db.commit()
    assert main(["return", STEM, "--lms", "moodle", "--gradebook", "moodle.csv", "--download", "moodle.zip"]) == 0
    with zipfile.ZipFile(course / "returned" / STEM / "feedback.zip") as archive:
        name = next(name for name in archive.namelist() if "4713" in name)
        page = archive.read(name).decode()
    assert f"{STEM}: 10 of 10 points" in page


def test_a_notebook_for_canvas_says_which_points_by_hand_were_kept(course):
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        grade = gradebook.find_grade("test-masking", STEM, STEM, "101")
        grade.manual_score, grade.needs_manual_grade = 1, True  # as it is after another grading
        gradebook.db.commit()
    assert main(["return", "--lms", "canvas", "--download", "canvas.zip"]) == 1
    with zipfile.ZipFile(course / "returned" / STEM / "feedback.zip") as archive:
        first = nbformat.reads(archive.read(NAMES[0]), as_version=4).cells[0].source
    assert "**9 of 10 points.**" in first
    assert "Note: hand score of 1 in masking kept from an earlier grading." in first


def test_an_old_page_that_cannot_be_written_anew_does_not_go_back(course, capsys, monkeypatch):
    def fails(self) -> None:
        raise NbGraderException("the gradebook is locked")

    monkeypatch.setattr(GenerateFeedback, "convert_notebooks", fails)
    assert main(["return", STEM, "--lms", "moodle", "--gradebook", "moodle.csv", "--download", "moodle.zip"]) == 1
    assert not (course / "returned" / STEM / "feedback.zip").exists()
    assert capsys.readouterr().out.count("its page is an old one") == 3


def test_names_and_those_who_handed_in_nothing_are_in_the_gradebook(course):
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        people = {one.id: (one.first_name, one.last_name) for one in gradebook.students}
    assert people["101"] == ("A", "One")
    assert people["105"][1] == "'=2+5"  # nbgrader export writes a spreadsheet
    assert set(people) == {"101", "102", "103", "104", "105"}


def test_what_a_roster_does_not_tell_stays_in_the_gradebook(course):
    (course / "ids.csv").write_text("id,email\n101,a@example.org\n")
    main(["intake", "canvas.zip", "--roster", "ids.csv"])
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        one = gradebook.find_student("101")
        assert (one.first_name, one.last_name, one.email) == ("A", "One", "a@example.org")


def test_partners_get_their_points_and_one_page_each(course):
    (course / "groups.csv").write_text("id,name,group\n103,Three C,g\n104,Four D,g\n")
    shutil.rmtree(course / "submitted" / "103")
    assert main(["intake", "canvas.zip", "--roster", "groups.csv", "--groups", "--replace"]) == 0
    nbgrader(course, "autograde", STEM)
    options = ["--gradebook", "moodle.csv", "--download", "moodle.zip", "--roster", "groups.csv", "--groups"]
    assert main(["return", STEM, "--lms", "moodle", *options]) == 0
    assert [row[4] for row in rows(course / "returned" / STEM / "grades.csv")] == ["Grade", "10", "0", "0", "0", ""]
    with zipfile.ZipFile(course / "returned" / STEM / "feedback.zip") as archive:
        assert {as_moodle_reads(name)[0] for name in archive.namelist()} == {"4711", "4712", "4713", "4714"}


def test_without_an_export_canvas_joins_by_id_and_name(course, capsys):
    assert main(["return", "--lms", "canvas", "--download", "canvas.zip"]) == 0
    assert f"{STEM}: 2 get no points (nothing handed in): =2+5 (105), D Four (104)" in " ".join(
        capsys.readouterr().out.split()
    )
    header, _, first, *_ = rows(course / "returned" / STEM / "grades.csv")
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", STEM]
    assert first == ["A One", "101", "", "", "", "10"]  # whose SIS ids nobody knows


def test_what_is_left_to_look_at_is_said(course, capsys):
    (course / "autograded" / "103" / STEM / f"{STEM}.ipynb").write_text("{")
    (course / "moodle.csv").write_text(MOODLE_SHEET.replace(",101,", ",999,").replace("4711", "4799"))
    assert main(["return", STEM, "--lms", "moodle", "--gradebook", "moodle.csv"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "not in the platform's export, so that nothing goes back to them there: A One (101)" in said
    assert "C Three (103): no feedback page, and none could be written; run: nbgrader generate_feedback" in said
    assert "A One (101): no feedback" not in said  # once is enough


def test_older_files_are_kept_and_paths_are_said(course, capsys):
    for _ in range(2):
        capsys.readouterr()
        main(["return", "--lms", "canvas", "--download", "canvas.zip"])
    said = " ".join(capsys.readouterr().out.split())
    for name in ("grades.csv", "feedback.zip"):
        assert f"returned/{STEM}/{name}; the older one is kept as {name}.1" in said
    kept = {path.name for path in (course / "returned" / STEM).iterdir()}
    assert kept == {"grades.csv", "grades.csv.1", "feedback.zip", "feedback.zip.1"}


def test_wrong_usage_is_told_with_2(course, capsys):
    assert main(["return", "07_none", "--lms", "canvas"]) == 2
    assert "the gradebook has no 07_none" in capsys.readouterr().err
    assert main(["return", STEM, "--lms", "canvas", "--gradebook", "moodle.csv"]) == 2
    assert "is no export of Canvas's gradebook" in capsys.readouterr().err
    assert main(["return", "--lms", "canvas", "--download", "none.zip"]) == 2
    assert capsys.readouterr().err == "attention-grading: nothing was written. There is no none.zip\n"
    with pytest.raises(SystemExit) as ended:
        main(["return", "--lms", "moodle", "--gradebook", "moodle.csv"])
    assert ended.value.code == 2


def test_without_an_export_an_id_that_canvas_did_not_give_is_no_number_of_canvas(course, capsys):
    """The columns of SIS ids once held the gradebook's ids, by which Canvas might find somebody else."""
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        gradebook.add_student("bbaker", first_name="Bob", last_name="Baker")
        gradebook.add_submission(STEM, "bbaker")
    assert main(["return", STEM, "--lms", "canvas", "--download", "canvas.zip"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "without --gradebook, Canvas finds a student by its own number alone" in said
    assert "Bob Baker (bbaker)" in said
    assert "bbaker" not in (course / "returned" / STEM / "grades.csv").read_text()


def test_nothing_graded_is_told(tmp_path, monkeypatch, capsys):
    prepare(ROOT, tmp_path / "course")
    monkeypatch.chdir(tmp_path / "course")
    assert main(["return", "--lms", "canvas"]) == 2
    assert "nothing has been graded yet" in capsys.readouterr().err


@pytest.mark.parametrize("platform", ["canvas", "moodle"])
def test_ids_that_a_sheet_or_a_terminal_would_obey_go_back_nowhere(course, capsys, platform):
    odd = ["=2+5", "@x", "[101]", "a\x1b[2Jb"]
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        for student in odd:
            gradebook.add_student(student)
            gradebook.add_submission(STEM, student)
    sheet = ["--gradebook", "moodle.csv"] if platform == "moodle" else []
    assert main(["return", STEM, "--lms", platform, "--download", f"{platform}.zip", *sheet]) == 1
    said = capsys.readouterr().out
    assert said.count("gets nothing back: the id") == len(odd)
    assert "\x1b" not in said
    text = (course / "returned" / STEM / "grades.csv").read_text()
    assert "@x" not in text
    assert "[101]" not in text
    assert len([row for row in rows(course / "returned" / STEM / "grades.csv") if "10" in row]) >= 1
