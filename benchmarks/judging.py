"""How long a verdict takes: ``PYTHONPATH=tests python benchmarks/judging.py [--variant NAME]``.

Judges a mixed class of each variant, the corpus in ``tests/corpus`` (about one right answer in four), in one warm
worker, one answer after the other. Wall-clock time of a right answer and of a wrong one with its diagnosis, and
core-seconds, which other work on the machine does not lengthen much: the judge's own, the worker's and its children's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import psutil

from attention_grading.judging.session import Session
from attention_lab.notebook.learner_cells import Submission
from attention_lab.variants import VARIANTS
from corpus import CORPUS, Answer


def core_seconds() -> float:
    """CPU time of this process and of its descendants, those that have ended included, in seconds."""
    descendants = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(process.cpu_times()[:4]) for process in descendants)


def judge_class(session: Session, answers: list[Answer]) -> tuple[dict[bool, list[float]], float]:
    """Seconds of each verdict, for right and for wrong answers, and the mean core-seconds."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    before = core_seconds()
    for answer in answers:
        submission = Submission(({"id": "file", "source": answer.source},), is_notebook=False)
        start = time.perf_counter()
        session.judge(VARIANTS[answer.variant], submission)
        seconds[answer.right].append(time.perf_counter() - start)
    return seconds, (core_seconds() - before) / len(answers)


def main() -> None:
    """Print one row a variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=list(VARIANTS))
    parser.add_argument("--no-confinement", action="store_true", help="where the platform has none")
    options = parser.parse_args()
    print("| variant | answers | right: median, p95 (s) | wrong: median, p95 (s) | core-seconds, mean | load |")
    print("|---|---|---|---|---|---|")
    with Session(confined=not options.no_confinement) as session:
        for variant in VARIANTS:
            if options.variant not in (None, variant):
                continue
            answers = [answer for answer in CORPUS if answer.variant == variant]
            judge_class(session, [answer for answer in answers if answer.right][:2])  # the plan, and its references
            seconds, cores = judge_class(session, answers)
            right, wrong = (
                f"{statistics.median(times):.3f}, {statistics.quantiles(times, n=20)[-1]:.3f}"
                for times in (seconds[True], seconds[False])
            )
            load = os.getloadavg()[0]
            print(f"| {variant} | {len(answers)} | {right} | {wrong} | {cores:.3f} | {load:.1f} |", flush=True)


if __name__ == "__main__":
    main()
