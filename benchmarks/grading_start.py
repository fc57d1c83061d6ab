"""Where the start of grading goes: one submission, on this checkout and, side by side, on an earlier one.

    python benchmarks/grading_start.py --against CHECKOUT      writes the table in README.md
    python benchmarks/grading_start.py --dry                   this checkout alone, and nothing is written

Each command runs some times on each checkout, one after the other, and the fastest run counts: others use the machine,
too. Everything happens in ``build/benchmark-start/``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import nbformat
import torch

from attention_grading.authoring.course_root import nbgrader, prepare
from attention_grading.authoring.demo_class import right
from attention_lab.variants import get_variant
from readme import write_tables

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "benchmark-start"
STEM = "02_eager_causal"
STUDENT = f"submitted/student/{STEM}/{STEM}.ipynb"


def main() -> int:
    """Measure, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="an earlier checkout of this repository")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each command (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="do not touch README.md")
    options = parser.parse_args()
    checkouts = {"before": options.against.resolve()} if options.against else {}
    checkouts["now"] = ROOT
    courses = {name: make_course(PLACE / name, checkout) for name, checkout in checkouts.items()}
    runs = [
        {
            name: {**grade(courses[name], checkout), **judge(courses[name], checkout)}
            for name, checkout in checkouts.items()
        }
        for _ in range(options.repeat)
    ]
    text = table({name: min((run[name] for run in runs), key=lambda one: one["grade"]) for name in checkouts})
    print(text)
    if not options.dry:
        write_tables(ROOT / "benchmarks" / "README.md", "grading-start", text)
    return 0


def make_course(folder: Path, checkout: Path) -> Path:
    """A course root with one right submission."""
    prepare(checkout, folder)
    nbgrader(folder, "generate_assignment", STEM)
    released, master = (
        nbformat.read(folder / kind / STEM / f"{STEM}.ipynb", as_version=4) for kind in ("release", "source")
    )
    (folder / STUDENT).parent.mkdir(parents=True)
    (folder / STUDENT).write_text(right(get_variant(STEM), released, master), encoding="utf-8")
    return folder


def grade(course: Path, checkout: Path) -> dict[str, float]:
    """Seconds of ``attention-grading grade``, and which part of them is what."""
    used = getrusage(RUSAGE_CHILDREN)
    wall = run(course, checkout, "grade", "--force", "--report", "report.json")
    after = getrusage(RUSAGE_CHILDREN)
    report = json.loads((course / "report.json").read_text())
    warm = sum(report["worker_seconds"].values())
    return {
        "grade": wall,
        "imports": wall - report["seconds"],
        "plan": report["seconds_planning"],
        "process": report["seconds"] - report["seconds_planning"] - warm,
        "graded": warm,
        "processor": after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
    }


def judge(course: Path, checkout: Path) -> dict[str, float]:
    """Seconds of ``attention-grading judge`` for one file."""
    return {"judge": run(course, checkout, "judge", "eager_causal", STUDENT)}


def run(course: Path, checkout: Path, *command: str) -> float:
    """Run a command in a course root with a checkout's packages; gives back the seconds that it took."""
    packages = os.pathsep.join([str(checkout / "src"), str(checkout / "grading" / "src"), *_further_packages()])
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "attention_grading.cli", *command],
        cwd=course,
        env=os.environ | {"PYTHONPATH": packages, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - begun


def _further_packages() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path.endswith("-packages")]


def table(results: dict[str, dict[str, float]]) -> str:
    """The results in Markdown."""
    columns = {
        "grade": "`grade`, s",
        "imports": "its imports",
        "plan": "its plan",
        "process": "its process imports",
        "graded": "warm, and graded",
        "processor": "processor s",
        "judge": "`judge`, s",
    }
    rows = [f"| {name} | " + " | ".join(f"{one[key]:.1f}" for key in columns) + " |" for name, one in results.items()]
    return "\n".join(
        [
            f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}, Python "
            f"{platform.python_version()}, torch {torch.__version__}; one submission.",
            "",
            f"| | {' | '.join(columns.values())} |",
            "|---" * (len(columns) + 1) + "|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
