"""``attention-grading grade``: nbgrader's results, only what changed, and no harm from interruptions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import nbformat
import psutil
import pytest
from classes import InlineCrew, database, grade, grade_command, graded_files, hand_in, make_course, rows, scores, wide
from nbgrader.api import Gradebook
from nbgrader.utils import find_all_files
from rich.console import Console

from attention_grading import cli
from attention_grading.authoring.course_root import nbgrader
from attention_grading.classroom import gradebook_writer, local_pool, task
from attention_grading.classroom.fingerprint import STAMP, fingerprint, stamp_of
from attention_grading.classroom.progress import RunSummary, summary_table
from attention_grading.classroom.task import Graded, grade_submission
from attention_grading.execution.notebook_runner import OutputLimits
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.judging.session import Terms
from attention_grading.nbgrader_plugin.course import load_course
from attention_grading.notebooks.grade import GradingTerms, NotebookTask
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import Interrupted, WorkerFailed

STEM = "02_eager_causal"
OTHER = "05_flash_bidirectional"
LATE = 'c.LateSubmissionPlugin.penalty_method = "zero"\n'


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same class graded by ``attention-grading grade`` and by ``nbgrader autograde``; tests only read it."""
    ours = make_course(tmp_path_factory.mktemp("both") / "ours", [STEM, OTHER], LATE)
    with Gradebook(database(ours), "attention") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-01-01 00:00:00 UTC")
    for kind in ("all-right", "one-mistake", "blank", "syntax-error", "broken-file", "forges-marks", "pries"):
        hand_in(ours, kind, STEM, kind)
    hand_in(ours, "one-mistake", OTHER, "one-mistake")
    hand_in(ours, "renamed", STEM, "one-mistake", name=f"Copy of {STEM} (1).ipynb")
    for student, day in (("late", "2026-01-02"), ("in-time", "2025-12-30")):
        folder = hand_in(ours, student, STEM, "one-mistake").parent
        (folder / "timestamp.txt").write_text(f"{day} 00:00:00 UTC")
        (folder / "notes").mkdir()
        (folder / "notes" / "mine.txt").write_text("notes")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "table.csv").write_text("the student's")
    (ours / "source" / STEM / "table.csv").write_text("the instructor's")
    theirs = shutil.copytree(ours, ours.parent / "theirs", symlinks=True)
    for stem in (STEM, OTHER):
        nbgrader(theirs, "autograde", stem)
    out = grade(ours, "--workers", "2", "--report", "report.json")
    (ours / "grade.out").write_text(out)
    return ours, theirs


@pytest.mark.parametrize("part", ["students", "submissions", "notebooks", "grades", "comments", "courses", "lengths"])
def test_gradebook_holds_what_nbgrader_would_have_written(both, part):
    ours, theirs = (rows(database(folder))[part] for folder in both)
    assert ours == theirs
    assert ours


def test_graded_folders_hold_what_nbgrader_would_have_written(both):
    ours, theirs = map(graded_files, both)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 11 + 2 * 2 + 10  # notebooks, two students' own files, the instructor's table
    for name in ours:
        assert ours[name][1] == theirs[name][1], name
        # how a hostile import is refused hangs on whether the folder was touched meanwhile
        texts = [re.sub(rb"(ModuleNotFound|Permission)Error", b"refused", files[name][0]) for files in (ours, theirs)]
        assert texts[0] == texts[1], name


def test_class_earns_what_it_should(both):
    got = scores(database(both[0]))
    points = {student: score for (student, stem), (score, _) in got.items() if stem == STEM}
    assert points == {
        "all-right": 10,
        "pries": 10,
        "one-mistake": 4,
        "renamed": 4,
        "in-time": 4,
        "late": 0,
        "forges-marks": points["forges-marks"],
        "blank": 0,
        "syntax-error": 0,
        "broken-file": 0,
    }
    assert points["forges-marks"] < 10
    assert {best for _, best in got.values()} == {10}


