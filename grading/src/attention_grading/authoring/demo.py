"""``make demo``: the whole round on a small bundled class, in a course root of its own.

Releases, submissions, grading, feedback, ``grades.csv`` and a table student × assignment; one assignment is graded by
``nbgrader autograde`` too, whose scores have to be the same. Everything happens in the folder given, which is wiped at
the start; the course's own folders and gradebook are never written.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from attention_grading.authoring.course_root import grade, nbgrader, prepare, stems_in
from attention_grading.authoring.demo_class import HONEST, STUDENTS, make_class
from attention_grading.course_file import read_course
from attention_grading.sandbox.confinement import UNCONFINED, ConfinementUnavailable, require_available
from attention_lab.variants import VARIANTS


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns 0 when every step did its work."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.authoring.demo", description=__doc__)
    parser.add_argument("folder", type=Path, help="the demo's course root; wiped at the start")
    parser.add_argument("--course", type=Path, default=Path.cwd(), help="the course root (default: this folder)")
    options = parser.parse_args(arguments)
    console = Console()
    folder: Path = options.folder.resolve()
    prepare(options.course.resolve(), folder)
    console.print(f"[bold]{read_course(folder).name}[/bold]: the whole round in {options.folder}")
    students = STUDENTS if trusts_confinement(folder, console) else HONEST
    checked = stems_in(folder / "source")[-1]  # the first one's endless loop would cost the time limit twice more
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        (f"generating {len(VARIANTS)} releases", lambda: nbgrader(folder, "generate_assignment", "--assignment=*")),
        ("making a class", lambda: make_class(folder, students)),
        ("grading it: attention-grading grade", lambda: grade(folder)),
        ("writing feedback", lambda: nbgrader(folder, "generate_feedback", "--assignment=*")),
        ("exporting grades.csv", lambda: nbgrader(folder, "export", "--to=grades.csv")),
        (f"grading {checked} once more: nbgrader autograde gives the same scores", lambda: compare(folder, checked)),
    )
    for title, step in steps:
        with console.status(title):
            step()
        console.print(f"[green]done[/green]  {title}")
    console.print(gradebook_table(folder / "grades.csv"))
    console.print(reasons_table(folder))
    console.print(f"feedback: {options.folder / 'feedback'}    log: {options.folder / 'nbgrader.log'}")
    return 0


def compare(folder: Path, stem: str) -> None:
    """Grade an assignment by ``nbgrader autograde`` in a course root of its own.

    Raises:
        RuntimeError: A score is another than the one that was recorded before.
    """
    copy = folder / "by_nbgrader"
    kept = ("source", "submitted", "course.toml", "nbgrader_config.py", ".grading_seed")
    copy.mkdir()
    for name in kept:
        (shutil.copytree if (folder / name).is_dir() else shutil.copy)(folder / name, copy / name)
    for command in ("generate_assignment", "autograde"):
        nbgrader(copy, command, stem)
    nbgrader(copy, "export", "--to=grades.csv")
    theirs, ours = (_scores(each / "grades.csv", stem) for each in (copy, folder))
    if not theirs or any(ours[student] != score for student, score in theirs.items()):
        raise RuntimeError(f"nbgrader autograde gives other scores for {stem}: {theirs} instead of {ours}")


def _scores(grades: Path, stem: str) -> dict[str, float]:
    with grades.open(newline="") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file) if row["assignment"] == stem}


def trusts_confinement(folder: Path, console: Console) -> bool:
    """Whether code can be confined here; where not, the demo's own course gets the option to do without."""
    try:
        require_available()
    except ConfinementUnavailable as reason:
        with (folder / "nbgrader_config.py").open("a") as config:
            config.write("c.JudgingRules.allow_unconfined = True\n")
        console.print(f"[yellow]{escape(UNCONFINED)}[/yellow]\n{escape(str(reason))}")
        console.print("The demo's hostile submissions are left out, and its honest ones run unconfined.")
        return False
    return True


def gradebook_table(grades: Path) -> Table:
    """Student × assignment, from nbgrader's export."""
    with grades.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {(row["student_id"], row["assignment"]): float(row["score"]) for row in rows}
    table = Table(title="gradebook: points of 10 by notebook; – where nothing was handed in")
    table.add_column("student", no_wrap=True)
    for stem in _stems():
        table.add_column(stem.partition("_")[0], justify="right", no_wrap=True)  # a number each: all fit 80 columns
    for student in sorted({student for student, _ in scores}, key=list(STUDENTS).index):
        handed_in = [(grades.parent / "autograded" / student / stem).is_dir() for stem in _stems()]
        cells = [
            f"{scores[student, stem]:g}" if there else "–" for stem, there in zip(_stems(), handed_in, strict=True)
        ]
        table.add_row(student, *cells)
    return table


def reasons_table(folder: Path) -> Table:
    """Why points were lost: for each graded notebook the first failed check's diagnosis, or else its message."""
    table = Table(title="why points were lost")
    for name in ("student", "assignment", "reason"):
        table.add_column(name, no_wrap=name == "student")
    for student in STUDENTS:
        seen = {stem: reason for stem in _stems() if (reason := _reason(folder / "autograded" / student / stem))}
        if len(set(seen.values())) == 1 and len(seen) == len(VARIANTS):
            seen = {"all": next(iter(seen.values()))}
        for stem, reason in seen.items():
            table.add_row(student, stem, escape(reason))
    return table


def _stems() -> list[str]:
    return [variant.stem for variant in VARIANTS.values()]


def _reason(folder: Path) -> str | None:
    if not folder.is_dir():
        return None
    notebook = nbformat.read(folder / f"{folder.name}.ipynb", as_version=4)
    errors: list[list[str]] = [
        output.traceback
        for cell in notebook.cells
        if "points" in cell.metadata.get("nbgrader", {})
        for output in cell.outputs
        if output.output_type == "error"
    ]
    if not errors:
        return None
    diagnosed = [line for lines in errors for line in lines if line.startswith("diagnosis: ")]
    return diagnosed[0].removeprefix("diagnosis: ") if diagnosed else errors[0][0]


if __name__ == "__main__":
    sys.exit(main())
