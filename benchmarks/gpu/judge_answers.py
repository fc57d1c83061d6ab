"""Judge the corpus of right answers on this machine's GPU: ``PYTHONPATH=tests python benchmarks/gpu/judge_answers.py``.

The judge's own way gives every submission a fresh process, which takes a long time to start CUDA. Here one process
judges all answers to a variant, and the judge's way is gone once for each variant: a session on the device, which is
what ``attention-grading judge --device cuda --allow-unconfined`` opens.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass
class Judged:
    """What became of a variant's right answers.

    Attributes:
        variant: Its name.
        answers: How many there are.
        route: The flash route in use.
        errors: Worst error and the largest share of its tolerance, by kernel, dtype and what was compared.
        lost: For each answer that lost points, what it lost and why.
        seconds: How long it took.
    """

    variant: str
    answers: int = 0
    route: str = ""
    errors: dict[str, tuple[float, float]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0


def judge_variant(variant_name: str, seeds: Sequence[str], device: str) -> Judged:
    """Judge all right answers to a variant in this process."""
    from attention_grading.execution.judge_worker import provide_flash_attn
    from attention_grading.judging.cases import flat_calls, plan
    from attention_grading.judging.in_kernel import perform_here
    from attention_grading.judging.outcomes import judge_outcomes
    from attention_lab.flash import flash_route
    from attention_lab.notebook.run_cells import load
    from attention_lab.variants import get_variant
    from corpus import CORPUS
    from corpus.confusion import record_errors

    begin, variant = time.perf_counter(), get_variant(variant_name)
    provide_flash_attn()
    judged, worst = Judged(variant_name, route=flash_route().name), record_errors()
    answers = [answer for answer in CORPUS if answer.right and answer.variant == variant_name]
    for answer in answers:
        judged.answers += 1
        cells = [{"id": "file", "source": answer.source}]
        notes, function = load(cells, variant.function_name, "submission")
        for seed in seeds:
            outcomes = perform_here(variant, function, flat_calls(plan(variant_name, seed, device)), device)
            for check in judge_outcomes(variant, seed, outcomes, notes, device).checks:
                if not check.passed:
                    judged.lost.append(f"{answer.name} lost {check.name}: {check.message}")
    judged.errors = {", ".join(key): errors for key, errors in worst.items()}
    judged.seconds = time.perf_counter() - begin
    return judged


def judge_in_a_session(variant_name: str, device: str) -> str:
    """Judge one right answer in a process apart; empty where it gets full marks, else what was said."""
    from attention_grading.judging.session import Session
    from attention_grading.sandbox.limits import Limits
    from attention_lab.notebook.learner_cells import Submission
    from attention_lab.variants import get_variant
    from corpus import CORPUS

    answer = next(answer for answer in CORPUS if answer.right and answer.variant == variant_name)
    submission = Submission(({"id": "file", "source": answer.source},), is_notebook=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that nothing is confined
        with Session(limits=Limits(seconds=120), confined=None, device=device) as session:
            verdict = session.judge(get_variant(variant_name), submission)
    return "" if verdict.score == verdict.max_score else json.dumps(verdict.as_json())


def main() -> int:
    """Judge and print; returns 1 where a right answer lost points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--route", help="fail where another flash route is in use")
    parser.add_argument("--seeds", type=int, default=1, help="judge each answer on the inputs of so many seeds")
    parser.add_argument("--json", type=Path, help="write the results there too")
    options = parser.parse_args()
    from attention_grading.judging.seed import PUBLIC_SEED
    from attention_lab.variants import VARIANTS

    names = list(VARIANTS)
    seeds = [PUBLIC_SEED, *(f"seed {number}" for number in range(1, options.seeds))]
    workers = min(len(names), max(1, (os.cpu_count() or 2) // 2))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(judge_variant, names, [seeds] * len(names), [options.device] * len(names)))
        # processes here, too: while one judges, it holds its own memory down, which what it starts inherits
        sessions = list(pool.map(judge_in_a_session, names, [options.device] * len(names)))
    console = Console(highlight=False, width=150)
    table = Table(title=f"right answers on {options.device}, inputs of {len(seeds)} seeds")
    for title in ("variant", "answers", "lost points", "in a session", "flash route", "seconds"):
        table.add_column(title)
    for result, failed in zip(results, sessions, strict=True):
        in_session = "FAILED" if failed else "full marks"
        row = (result.variant, str(result.answers), str(len(result.lost)), in_session, result.route)
        table.add_row(*row, f"{result.seconds:.0f}")
    console.print(table)
    for result, failed in zip(results, sessions, strict=True):
        for line in (*result.lost, *([f"in a session: {failed}"] if failed else [])):
            console.print(f"{result.variant}: {line}", markup=False)
        for what, (error, share) in sorted(result.errors.items()):
            console.print(f"{result.variant}: {what}: worst error {error:.2g}, {share:.0%} of its tolerance")
    if options.json:
        options.json.write_text(json.dumps([vars(result) for result in results], indent=1))
    wrong_route = options.route and any(result.route != options.route for result in results)
    return 1 if wrong_route or any(result.lost for result in results) or any(sessions) else 0


if __name__ == "__main__":
    sys.exit(main())