def test_problems_are_said_one_line_each(both):
    lines = (both[0] / "grade.out").read_text().splitlines()
    for start in (
        f"broken-file, {STEM}: cannot be judged: the notebook is broken",
        f"renamed, {STEM}: Copy of {STEM} (1).ipynb is graded as {STEM}.ipynb",
        f"late, {STEM}: handed in 1 day, 0:00:00 late, penalty 4",
        f"in-time, {STEM}: link is a link to /etc/passwd; it was set aside",
        f"syntax-error, {STEM}: cell solution does not parse",
    ):
        assert len([line for line in lines if line.startswith(start)]) == 1, start
    table = next(line.split() for line in lines if line.startswith(f" {STEM}") or line.startswith(STEM))
    assert table[:5] == [STEM, "10", "0", "6", "0"]


def test_report_has_the_run_in_figures(both):
    report = json.loads((both[0] / "report.json").read_text())
    assert report["graded"] == {STEM: 10, OTHER: 1}
    assert len(report["marks"][STEM]) == 10
    assert 0 < report["seconds_serial"] < report["seconds"]
    assert report["signal"] == 0


def test_pictures_are_kept(both):
    notebook = nbformat.read(both[0] / "autograded" / "all-right" / STEM / f"{STEM}.ipynb", as_version=4)
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) >= 2


# ---- in this process: one warm session for all -----------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _one_session() -> Iterator[None]:
    yield
    task.close_session()


@pytest.fixture(scope="module")
def blank_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_course(tmp_path_factory.mktemp("blank") / "course", [STEM], LATE)


