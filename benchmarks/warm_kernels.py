"""What a warm kernel saves: stock ``nbgrader autograde`` with the ordinary kernel and with the provisioner.

``python benchmarks/warm_kernels.py`` prints a table in Markdown, from one run. The class is graded as stock nbgrader
grades it, hidden cells in the kernel, without this course's configuration.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

from attention_grading.demo import blank, one_mistake, right
from attention_lab.variants import VARIANTS, Variant

ROOT = Path(__file__).parents[1]
STOCK_CONFIG = "c = get_config()\nc.Exchange.root = '.'\nc.ExecutePreprocessor.timeout = 120\n"
WARM = {"JUPYTER_DEFAULT_PROVISIONER_NAME": "attention-warm"}
# The ordinary kernel's cheapest improvement, one line of configuration
NO_TEARDOWN = "c.Execute.shutdown_kernel = 'immediate'\n"


@dataclass(frozen=True)
class Graded:
    """A class that was graded.

    Attributes:
        seconds: Wall-clock time of ``nbgrader autograde``, all of it.
        steady: Seconds from one submission to the next, once the first is done.
        processor: Processor seconds of it, kernels included: what others run on the machine disturbs them less.
        scores: By student.
        outputs: By student: what every code cell shows, without times and memory addresses.
    """

    seconds: float
    steady: float
    processor: float
    scores: dict[str, float]
    outputs: dict[str, list[object]]


def make_stock_course(folder: Path, submissions: int, variant: Variant) -> None:
    """A course root as any nbgrader has it: release generated, submissions made (right, wrong and blank in turn)."""
    stem = variant.stem
    shutil.copytree(ROOT / "source" / stem, folder / "source" / stem)
    (folder / "nbgrader_config.py").write_text(STOCK_CONFIG)
    nbgrader(folder, {}, "generate_assignment", stem)
    name = f"{stem}/{stem}.ipynb"
    released = nbformat.read(folder / "release" / name, as_version=4)
    master = nbformat.read(folder / "source" / name, as_version=4)
    for number, write in zip(range(submissions), itertools.cycle((right, one_mistake, blank)), strict=False):
        path = folder / "submitted" / f"student-{number:04}" / name
        path.parent.mkdir(parents=True)
        path.write_text(write(variant, released, master), encoding="utf-8")


def grade(course: Path, stem: str, environment: Mapping[str, str]) -> Graded:
    """Grade a copy of a course."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(course, Path(folder) / "course"))
        start, before = time.perf_counter(), _children_seconds()
        nbgrader(copy, environment, "autograde", stem)
        seconds, processor = time.perf_counter() - start, _children_seconds() - before
        nbgrader(copy, {}, "export", "--to=grades.csv")
        with (copy / "grades.csv").open(newline="") as file:
            scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
        paths = sorted((copy / "autograded").glob(f"*/{stem}/{stem}.ipynb"))
        done = sorted(path.stat().st_mtime for path in paths)
        outputs = {path.parts[-3]: [_lasting(output, str(copy)) for output in shown(path)] for path in paths}
        return Graded(seconds, (done[-1] - done[0]) / max(len(done) - 1, 1), processor, scores, outputs)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def nbgrader(folder: Path, environment: Mapping[str, str], *command: str) -> None:
    """Run nbgrader in a course root.

    Raises:
        RuntimeError: It failed; the message holds the end of its log.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *command],
        cwd=folder,
        env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"} | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"nbgrader {' '.join(command)} failed:\n{done.stdout[-3000:]}")


def shown(path: Path) -> Iterator[object]:
    """What the code cells of a notebook show; a stream that arrived in pieces is put together."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            outputs: list[nbformat.NotebookNode] = []
            for output in cell.outputs:
                last = outputs[-1] if outputs else {}
                if output.output_type == "stream" and output.name == last.get("name"):
                    last.text += output.text
                else:
                    outputs.append(output)
            yield outputs


def _lasting(value: object, folder: str) -> object:
    """The same without what differs from run to run: the folder, times and memory addresses."""
    if isinstance(value, str):
        value = value.replace(folder, "…")
        return re.sub(r"0x[0-9a-f]{6,}|\d+(?:\.\d+)? m?s\b|/tmp/ipykernel_\d+/\d+\.py", "…", value)
    if isinstance(value, Mapping):
        return {key: _lasting(item, folder) for key, item in value.items()}
    return [_lasting(item, folder) for item in value] if isinstance(value, list) else value


def differences(one: Graded, other: Graded) -> Iterator[str]:
    """Where two runs do not give the same, in words."""
    for student in sorted(one.scores.keys() | other.scores.keys()):
        if one.scores.get(student) != other.scores.get(student):
            yield f"{student}: {one.scores.get(student)} and {other.scores.get(student)} points"
        cells = itertools.zip_longest(one.outputs.get(student, []), other.outputs.get(student, []))
        for number, (first, second) in enumerate(cells):
            if first != second:
                yield f"{student}, code cell {number}: {str(first)[:600]} and {str(second)[:600]}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; returns 0 where scores and outputs are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=6, help="how many are graded (default: %(default)s)")
    parser.add_argument("--variant", default="eager_causal", choices=VARIANTS, help="default: %(default)s")
    options = parser.parse_args(arguments)
    variant = VARIANTS[options.variant]
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        make_stock_course(course, options.submissions, variant)
        stock = grade(course, variant.stem, {})
        warm = grade(course, variant.stem, WARM)
        config = course / "nbgrader_config.py"
        config.write_text(config.read_text() + NO_TEARDOWN)
        immediate = grade(course, variant.stem, {})
        both = grade(course, variant.stem, WARM)
    different = [line for run in (warm, immediate, both) for line in differences(stock, run)]
    print(f"{options.submissions} submissions of {variant.stem}, `nbgrader autograde` without this course's config\n")
    print("| kernel | s a submission, steady | against stock | whole run, s | processor s |\n|---|---|---|---|---|")
    for name, run in (
        ("ordinary", stock),
        ('ordinary, `shutdown_kernel = "immediate"`', immediate),
        ("warm", warm),
        ('warm, `shutdown_kernel = "immediate"`', both),
    ):
        print(
            f"| {name} | {run.steady:.2f} | {stock.steady / run.steady:.1f} times "
            f"| {run.seconds:.1f} | {run.processor:.1f} |"
        )
    print("\nscores, tracebacks and pictures: " + ("\n".join(["DIFFERENT", *different]) if different else "the same"))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
