"""What confinement costs, in milliseconds a submission: with and without, in turn, in one run.

``python benchmarks/confinement.py`` prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nbformat

from attention_grading.execution.judge_runner import Supervisor
from attention_grading.execution.notebook_runner import Display
from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.judging.session import Session, encoded
from attention_grading.sandbox.confinement import Confinement, landlock_abi
from attention_grading.sandbox.limits import Limits
from attention_lab.notebook.learner_cells import grade_id_of, notebook_submission
from attention_lab.variants import get_variant

ROOT = Path(__file__).parents[1]
VARIANT = get_variant("eager_causal")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="submissions a row (default: %(default)s)")
    runs = parser.parse_args().runs
    master = nbformat.read(ROOT / "source" / VARIANT.stem / f"{VARIANT.stem}.ipynb", as_version=4)
    submission = notebook_submission(master, VARIANT, master)
    cells = [cell.source for cell in master.cells if cell.cell_type == "code" and "test" not in grade_id_of(cell)]
    calls = encoded(VARIANT, flat_calls(plan(VARIANT.name, PUBLIC_SEED)))
    limits = Limits(seconds=120)
    print("| step | without | confined | confinement costs |")
    print("|---|---|---|---|")
    with (
        Supervisor(limits, confined=False) as bare,
        Supervisor(limits, confined=True) as safe,
        Session(limits=limits, confined=False) as bare_session,
        Session(limits=limits, confined=True) as safe_session,
    ):
        nothing = [partial(each.run, [], VARIANT.function_name, calls, "__main__") for each in (bare, safe)]
        row("fork, an empty submission, reap", runs, *nothing)
        judging = [partial(each.judge, VARIANT, submission) for each in (bare_session, safe_session)]
        row("judge a right function", runs, *judging)
    shows = [Display(limits, confined=confined) for confined in (False, True)]
    row("run its notebook for the pictures", max(3, runs // 4), *(partial(show.run, cells) for show in shows))
    for show in shows:
        show.close()
    alone = rules_alone(runs)
    print(f"\nThe rules alone, in the child: {min(alone):.2f} ({statistics.median(alone):.2f}) ms.")
    print(f"Fastest (median) of {runs} runs, of {max(3, runs // 4)} for the pictures; {os.cpu_count()} cores,")
    print(f"Linux {platform.release()}, Landlock version {landlock_abi()}.")


def row(name: str, runs: int, without: Callable[[], object], confined: Callable[[], object]) -> None:
    """Measure both in turn, after one run of each to start the warm processes, and print a line."""
    times: tuple[list[float], list[float]] = ([], [])
    for round_ in range(runs + 1):
        for action, taken in zip((without, confined), times, strict=True):
            start = time.perf_counter()
            action()
            if round_:
                taken.append((time.perf_counter() - start) * 1000)
    fastest, middle = [[reduce(taken) for taken in times] for reduce in (min, statistics.median)]
    both = [f"{quick:.1f} ({usual:.1f}) ms" for quick, usual in zip(fastest, middle, strict=True)]
    costs = f"{fastest[1] - fastest[0]:+.1f} ({middle[1] - middle[0]:+.1f}) ms"
    print(f"| {name} | {both[0]} | {both[1]} | {costs} |", flush=True)


def rules_alone(runs: int) -> list[float]:
    """Milliseconds that ``Confinement.apply`` takes in a forked child."""
    taken = []
    for _ in range(runs):
        rules = Confinement(Limits())
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            start = time.perf_counter()
            rules.apply()
            os.write(send, struct.pack("d", time.perf_counter() - start))
            os._exit(0)
        os.waitpid(pid, 0)
        taken.append(struct.unpack("d", os.read(receive, 8))[0] * 1000)
        for descriptor in (receive, send, rules.descriptor):
            os.close(descriptor)
    return taken


if __name__ == "__main__":
    main()
