"""Grade a class with stock nbgrader and with ``attention-grading grade``, and compare cost, memory and totals.

    python benchmarks/grading.py --all              all stages, anew; then the table in README.md and the figure
    python benchmarks/grading.py --resume           the stages that are still missing, then the same
    python benchmarks/grading.py --all --submissions 6 --stock 3 --growth 4 8     a small one, to see that it works

One assignment, a third each right, wrong and blank. Seconds a submission are those of the steady state: from the first
submissions that are recorded to the last, so that starting the processes does not count; the table has the start apart.
Memory is the sum of the proportional set sizes of all processes of a run, sampled. Everything happens in
``build/benchmark-grading/``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import psutil
import torch
from nbgrader.api import Gradebook, SubmittedAssignment
from rich.console import Console

from attention_grading.authoring.course_root import nbgrader, prepare
from attention_grading.authoring.demo_class import STUDENTS
from attention_grading.classroom.local_pool import usable_cores
from attention_grading.judging.session import Session
from attention_grading.notebooks.grade import show_outputs
from attention_grading.notebooks.transplant import transplant
from attention_lab.variants import get_variant
from readme import write_tables

matplotlib.use("agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "benchmark-grading"
FIGURE = ROOT / "benchmarks" / "figures" / "grading_growth.png"
KINDS = ("all-right", "one-mistake", "blank")  # the last one raises before it draws
ALL_RUN = len(KINDS) - 1
CONSOLE = Console(highlight=False, soft_wrap=True)

Figures = dict[str, Any]


def main() -> int:
    """Run the stages that are asked for, and write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="all stages, anew")
    what.add_argument("--resume", action="store_true", help="the stages that are missing")
    what.add_argument("--stage", choices=STAGES, nargs="+", help="these stages, anew; nothing is written to README.md")
    parser.add_argument("--stem", default="02_eager_causal", help="the assignment (default: %(default)s)")
    parser.add_argument("--submissions", type=int, default=90, help="class size (default: %(default)s)")
    parser.add_argument("--stock", type=int, default=15, help="of it, for stock nbgrader (default: %(default)s)")
    parser.add_argument("--growth", type=int, nargs="+", default=[10, 100, 1000], help="class sizes of the figure")
    parser.add_argument("--dry", action="store_true", help="do not touch README.md and the figure")
    options = parser.parse_args()
    if min(options.submissions, options.stock, *options.growth) < 2:
        parser.error("a rate needs two submissions at least")
    os.environ["OMP_NUM_THREADS"] = "1"  # for all alike, as the Makefile has it
    # stock nbgrader calls `alembic` by name
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    results_file = PLACE / "results.json"
    if options.all:
        shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    results: Figures = json.loads(results_file.read_text()) if results_file.exists() else {}
    for name in options.stage or STAGES:
        if name in results and not options.stage:
            CONSOLE.print(f"[dim]{name}: kept[/dim]")
            continue
        CONSOLE.print(f"[bold]{name}[/bold]")
        begun = time.time()
        results[name] = STAGES[name](options) | {"at": begun}
        CONSOLE.print(f"  {time.time() - begun:.0f} s  {json.dumps(results[name])[:300]}")
        results_file.write_text(json.dumps(results, indent=1))
    if results.keys() >= STAGES.keys():
        text = table(results)
        CONSOLE.print(text)
        if not options.dry and not options.stage:
            write_tables(ROOT / "benchmarks" / "README.md", "grading", text)
            draw(results)
    return 0


# ---- a class --------------------------------------------------------------------------------------------------------


def make_class(folder: Path, stem: str, size: int, config: str | None = None, kinds: int = len(KINDS)) -> Path:
    """A course root with so many submissions of one assignment.

    Args:
        folder: Its place; wiped.
        stem: The assignment.
        size: Number of submissions.
        config: The whole of ``nbgrader_config.py``; the course's own by default.
        kinds: How many of ``KINDS`` are in it, in turns.
    """
    prepare(ROOT, folder)
    for other in (folder / "source").iterdir():
        if other.name != stem:
            shutil.rmtree(other)
    nbgrader(folder, "generate_assignment", stem)
    variant = get_variant(stem)
    released = nbformat.read(folder / "release" / stem / f"{stem}.ipynb", as_version=4)
    master = nbformat.read(folder / "source" / stem / f"{stem}.ipynb", as_version=4)
    texts = [STUDENTS[kind](variant, released, master) for kind in KINDS[:kinds]]
    for number in range(size):
        path = folder / "submitted" / f"student-{number:05}" / stem / f"{stem}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(texts[number % len(texts)], encoding="utf-8")
    if config is not None:
        (folder / "nbgrader_config.py").write_text(config)
        (folder / "gradebook.db").unlink()
        shutil.rmtree(folder / "release")
        nbgrader(folder, "generate_assignment", stem)
    return folder


