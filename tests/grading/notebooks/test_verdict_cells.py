"""What a graded notebook says: mistakes, problems, blanks."""

from __future__ import annotations

import json

import nbformat
import pytest
from nbgrader.utils import determine_grade

from attention_grading.judging.diagnosis.names import SENTENCES
from attention_grading.judging.verdict import CheckResult, Verdict, not_judged
from attention_grading.notebooks.verdict_cells import RECORD, Finding, read_notebook, write_verdict
from attention_lab.checks.case import CheckFailed
from attention_lab.variants import POINTS, VARIANTS
from support.places import ROOT


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


def failing(name: str, points: int, code: str, mistake: str | None = None) -> CheckResult:
    failed = CheckFailed("a case", "it is wrong", "expected 1, got 2", "it", code, {"worst": 1.0})
    return CheckResult(name, points, 0, str(failed), mistake, failed=failed)


def test_mistake_is_read_from_the_record_and_from_no_words():
    forged = CheckResult(
        "values", 2, 0, "[x] ValueError: diagnosis: mask-ignored: no\ndiagnosis: missing-scale: no\nlook"
    )
    named = failing("masking", 2, "wrong-values", "qk-swapped")
    found = read_notebook("s", "a", graded(forged, named, passing("kernel", 1)))
    assert found.mistakes == ("qk-swapped",)
    assert set(found.unnamed) == {"contract", "invariants", "values", "robustness"}
    assert not found.blank


def test_every_name_of_a_mistake_is_read_again():
    """Those of symptoms, too, which the class report once did not know."""
    for name in SENTENCES:
        found = read_notebook("s", "a", graded(failing("masking", 2, "wrong-values", name)))
        assert found.mistakes == (name,)


def test_record_holds_the_verdict_as_json():
    notebook = graded(failing("masking", 2, "wrong-values", "qk-swapped"), passing("kernel", 1))
    records = {
        cell.id: json.loads(json.dumps(cell.metadata[RECORD])) for cell in notebook.cells if RECORD in cell.metadata
    }
    assert records["test-kernel"] | {"passed": True, "earned": 1} == records["test-kernel"]
    record = records["test-masking"]
    assert (record["code"], record["case"], record["mistake"]) == ("wrong-values", "a case", "qk-swapped")
    assert record["measured"] == {"worst": 1.0}
    assert record["message"].startswith("[a case] it is wrong\n")


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
    blank = [failing(name, 1, "not-implemented") for name in POINTS]
    found = read_notebook("s", "a", graded(*blank, notes=("cell 3 was skipped",)))
    assert found == Finding("s", "a", blank=True, problems=("cell 3 was skipped",))
    assert not read_notebook("s", "a", graded(passing("contract", 1), *blank[1:])).blank


def test_points_of_a_cell_are_the_instructors_and_the_verdict_says_which_part_of_them():
    """Changing a cell's points once made a perfect answer 10 of 14."""
    variant = VARIANTS["eager_causal"]
    notebook = nbformat.read(ROOT / "source" / variant.stem / f"{variant.stem}.ipynb", as_version=4)
    cells = {cell.id: cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")}
    worth = {name: number for number, name in enumerate(cells)}  # one of them nothing
    for name, points in worth.items():
        cells[name].metadata.nbgrader.points = points
    checks = [CheckResult(name, points, points, "passed") for name, points in variant.points.items()]
    checks[-1] = CheckResult(checks[-1].name, checks[-1].points, 0, "it is wrong")
    write_verdict(notebook, Verdict(variant.name, tuple(checks)))
    earned = {name: determine_grade(cell)[0] for name, cell in cells.items()}
    assert earned == worth | {f"test-{checks[-1].name}": 0}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("[padding] the output is wrong at batch 0, head 1, query 2\nexpected 1\nlook", "the output is wrong"),
        ("[c] the output at batch 0, head 0 changed when token 4 did\nno\nlook", "the output changed when token … did"),
        (
            "[x, y] your function raised an error\nexpected a tensor, got IndexError: index 7 is out of range (line 3: "
            "q[7]) (batch 2, seq 6)\nlook at the line that the error names",
            "your function raised an error: IndexError: index … is out of range",
        ),
        ("the function f was not found: it is defined nowhere", "the function f was not found: it is defined nowhere"),
    ],
)  # fmt: skip
def test_failures_that_say_the_same_have_the_same_words(message, words):
    found = read_notebook("s", "a", graded(CheckResult("values", 2, 0, message)))
    assert found.unnamed["values"] == words
