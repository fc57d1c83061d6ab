"""The last cell of every notebook: is the file ready to be handed in, and where is it?"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from attention_lab.checks.run import VISIBLE_CHECKS
from attention_lab.notebook.learner_cells import (
    GRADED_IDS,
    INSTRUCTOR_IDS,
    SOLUTION_ID,
    NotJudgeable,
    defines,
    functions_in,
    grade_id_of,
    is_written,
    source_of,
)
from attention_lab.notebook.python_lines import python_lines
from attention_lab.notebook.running import OwnNotebook, cells_that_ran, find_own_notebook, in_colab
from attention_lab.variants import Variant, get_variant

GET = {
    "Colab": "Ready to hand in. Download it: File, Download, Download .ipynb.",
    "JupyterLab": "Ready to hand in: {path}\nOn another machine's JupyterLab, download it: File, Download.",
    "VS Code": "Ready to hand in: {path}",
    "folder": "Ready to hand in: {path}",
}
NOT_FOUND = """This notebook's file is not in {folder}, where the kernel looks for it. Nothing was checked.
Save the notebook there as {stem}.ipynb and run this cell again. Or open the file that you will hand in, and see that
your function is in its solution cell."""
NOT_TOLD = """Colab did not show this notebook's file. Nothing was checked.
Run this cell again. Or download the notebook as {stem}.ipynb and see that your function is in its solution cell."""
SAVE = "save (Ctrl+S, on a Mac Cmd+S), then run this cell again"
SECONDS = 60.0  # for the visible checks, Python's start and the other cells included


@dataclass(frozen=True)
class Remark:
    """One thing that was looked at.

    Attributes:
        fine: Whether it is as it should be.
        words: What was seen and, where it is not fine, what to do.
    """

    fine: bool
    words: str


def check_hand_in(variant: str | Variant) -> None:
    """Look at the saved notebook before it is handed in, and say what to fix and where the file is.

    Args:
        variant: Which notebook's, such as ``"02_eager_causal"``.
    """
    variant = get_variant(variant)
    try:
        own = find_own_notebook(variant)
    except NotJudgeable as reason:
        print(f"fix   {reason}. Save the notebook once more, then run this cell again.")
        return
    if own is None:
        words = NOT_TOLD if in_colab() else NOT_FOUND
        print(words.format(stem=variant.stem, folder=Path.cwd()))
        return
    findings = list(look_over(own, variant, cells_that_ran()))
    for finding in findings:
        print(_in_a_line(finding))
    if all(finding.fine for finding in findings):
        print("Running the visible checks on the saved file, which takes some seconds ...", flush=True)
        findings = [_visible_checks(own, variant)]
        print(_in_a_line(findings[0]))
    if all(finding.fine for finding in findings):
        print(GET[own.place].format(path=own.path))
    else:
        print("Fix what is marked, save, and run this cell again.")


def _in_a_line(finding: Remark) -> str:
    return f"{'ok  ' if finding.fine else 'fix '}  {finding.words}"


def _visible_checks(own: OwnNotebook, variant: Variant) -> Remark:
    """Run the visible checks on the function in the file, as a grader will find it: in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{variant.stem}.ipynb"
        path.write_text(json.dumps(own.content), encoding="utf-8")
        command = [sys.executable, "-m", "attention_lab.notebook.visible_checks", variant.name, str(path)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return Remark(False, f"your code did not finish within {SECONDS:g} s: look for a loop that never ends")
        except KeyboardInterrupt:
            return Remark(False, "you stopped the visible checks before they ended; run this cell again to finish them")
    if done.returncode:
        said = done.stdout.strip("\n") or f"  {done.stderr.strip()[-300:]}"
        return Remark(False, f"the function in the file does not pass the visible checks:\n{said}")
    later = sum(points for name, points in variant.points.items() if name not in VISIBLE_CHECKS)
    count = len(VISIBLE_CHECKS)
    return Remark(True, f"{count} of {count} visible checks pass; the hidden ones, {later} points, are judged later")


def look_over(own: OwnNotebook, variant: Variant, ran: Sequence[str]) -> Iterator[Remark]:
    """Look at name, cells and function of a notebook.

    Args:
        own: The notebook, as it was saved.
        variant: What it is to be handed in as.
        ran: The texts of the cells that ran, in order.
    """
    yield _name(own, variant)
    yield _cells(own)
    sources = [source_of(cell) for cell in own.content["cells"] if cell.get("cell_type") == "code"]
    defining = [source for source in sources if defines(source, variant.function_name)]
    written = [source for source in defining if is_written(source, variant.function_name)]
    yield _function(own, variant, defining, written, ran)
    if written:
        yield from _saved(own, variant, written[-1], ran)


def _name(own: OwnNotebook, variant: Variant) -> Remark:
    wanted = f"{variant.stem}.ipynb"
    if own.name == wanted:
        return Remark(True, f"the file is called {wanted}")
    how = f"click the name at the top of the page and change it to {wanted}"
    if own.place != "Colab":
        how = f"rename it to {wanted}"
    return Remark(False, f"the file is called {own.name}: {how}")


def _cells(own: OwnNotebook) -> Remark:
    """The graded cells and the solution, once each. Colab and others keep a cell's nbgrader metadata."""
    seen = Counter(grade_id_of(cell) for cell in own.content["cells"])
    wanted = (SOLUTION_ID, *GRADED_IDS)
    missing = [name for name in wanted if not seen[name]]
    twice = [name for name in wanted if seen[name] > 1]
    if missing:
        return Remark(
            False,
            f"these cells are missing: {', '.join(missing)}. Open a fresh copy of this notebook, and paste your "
            "function into its solution cell",
        )
    if twice:
        return Remark(False, f"these cells are there more than once: {', '.join(twice)}. Delete the copies")
    other = [
        grade_id_of(cell)
        for cell in own.content["cells"]
        if grade_id_of(cell) in wanted and cell.get("cell_type") != "code"
    ]
    if other:
        return Remark(False, f"these are no longer code cells: {', '.join(other)}. Turn them back into code cells")
    return Remark(True, "the solution cell and the six graded cells are there, once each")


def _function(
    own: OwnNotebook, variant: Variant, defining: list[str], written: list[str], ran: Sequence[str]
) -> Remark:
    name = variant.function_name
    solution = [source_of(cell) for cell in own.content["cells"] if grade_id_of(cell) == SOLUTION_ID]
    has_run = any(is_written(text, name) for text in ran)
    if not defining:
        others = functions_in(solution)
        instead = f"; the solution cell defines {', '.join(others)}" if others else ""
        unsaved = f" If it does on this page, {SAVE}" if has_run else ""
        return Remark(False, f"no cell defines {name}{instead}. The solution cell must, under this name.{unsaved}")
    if not written and has_run:
        return Remark(False, f"{name} ran here, but the file still has the untouched stub: {SAVE}")
    if not written:
        return Remark(
            False, f"{name} is still the untouched stub. Write it in the solution cell, run the cell, and save"
        )
    if problem := _syntax_error(written[-1]):
        return Remark(False, f"the cell with {name} has a syntax error: {problem}")
    if len(written) > 1:
        return Remark(False, f"{len(written)} cells define {name}. Keep one of them, in the solution cell")
    replaced = [grade_id_of(cell) for cell in own.content["cells"] if source_of(cell) == written[0]]
    if written[0] not in solution and set(replaced) & INSTRUCTOR_IDS:
        return Remark(
            False, f"{name} is in the cell {replaced[0]}, which grading replaces. Move it to the solution cell"
        )
    if solution and written[0] not in solution:
        return Remark(False, f"{name} is not in the solution cell. Move it there, so that it is found and read")
    return Remark(True, f"the solution cell defines {name}")


def _saved(own: OwnNotebook, variant: Variant, source: str, ran: Sequence[str]) -> Iterator[Remark]:
    """Whether the function that ran last is the one in the file."""
    versions = [text for text in ran if defines(text, variant.function_name)]
    if not versions:
        yield Remark(False, "your function has not run since the kernel started. Run all cells from the top, then save")
    elif versions[-1].strip() == source.strip():
        yield Remark(True, "the function in the file is the one that you ran last")
    elif own.place == "Colab":
        yield Remark(False, "your function has changed since you ran it. Run all cells from the top")
    else:
        yield Remark(
            False,
            f"the function in the file is not the one that you ran last. Run all cells from the top, {SAVE}",
        )


def _syntax_error(source: str) -> str | None:
    try:
        ast.parse(python_lines(source))
    except (SyntaxError, ValueError) as error:
        return f"line {getattr(error, 'lineno', '?')}: {getattr(error, 'msg', error)}"
    return None