def totals(folder: Path) -> tuple[int, float]:
    """Number of submissions in the gradebook, and the sum of their scores."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        scores = [row.score for row in gradebook.db.query(SubmittedAssignment)]
    return len(scores), sum(scores)


def expected(stem: str, size: int, kinds: int = len(KINDS)) -> tuple[int, float]:
    """What the totals must be, from judging one submission of each kind by itself."""
    points = points_of_each_kind(stem)[:kinds]
    return size, sum(points[number % len(points)] for number in range(size))


@cache
def points_of_each_kind(stem: str) -> list[float]:
    folder = make_class(PLACE / "kinds", stem, len(KINDS))
    with Session() as session:
        files = sorted((folder / "submitted").glob("*/*/*.ipynb"))
        points = [session.judge_file(get_variant(stem), path).score for path in files]
    assert points[0] == 10 > points[1] > points[2] == 0, points
    return points


# ---- running and watching -------------------------------------------------------------------------------------------


class Memory(threading.Thread):
    """Samples the memory of processes and all that they started.

    Args:
        pids: The processes.
    """

    def __init__(self, *pids: int):
        super().__init__(daemon=True)
        self._roots = [psutil.Process(pid) for pid in pids]
        self._over = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._over.wait(0.5):
            self.peak = max(self.peak, sum(map(_proportional, self._tree())))

    def _tree(self) -> Iterator[psutil.Process]:
        for root in self._roots:
            with contextlib.suppress(psutil.Error):
                yield root
                yield from root.children(recursive=True)

    def end(self) -> float:
        """Stop; gives back the peak in MiB."""
        self._over.set()
        self.join()
        return self.peak / 2**20


def _proportional(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error, FileNotFoundError):
        return process.memory_full_info().pss
    return 0


def watched(
    command: list[str],
    folder: Path,
    *helpers: int,
    meanwhile: Callable[[subprocess.Popen[bytes]], object] = subprocess.Popen.wait,
    status: int = 0,
) -> tuple[float, float]:
    """Run a command in a course root.

    Args:
        command: What to run.
        folder: The course root.
        helpers: Processes that work for it.
        meanwhile: What is done while it runs.
        status: How it has to end.

    Returns:
        Seconds, peak memory in MiB.
    """
    begun = time.perf_counter()
    with (folder / "run.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    memory = Memory(process.pid, *helpers)
    memory.start()
    meanwhile(process)
    assert process.wait() == status, (folder / "run.log").read_text()[-2000:]
    return time.perf_counter() - begun, memory.end()


def measured(
    command: list[str], folder: Path, stem: str, size: int, skipped: int, *helpers: int, kinds: int = len(KINDS)
) -> Figures:
    """Grade a class, check the totals, and give back the figures; the first submissions do not count for the rate."""
    seconds, memory = watched(command, folder, *helpers)
    assert totals(folder) == expected(stem, size, kinds), totals(folder)
    times = sorted(path.stat().st_mtime for path in graded_in(folder))[min(skipped, size // 2, size - 2) :]
    rate = (times[-1] - times[0]) / (len(times) - 1)
    return {"seconds": rate, "memory": memory, "wall": seconds, "size": size}


def graded_in(folder: Path) -> list[Path]:
    """The graded notebooks."""
    return list((folder / "autograded").glob("*/*/*.ipynb"))


def graded_by_us(
    folder: Path,
    options: argparse.Namespace,
    workers: int,
    *how: str,
    helpers: Sequence[int] = (),
    kinds: int = len(KINDS),
) -> Figures:
    """The same by ``attention-grading grade``, and what it says itself."""
    command, size = grade_command(*how), options.submissions
    figures = measured(command, folder, options.stem, size, 2 * workers, *helpers, kinds=kinds)
    return figures | {"serial": report_of(folder)["seconds_serial"] / options.submissions}


def grade_command(*options: str) -> list[str]:
    return [sys.executable, "-m", "attention_grading.cli", "grade", "--report", "report.json", *options]


def report_of(folder: Path) -> Figures:
    return json.loads((folder / "report.json").read_text())


# ---- stages ---------------------------------------------------------------------------------------------------------

STOCK_CONFIG = 'c = get_config()\nc.Exchange.root = "."\n'


def stage_floor(options: argparse.Namespace) -> Figures:
    """The learner's cells alone, in a warm process: what no grader that keeps the pictures can undercut."""
    folder = make_class(PLACE / "floor", options.stem, 3)
    variant = get_variant(options.stem)
    master = nbformat.read(folder / "source" / options.stem / f"{options.stem}.ipynb", as_version=4)
    seconds = []
    with Session() as session:
        for turn in range(1 + max(2, min(10, options.submissions // 3))):
            for path in sorted((folder / "submitted").glob("*/*/*.ipynb")):
                notebook, _ = transplant(nbformat.read(path, as_version=4), variant, master)
                begun = time.perf_counter()
                show_outputs(notebook, session)
                if turn > 0:
                    seconds.append(time.perf_counter() - begun)
    return {"seconds": sum(seconds) / len(seconds)}


def stock(kinds: int = len(KINDS)) -> Callable[[argparse.Namespace], Figures]:
    """A stage that grades with stock nbgrader and a stock configuration."""

    def stage(options: argparse.Namespace) -> Figures:
        folder = make_class(PLACE / "stock", options.stem, options.stock, STOCK_CONFIG, kinds)
        command = [sys.executable, "-m", "nbgrader", "autograde", options.stem]
        return measured(command, folder, options.stem, options.stock, 1, kinds=kinds)

    return stage


def ours(*more: str, workers: int, kinds: int = len(KINDS)) -> Callable[[argparse.Namespace], Figures]:
    """A stage that grades the class on this machine."""

    def stage(options: argparse.Namespace) -> Figures:
        folder = make_class(PLACE / "ours", options.stem, options.submissions, kinds=kinds)
        return graded_by_us(folder, options, workers, "--workers", str(workers), *more, kinds=kinds)

    return stage


def stage_dask(options: argparse.Namespace) -> Figures:
    """Grade the class on a Dask cluster of two worker processes on this machine."""
    folder = make_class(PLACE / "dask", options.stem, options.submissions)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    worker = ("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    with (folder / "dask.log").open("wb") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{command[0]}", *command[1:]],
                cwd=folder.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            for command in (scheduler, worker, worker)
        ]
        try:
            helpers = [process.pid for process in processes]
            return graded_by_us(folder, options, 2, "--scheduler", address, helpers=helpers)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def stage_growth(options: argparse.Namespace) -> Figures:
    """Classes of several sizes, with two workers; the largest is stopped once by Ctrl-C and resumed."""
    points = []
    for size in sorted(options.growth):
        folder = make_class(PLACE / "growth", options.stem, size)
        command = grade_command("--workers", "2")

        def interrupt(process: subprocess.Popen[bytes], folder: Path = folder, after: int = size // 3) -> None:
            while len(graded_in(folder)) < after:
                assert process.poll() is None, (folder / "run.log").read_text()[-2000:]
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)

        is_last = size == max(options.growth)
        begun = watched(command, folder, meanwhile=interrupt, status=130) if is_last else (0.0, 0.0)
        resumed_at = totals(folder)[0]
        ended = watched(command, folder)
        assert totals(folder) == expected(options.stem, size), totals(folder)
        assert sum(report_of(folder)["unchanged"].values()) == resumed_at, resumed_at
        wall, memory = begun[0] + ended[0], max(begun[1], ended[1])
        mean = totals(folder)[1] / size
        points.append({"size": size, "wall": wall, "memory": memory, "resumed_at": resumed_at, "mean": mean})
        CONSOLE.print(f"  {points[-1]}")
        shutil.rmtree(folder)
    return {"points": points}


STAGES: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "floor": stage_floor,
    "stock": stock(),
    "one worker": ours(workers=1),
    "two workers": ours(workers=2),
    "two workers, --verdict-only": ours("--verdict-only", workers=2),
    "one worker, --verdict-only": ours("--verdict-only", workers=1),
    "Dask, two workers": stage_dask,
    "stock, all run": stock(ALL_RUN),
    "two workers, all run": ours(workers=2, kinds=ALL_RUN),
    "growth": stage_growth,
}


# ---- what is shown --------------------------------------------------------------------------------------------------


def table(results: Figures) -> str:
    """The results in Markdown."""
    stock, floor = results["stock"]["seconds"], results["floor"]["seconds"]
    cores = usable_cores()
    lines = [
        "| grader | s a submission | times stock | floor's share | peak MiB | start, s | serial, s a submission |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in STAGES:
        figures = results[name]
        if name in ("floor", "growth") or "all run" in name:
            continue
        used = 1 if name == "stock" or name.startswith("one") else 2
        share = "–" if "only" in name else f"{floor / used / figures['seconds']:.0%}"
        start = figures["wall"] - figures["seconds"] * figures["size"]
        serial = f"{figures['serial']:.3f}" if "serial" in figures else "–"
        title = "stock nbgrader" if name == "stock" else f"`attention-grading grade`, {name.replace(', --', ', `--')}"
        title += "`" if "only" in name else ""
        lines.append(
            f"| {title} | {figures['seconds']:.3f} | {stock / figures['seconds']:.1f} | {share} "
            f"| {figures['memory']:.0f} | {max(0.0, start):.0f} | {serial} |"
        )
    running = results["stock, all run"]["seconds"] / results["two workers, all run"]["seconds"]
    one, two = results["one worker"]["seconds"], results["two workers"]["seconds"]
    sizes = [point["size"] for point in results["growth"]["points"]]
    memory = [point["memory"] for point in results["growth"]["points"]]
    last = results["growth"]["points"][-1]
    days = sorted({time.strftime("%Y-%m-%d", time.gmtime(figures["at"])) for figures in results.values()})
    return "\n".join(
        [
            f"Measured on {', '.join(days)}: {cores} cores ({_processor()}), Python {platform.python_version()}, torch "
            f"{torch.__version__}; {results['two workers']['size']} submissions of one assignment, a third each right, "
            f"wrong and blank; stock on {results['stock']['size']} of them. One thread a process throughout.",
            "",
            *lines,
            "",
            f"- Floor: the learner's own cells in a warm process take {floor:.3f} s on one core, pictures included.",
            f"- Where every submission runs and draws its maps (half right, half wrong), two workers are {running:.1f} "
            "times as fast as stock.",
            f"- Two workers are {one / two:.2f} times as fast as one.",
            f"- Peak memory with two workers at {', '.join(map(str, sizes))} submissions: "
            f"{', '.join(f'{value:.0f}' for value in memory)} MiB.",
            f"- The class of {last['size']} was stopped by Ctrl-C after {last['resumed_at']} submissions and resumed: "
            f"{last['wall']:.0f} s in all, mean score {last['mean']:.3f}, as it should be.\n",
        ]
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def draw(results: Figures) -> None:
    """Cost and memory against the size of the class."""
    points = results["growth"]["points"]
    sizes = [point["size"] for point in points]
    figure, (cost, memory) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    stock = results["stock"]["seconds"]
    cost.plot(sizes, [stock * size for size in sizes], "s--", color="0.45", label="stock nbgrader (from its rate)")
    cost.plot(sizes, [point["wall"] for point in points], "o-", color="#0b5394", label="two workers, measured")
    cost.set(xscale="log", yscale="log", xlabel="submissions", ylabel="seconds, start included", title="Time")
    cost.legend(frameon=False)
    memory.plot(sizes, [point["memory"] / 1024 for point in points], "o-", color="#0b5394")
    memory.set(xscale="log", xlabel="submissions", ylabel="GiB, all processes together", title="Peak memory")
    memory.set_ylim(0, 1.2 * max(point["memory"] for point in points) / 1024)
    for axes in (cost, memory):
        axes.grid(alpha=0.3)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=120, facecolor="white")
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
