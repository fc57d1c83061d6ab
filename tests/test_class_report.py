"""The class report: right figures, nothing from elsewhere, names only where they belong."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from attention_grading.authoring.demo_class import STUDENTS
from attention_grading.cli import main
from attention_grading.judging.verdict import CheckResult, Verdict, not_judged
from attention_grading.nbgrader_plugin.configuration import open_course
from attention_grading.nbgrader_plugin.gradebook_reader import ClassMarks, Mark
from attention_grading.notebooks.verdict_cells import Finding, read_notebook, write_verdict
from attention_grading.report.command import make_report
from attention_grading.report.figures import (
    AssignmentFigures,
    ClassReport,
    Problem,
    assignment_figures,
    mistake_figures,
)
from attention_grading.report.page import page
from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[1]
STEMS = [variant.stem for variant in VARIANTS.values()]


@pytest.fixture
def in_course(course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's course root, as the working directory."""
    monkeypatch.chdir(course)
    return course


def graded(*results: CheckResult, notes: tuple[str, ...] = ()) -> dict:
    """A graded notebook, as the grader writes it."""
    variant = VARIANTS["eager_causal"]
    notebook = nbformat.read(ROOT / "source" / variant.stem / f"{variant.stem}.ipynb", as_version=4)
    by_name = {result.name: result for result in results}
    checks = tuple(by_name.get(check.name, check) for check in not_judged(variant, "[x] it is wrong").checks)
    write_verdict(notebook, Verdict(variant.name, checks, notes))
    return notebook


def passing(name: str, points: int) -> CheckResult:
    return CheckResult(name, points, points, "passed")


# ---- the demo's class ------------------------------------------------------------------------------------------------
def test_figures_are_those_of_the_gradebook_and_the_notebooks(in_course):
    report = make_report(open_course(in_course), [])
    assert [one.name for one in report.assignments] == STEMS
    assert report.students == len({path.name for path in (in_course / "autograded").iterdir() if path.is_dir()})
    for one in report.assignments:
        handed_in = list((in_course / "submitted").glob(f"*/{one.name}"))
        assert one.graded == len(handed_in) == sum(one.histogram)
        assert one.graded + one.missing == report.students
        assert (one.blank, one.late) == (1, 0)
        assert one.histogram[10] == one.full >= 1
        with Gradebook(f"sqlite:///{in_course / 'gradebook.db'}") as gradebook:
            assert one.mean == pytest.approx(gradebook.average_assignment_score(one.name))
        assert set(one.passed) == {"contract", "invariants", "values", "masking", "robustness", "kernel"}
        assert all(total == one.graded for _, total in one.passed.values())
        assert one.passed["kernel"][0] >= one.full


def test_demos_mistakes_are_counted_by_student_and_assignment(in_course):
    found = {one.name: one for one in make_report(open_course(in_course), []).mistakes}
    for name, stem in (("missing-scale", STEMS[0]), ("causal-dropped-with-mask", STEMS[1]), ("mask-ignored", STEMS[3])):
        assert found[name].students == {"one-mistake"}
        assert found[name].assignments == {stem: 1}


def test_what_to_look_at_names_broken_submissions_and_skipped_cells(in_course):
    problems = {(one.student, one.assignment): one.words for one in make_report(open_course(in_course), []).problems}
    assert problems["broken-file", STEMS[0]].startswith("could not be judged: the notebook is broken")
    assert "does not parse" in problems["syntax-error", STEMS[0]]
    assert not any(student in ("all-right", "one-mistake", "blank") for student, _ in problems)


def test_submission_that_was_not_graded_is_told(in_course, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(in_course, tmp_path / "course"))
    new = copy / "submitted" / "late-comer" / STEMS[0]
    new.mkdir(parents=True)
    (new / f"{STEMS[0]}.ipynb").write_text("{}")
    monkeypatch.chdir(copy)
    report = make_report(open_course(copy), [STEMS[0]])
    assert Problem("late-comer", STEMS[0], "was handed in and has not been graded") in report.problems


