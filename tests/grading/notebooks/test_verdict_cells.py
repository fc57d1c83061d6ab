"""What a graded notebook says: mistakes, problems, blanks."""

from __future__ import annotations

import nbformat

from attention_grading.judging.verdict import CheckResult, Verdict, not_judged
from attention_grading.notebooks.verdict_cells import Finding, read_notebook, write_verdict
from attention_lab.variants import VARIANTS
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