@pytest.fixture
def small(blank_course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with four submissions, and the command that grades in this process."""
    folder = shutil.copytree(blank_course, tmp_path / "course")
    for student, kind in {"ann": "all-right", "bob": "one-mistake", "cem": "blank", "dot": "one-mistake"}.items():
        hand_in(folder, student, STEM, kind)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    return folder


def points(folder: Path) -> dict[str, float]:
    return {student: score for (student, _), (score, _) in scores(database(folder)).items()}


RIGHT = {"ann": 10, "bob": 4, "cem": 0, "dot": 4}


def run(*options: str) -> int:
    return cli.main(["grade", *options])


def graded_students(folder: Path) -> set[str]:
    return {stamp.parent.parent.name for stamp in (folder / "autograded").glob(f"*/{STEM}/{STAMP}")}


def test_only_what_changed_is_graded_again(small, capsys):
    assert run() == 0
    assert points(small) == RIGHT
    stamps = {student: (small / "autograded" / student / STEM / STAMP).stat().st_mtime_ns for student in RIGHT}
    hand_in(small, "cem", STEM, "all-right")
    capsys.readouterr()
    assert run("--report", "report.json") == 0
    report = json.loads(Path("report.json").read_text())
    assert (report["graded"], report["unchanged"]) == ({STEM: 1}, {STEM: 3})
    assert points(small) == RIGHT | {"cem": 10}
    now = {student: (small / "autograded" / student / STEM / STAMP).stat().st_mtime_ns for student in RIGHT}
    assert {student for student in RIGHT if now[student] != stamps[student]} == {"cem"}
    assert run("--force", "--student", "ann", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: 1}


def change_master(folder: Path) -> None:
    master = folder / "source" / STEM / f"{STEM}.ipynb"
    text = master.read_text()
    assert "## Try it" in text
    master.write_text(text.replace("## Try it", "## Try yours"))


def grant_time(folder: Path) -> None:
    with Gradebook(database(folder), "attention") as gradebook:
        gradebook.update_or_create_assignment(STEM, duedate="2026-01-01 00:00:00 UTC")
        gradebook.update_or_create_submission(STEM, "bob", timestamp="2026-01-02 00:00:00 UTC")


def forget(folder: Path) -> None:
    with Gradebook(database(folder), "attention") as gradebook:
        gradebook.remove_submission(STEM, "bob")


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda folder: (folder / "submitted" / "bob" / STEM / "more.txt").write_text("x"), {"bob"}),
        (lambda folder: shutil.rmtree(folder / "autograded" / "bob"), {"bob"}),
        (forget, {"bob"}),
        (grant_time, {"bob"}),
        (lambda folder: (folder / ".grading_seed").write_text("another seed\n"), set(RIGHT)),
        (change_master, set(RIGHT)),
    ],
    ids=["a file more", "folder gone", "not in the gradebook", "late now", "another seed", "another master"],
)
def test_whatever_a_grade_hangs_on_makes_it_graded_again(small, capsys, change: Callable[[Path], object], again):
    assert run("--verdict-only") == 0
    assert run("--verdict-only", "--dry-run") == 0
    assert re.search(rf"{STEM} +0 +4", capsys.readouterr().out)
    change(small)
    assert run("--verdict-only", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: len(again)}


def test_verdict_only_gives_the_same_scores_and_no_pictures(small):
    assert run("--verdict-only") == 0
    assert points(small) == RIGHT
    for student in RIGHT:
        assert "image/png" not in (small / "autograded" / student / STEM / f"{STEM}.ipynb").read_text()


def test_manual_grades_survive_as_nbgrader_keeps_them(small):
    assert run() == 0
    with Gradebook(database(small), "attention") as gradebook:
        mark = gradebook.find_grade("test-masking", STEM, STEM, "bob")
        mark.manual_score, mark.extra_credit, mark.needs_manual_grade = 1.5, 0.5, False
        gradebook.find_comment("solution", STEM, STEM, "bob").manual_comment = "well tried"
        gradebook.db.commit()
    theirs = shutil.copytree(small, small.parent / "theirs")
    nbgrader(theirs, "autograde", STEM, "--student", "bob", "--force")
    assert run("--student", "bob", "--force") == 0
    assert rows(database(small)) == rows(database(theirs))
    assert points(small) == RIGHT | {"bob": 6}
    with Gradebook(database(small), "attention") as gradebook:
        assert gradebook.find_grade("test-masking", STEM, STEM, "bob").needs_manual_grade


def test_half_a_character_in_a_cell_costs_nobody_the_grade(small):
    path = small / "submitted" / "ann" / STEM / f"{STEM}.ipynb"
    text = path.read_text()
    path.write_text(text.replace("def eager_causal_attention(", "word = '\\ud800'\\ndef eager_causal_attention(", 1))
    assert path.read_text() != text
    assert run("--verdict-only") == 0
    assert points(small) == RIGHT


def test_stamp_stays_out_of_feedback(small):
    assert run("--verdict-only") == 0
    folder = small / "autograded" / "ann" / STEM
    course = load_course(small)
    assert stamp_of(folder) is not None
    assert [Path(path).name for path in find_all_files(str(folder), course.coursedir.ignore)] == [f"{STEM}.ipynb"]


def test_dry_run_writes_nothing(small, capsys):
    (small / ".grading_seed").unlink()
    (small / "submitted" / "bob" / STEM / f"{STEM}.ipynb").rename(small / "submitted" / "bob" / STEM / "copy.ipynb")
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*") if "__pycache__" not in path.parts}
    assert run("--dry-run") == 0
    assert re.search(rf"{STEM} +4 +0", capsys.readouterr().out)
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*") if "__pycache__" not in path.parts} == before


def test_crash_between_gradebook_and_folder_has_it_graded_again(small, monkeypatch):
    assert run("--verdict-only") == 0
    hand_in(small, "bob", STEM, "all-right")
    old = graded_files(small)

    def crash(staged: Path, place: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gradebook_writer, "_put_into_place", crash)
        with pytest.raises(KeyboardInterrupt):
            run("--verdict-only")
    assert points(small) == RIGHT | {"bob": 10}
    assert graded_files(small) == old
    assert not list((small / "autograded").rglob(".*.new"))
    assert run("--verdict-only", "--report", "report.json") == 0
    assert json.loads(Path("report.json").read_text())["graded"] == {STEM: 1}
    assert graded_files(small) != old


def test_gradebook_that_fails_leaves_the_submission_ungraded_and_the_others_graded(small, monkeypatch, capsys):
    penalise = gradebook_writer._write_grades

    def fail(submitted: object, columns: object, graded: object) -> None:
        if submitted.assignment.student_id == "bob":
            penalise(submitted, columns, replace(graded, scores={"test-values": 2.0}))
            raise OSError("the disk is full")
        penalise(submitted, columns, graded)

    with monkeypatch.context() as patch:
        patch.setattr(gradebook_writer, "_write_grades", fail)
        assert run("--verdict-only") == 1
    assert f"bob, {STEM}: could not be recorded: OSError: the disk is full" in capsys.readouterr().out
    assert points(small) == {student: score for student, score in RIGHT.items() if student != "bob"}
    assert graded_students(small) == {"ann", "cem", "dot"}
    assert run("--verdict-only") == 0
    assert points(small) == RIGHT


def test_only_as_many_are_in_work_as_there_is_room(small, monkeypatch):
    class Lazy(InlineCrew):
        now = most = 0

        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            Lazy.now += 1
            Lazy.most = max(Lazy.most, Lazy.now)
            future = super().submit(tasks, terms)
            done = future.exception

            def taken(timeout: float | None = None) -> BaseException | None:
                Lazy.now -= 1
                return done(timeout)

            future.exception = taken
            return future

    for number in range(6):
        hand_in(small, f"more-{number}", STEM, "blank")
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Lazy)
    assert run("--verdict-only") == 0
    assert len(points(small)) == 10
    assert Lazy.most == 3  # two in work, one that is being recorded


@pytest.mark.parametrize("error", [WorkerFailed("no confinement here"), BrokenProcessPool("all are gone")])
def test_what_would_fail_for_everybody_ends_the_run(small, monkeypatch, capsys, error):
    class Failing(InlineCrew):
        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            future: Future[Graded] = Future()
            future.set_exception(error)
            return future

    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Failing)
    assert run() == 1
    out = capsys.readouterr().out
    assert f"Stopped: {error}" in out
    assert "run the same command again" in out
    assert points(small) == {}


def test_process_that_dies_twice_costs_its_submission_alone(small, monkeypatch, capsys):
    class Deadly(local_pool.LocalPool):
        tries = 0

        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            if "the scale is missing" in tasks[0].text or "the triangle is lost" in tasks[0].text:
                Deadly.tries += 1
                return self._pool.schedule(os._exit, (9,))
            return super().submit(tasks, terms)

    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Deadly)
    assert run("--verdict-only", "--workers", "1") == 1
    out = capsys.readouterr().out
    assert Deadly.tries == 4
    for student in ("bob", "dot"):
        assert f"{student}, {STEM}: could not be graded: its process died (twice, the second time alone)" in out
    assert points(small) == {"ann": 10, "cem": 0}
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    assert run("--verdict-only") == 0
    assert points(small) == RIGHT


class Interrupting(InlineCrew):
    """A crew in which somebody else ends the process of two submissions, a given number of times each."""

    times = 1
    order: ClassVar[list[str]] = []

    def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
        self.order.append(tasks[0].text)
        if "the triangle is lost" in tasks[0].text and self.order.count(tasks[0].text) <= self.times:
            future: Future[Graded] = Future()
            future.set_exception(Interrupted("its process was killed from outside"))
            return future
        return super().submit(tasks, terms)


def test_submission_that_others_ended_is_graded_again_when_the_rest_is_done(small, monkeypatch, capsys):
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Interrupting)
    monkeypatch.setattr(Interrupting, "order", [])
    assert run("--verdict-only") == 0
    assert points(small) == RIGHT
    assert "the triangle is lost" in Interrupting.order[-1]
    assert len(Interrupting.order) == len(RIGHT) + 1


def test_submission_that_others_ended_twice_stays_ungraded(small, monkeypatch, capsys):
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Interrupting)
    monkeypatch.setattr(Interrupting, "order", [])
    monkeypatch.setattr(Interrupting, "times", 3)  # two first tries, one second
    assert run("--verdict-only") == 1
    out = capsys.readouterr().out
    assert "bob" not in points(small)
    assert f"bob, {STEM}: could not be graded: its process was killed from outside (twice, the second" in out


@pytest.mark.parametrize("student", ["=1+1", "a[red]b", "@sum"])
def test_id_that_a_spreadsheet_or_a_terminal_would_run_is_not_graded(small, capsys, student):
    hand_in(small, student, STEM, "all-right")
    assert run("--verdict-only") == 1
    assert f"{student}, {STEM}: could not be graded: the student's id" in capsys.readouterr().out
    assert points(small) == RIGHT


# ---- a gradebook that somebody else holds ----------------------------------------------------------------------------


@contextlib.contextmanager
def locked(course: Path) -> Iterator[None]:
    """Another program writes to the gradebook and does not finish."""
    with contextlib.closing(sqlite3.connect(course / "gradebook.db")) as other:
        other.execute("begin exclusive")
        yield
        other.rollback()


def test_locked_gradebook_is_said_in_one_line(small, capsys, monkeypatch):
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    with locked(small):
        assert run("--verdict-only") == 2
    err = capsys.readouterr().err
    assert "in use by another program" in err
    assert len(err.splitlines()) == 1
    assert run("--verdict-only") == 0
    assert points(small) == RIGHT


def test_gradebook_that_is_locked_during_a_run_ends_it_in_good_order(small, capsys, monkeypatch):
    locks = contextlib.ExitStack()

    class Locking(InlineCrew):
        def submit(self, tasks: Sequence[NotebookTask], terms: GradingTerms) -> Future[Graded]:
            graded = super().submit(tasks, terms)
            if not Locking.held:
                Locking.held = True
                locks.enter_context(locked(small))
            return graded

        held = False

    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", Locking)
    with locks:
        assert run("--verdict-only") == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out
    assert "in use by another program" in out
    assert points(small) == {}
    assert run("--verdict-only") == 0
    assert points(small) == RIGHT


# ---- where grading cannot start --------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run(*options) == 2
    return capsys.readouterr().err


def test_summary_of_a_large_class_fits_in_80_columns():
    name = "01_eager_bidirectional"
    report = RunSummary(marks={name: [(10.0, 10.0)] * 1000}, worker_seconds=Counter({name: 119_940.0}))
    for counter in (report.graded, report.unchanged, report.problems, report.ungraded):
        counter[name] = 1000
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(report))
    text = console.export_text()
    assert "…" not in text
    assert f"{name}    1000" in text
    assert "119.94" in text


def test_assignment_that_was_never_generated_says_what_to_run(small, capsys):
    assert f"run: nbgrader generate_assignment {OTHER} --force" in refused(capsys, OTHER)
    hand_in_place = small / "submitted" / "ann" / OTHER
    hand_in_place.mkdir()
    shutil.copy(small / "submitted" / "ann" / STEM / f"{STEM}.ipynb", hand_in_place / f"{OTHER}.ipynb")
    assert f"run: nbgrader generate_assignment {OTHER} --force" in refused(capsys)
    (small / "gradebook.db").unlink()
    assert "run: nbgrader generate_assignment ASSIGNMENT --force" in refused(capsys, STEM)
    assert not (small / "gradebook.db").exists()


def test_mistyped_assignment_is_told_what_there_is(small, capsys):
    said = refused(capsys, f"{STEM}x")
    assert f"there is no assignment {STEM}x; there are: " in said
    assert STEM in said.partition("there are: ")[2]
    assert "generate_assignment" not in said


def test_other_places_students_and_configurations_are_refused(small, capsys, monkeypatch):
    assert "by nobody" in refused(capsys, "--student", "nobody")
    config = small / "nbgrader_config.py"
    text = config.read_text()
    config.write_text(text + "from nbgrader.preprocessors import Execute\n" + STOCK)
    assert "autogrades by other steps" in refused(capsys)
    config.write_text(text + "1 / 0\n")
    assert "ZeroDivisionError" in refused(capsys)
    config.write_text(text)
    shutil.rmtree(small / "submitted")
    assert "no submissions" in refused(capsys)
    monkeypatch.chdir(small.parent)
    assert "no nbgrader_config.py" in refused(capsys)


STOCK = "c.Autograde.autograde_preprocessors = [Execute, WriteVerdict, SaveAutoGrades]\n"


def test_submission_that_cannot_be_read_is_not_graded_and_says_so(small, capsys):
    (small / "submitted" / "bob" / STEM / "timestamp.txt").write_text("yesterday evening")
    with (small / "nbgrader_config.py").open("a") as config:  # the course's own hook would set that file aside
        config.write("c.Autograde.pre_convert_hook = lambda **names: None\n")
    assert run("--verdict-only") == 1
    assert f"bob, {STEM}: could not be graded: timestamp.txt holds no time" in capsys.readouterr().out
    assert points(small) == {student: score for student, score in RIGHT.items() if student != "bob"}


# ---- signals and processes -------------------------------------------------------------------------------------------


@pytest.fixture
def big(blank_course: Path, tmp_path: Path) -> Path:
    """A course with 30 submissions, a third each right, wrong and blank."""
    folder = shutil.copytree(blank_course, tmp_path / "course")
    for number in range(30):
        hand_in(folder, f"student-{number:02}", STEM, ("all-right", "one-mistake", "blank")[number % 3])
    return folder


BIG = {f"student-{number:02}": (10, 4, 0)[number % 3] for number in range(30)}


def started(folder: Path, *options: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start grading and wait until some submissions are recorded; give back the process and those that it started."""
    command = grade_command("--verdict-only", *options)
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=wide()
    )
    deadline = time.monotonic() + 300
    while len(graded_students(folder)) < 3:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, psutil.Process(process.pid).children(recursive=True)