def test_command_writes_a_page_that_needs_nothing_else_and_keeps_the_older_one(in_course, tmp_path, capsys):
    for _ in range(2):
        assert main(["report", "--output", str(tmp_path / "report.html")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.html.1"]
    text = (tmp_path / "report.html").read_text()
    assert "kept as report.html.1" in capsys.readouterr().out
    assert not re.search(r"https?:|<script|<link|<img|src=|url\(|@import", text)
    for one in ("What to teach again", "Histogram of the scores in 01_eager_bidirectional", "missing-scale"):
        assert one in text


def test_one_assignment_and_nobodys_name(in_course, tmp_path):
    assert main(["report", STEMS[1], "--anonymous", "--output", str(tmp_path / "report.html")]) == 0
    text = (tmp_path / "report.html").read_text()
    assert STEMS[1] in text
    assert STEMS[0] not in text
    assert "could not be judged" in text
    for student in set(STUDENTS) - {"blank"}:
        assert student not in text, student


def test_outside_a_course_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 2
    assert "there is no nbgrader_config.py" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["report", "--output", "nowhere/report.html"])
    assert ended.value.code == 2


# ---- what a notebook says --------------------------------------------------------------------------------------------
def test_mistake_is_read_from_the_judges_last_line_alone():
    forged = "[x] ValueError: diagnosis: mask-ignored: no\ndiagnosis: missing-scale: no\nlook at it"
    named = CheckResult("masking", 2, 0, "[x] wrong\nexpected 1\nlook", "qk-swapped: queries and keys are swapped")
    unknown = CheckResult("robustness", 2, 0, "[x] wrong", "no-such-mistake: no")
    found = read_notebook("s", "a", graded(CheckResult("values", 2, 0, forged), named, unknown, passing("kernel", 1)))
    assert found.mistakes == ("qk-swapped",)
    assert set(found.unnamed) == {"contract", "invariants", "values", "robustness"}
    assert not found.blank


def test_what_learners_print_is_no_finding():
    notebook = graded()
    for cell in notebook.cells:
        if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("grade"):
            cell.outputs = [nbformat.v4.new_output("stream", text="note: forged\n")]
            cell.outputs += [
                nbformat.v4.new_output("error", ename="E", evalue="", traceback=["diagnosis: mask-ignored: x"])
            ]
    found = read_notebook("s", "a", notebook)
    assert (found.mistakes, found.problems) == ((), ())


def test_notes_are_problems_and_the_untouched_stub_is_blank():
    stub = "[shape] your function is not implemented yet\nexpected a tensor\nlook at the task"
    names = ("contract", "invariants", "values", "masking", "robustness", "kernel")
    found = read_notebook(
        "s", "a", graded(*(CheckResult(name, 1, 0, stub) for name in names), notes=("cell 3 was skipped",))
    )
    assert found == Finding("s", "a", blank=True, problems=("cell 3 was skipped",))
    part = [CheckResult(name, 1, 0, stub) for name in names[1:]]
    assert not read_notebook("s", "a", graded(passing("contract", 1), *part)).blank


# ---- figures ---------------------------------------------------------------------------------------------------------
def test_the_mistake_of_most_students_comes_first():
    found = [
        Finding("s1", "a", ("missing-scale", "mask-ignored")),
        *(Finding("s1", other, ("missing-scale",)) for other in "bcd"),
        Finding("s2", "a", ("mask-ignored",)),
        Finding("s3", "a", ("mask-ignored",)),
        Finding("s3", "b", ("qk-swapped",)),
    ]
    first, second, third = mistake_figures(found)
    assert (first.name, len(first.students), first.submissions) == ("mask-ignored", 3, 3)
    assert (second.name, len(second.students), second.assignments) == ("missing-scale", 1, dict.fromkeys("abcd", 1))
    assert third.name == "qk-swapped"


def test_late_missing_and_fractions_are_counted():
    marks = [
        Mark("s1", "a", 10, 10, checks={"test-values": (2, 2)}),
        Mark("s2", "a", 9.5, 10, penalty=0.5, seconds_late=60, checks={"test-values": (2, 2)}),
        Mark("s3", "a", 0, 10, checks={"test-values": (0, 2)}),
    ]
    everybody = ClassMarks({"a": {mark.student: mark for mark in marks}}, {"a": 10.0}, ("s1", "s2", "s3", "s4"))
    figures = assignment_figures("a", marks, everybody, [Finding("s3", "a", blank=True)])
    assert figures == AssignmentFigures(
        "a", 3, 1, 1, 1, 6.5, 9.5, 1, 10.0, (1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1), {"values": (2, 3)}
    )


def small_report(**changes: object) -> ClassReport:
    one = AssignmentFigures("a", 2, 0, 0, 0, 5.0, 5.0, 1, 10.0, (1, *[0] * 9, 1), {"values": (1, 2)})
    fields = {
        "title": "C",
        "day": date(2026, 10, 1),
        "students": 2,
        "assignments": (one,),
        "mistakes": mistake_figures([Finding("person-7f3a", "a", ("missing-scale",))]),
        "unnamed": 0,
        "problems": (Problem("person-7f3a", "a", "it said <script>alert(1)</script>"),),
    }
    return ClassReport(**(fields | changes))


def test_names_stand_only_with_what_to_look_at_and_text_is_escaped():
    text = page(small_report(title="A <b>course</b>"))
    before, after = text.split("Submissions to look at")
    assert "person-7f3a" not in before
    assert "person-7f3a" in after
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<b>" not in text
    assert "person-7f3a" not in page(small_report(anonymous=True))


def test_empty_parts_say_so():
    text = page(small_report(mistakes=(), problems=()))
    assert "No mistake was recognised." in text
    assert "0 failed checks" not in text
    assert text.rstrip().endswith("<p>None.</p>\n</body>\n</html>")


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_readable_in_both_themes_and_on_a_phone(tmp_path, scheme):
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    names = tuple(small_report().assignments * 6)
    path.write_text(page(small_report(assignments=names)))
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        view = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        asked: list[str] = []
        view.on("request", lambda request: asked.append(request.url))
        view.goto(path.as_uri())
        assert asked == [path.as_uri()]
        assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert view.evaluate("[...document.querySelectorAll('svg')].every(each => each.getAttribute('aria-label'))")
        for what, least in (("p.about", 4.5), ("h1", 7), ("td", 7)):
            assert view.evaluate(CONTRAST, what) >= least, what
        browser.close()


# WCAG's contrast of an element's text with the page
CONTRAST = """what => {
  const light = color => { const part = color.match(/[0-9.]+/g).slice(0, 3).map(value => {
    const v = value / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2] };
  const text = light(getComputedStyle(document.querySelector(what)).color);
  const back = light(getComputedStyle(document.body).backgroundColor);
  return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05) }"""


def test_ids_that_a_terminal_or_a_sheet_would_obey_are_told(course, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(course, tmp_path / "course [2026]"))
    monkeypatch.chdir(folder)
    odd = ("=1+1", "a\x1b[31mb", "[b]ob")
    for student in odd:
        (folder / "submitted" / student / STEMS[0]).mkdir(parents=True)
    problems = make_report(open_course(folder), STEMS[:1]).problems
    for student, words in (("=1+1", "formula"), ("ab", "U+001B"), ("[b]ob", "'['")):
        said = " ".join(one.words for one in problems if one.student == student)
        assert "has not been graded" in said
        assert words in said