def consistent(folder: Path) -> set[str]:
    """The students that are graded; asserts that gradebook and folders tell the same."""
    with sqlite3.connect(folder / "gradebook.db") as connection:
        ungraded = connection.execute("select count(*) from grade where auto_score is null").fetchone()
    assert ungraded == (0,)
    recorded = points(folder)
    assert recorded == {student: BIG[student] for student in recorded}
    assert graded_students(folder) <= recorded.keys()
    assert len(recorded) - len(graded_students(folder)) <= 1  # killed between the two
    return graded_students(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_stopped_run_leaves_a_consistent_gradebook_and_the_next_goes_on(big, number):
    process, children = started(big, "--workers", "1")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == (128 + number if number != signal.SIGKILL else -number), out
    assert not psutil.wait_procs(children, timeout=20)[1], "processes were left behind"
    before = consistent(big)
    assert 3 <= len(before) < 30
    if number != signal.SIGKILL:
        assert f"Stopped by {number.name}" in out
        assert "run the same command again to go on" in out
        return  # going on is the same whatever the signal was
    grade(big, "--verdict-only", "--workers", "1", "--report", "report.json")
    report = json.loads((big / "report.json").read_text())
    assert report["unchanged"] == {STEM: len(before)}
    assert report["graded"] == {STEM: 30 - len(before)}
    assert points(big) == BIG
    assert consistent(big) == BIG.keys()


def test_killed_process_of_the_pool_costs_a_retry_and_nothing_else(big):
    process, children = started(big, "--workers", "2", "--report", "report.json")
    working = [child for child in children if "spawn_main" in " ".join(child.cmdline()) and child.children()]
    working[0].kill()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert json.loads((big / "report.json").read_text())["retries"] == 1
    assert points(big) == BIG
    assert consistent(big) == BIG.keys()


# ---- parts -----------------------------------------------------------------------------------------------------------


def test_seed_shows_in_no_text_and_changes_the_fingerprint(tmp_path):
    (tmp_path / "file").write_text("text")
    terms = GradingTerms(Terms("a secret seed", Limits(), OutputLimits(), True))
    assert "secret" not in f"{terms} {terms!r}"
    others = [
        replace(terms, judging=replace(terms.judging, seed=PUBLIC_SEED)),
        replace(terms, judging=replace(terms.judging, limits=Limits(seconds=1))),
        replace(terms, verdict_only=True),
        replace(terms, max_lines=5),
        replace(terms, version="0"),
    ]
    prints = [fingerprint(tmp_path, ["master"], other, 0) for other in [terms, *others]]
    prints += [fingerprint(tmp_path, ["changed"], terms, 0), fingerprint(tmp_path, ["master"], terms, 5)]
    (tmp_path / "file").write_text("other text")
    prints.append(fingerprint(tmp_path, ["master"], terms, 0))
    assert len(set(prints)) == len(prints)
    assert "secret" not in "".join(prints)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fingerprint"', "\xff"])
def test_damaged_stamp_counts_as_none(tmp_path, text):
    (tmp_path / STAMP).write_text(text, encoding="latin-1")
    assert stamp_of(tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("nonsense", 8)]
)
def test_workers_are_as_many_as_affinity_and_quota_allow(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert local_pool.usable_cores(tmp_path / "cpu.max") == cores


def test_worker_of_another_version_refuses(tmp_path):
    terms = GradingTerms(Terms(PUBLIC_SEED, Limits(), OutputLimits(), True), version="0.0.0")
    with pytest.raises(task.WrongVersion, match="was started with"):
        grade_submission([], terms)
