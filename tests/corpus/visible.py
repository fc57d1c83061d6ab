"""Ask the visible checks about the corpus: ``PYTHONPATH=tests python -m corpus.visible [--variant NAME] [--messages]``.

For each variant: how many wrong answers fail in one of the two cells that learners see, how many right ones do (none
may), and the processor time of the two cells together. Mistakes that only show on another device are counted apart.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as TimedOut
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median

import torch
from pebble import ProcessExpired, ProcessFuture, ProcessPool
from rich.console import Console
from rich.progress import track
from rich.table import Table

from attention_grading.execution.judge_worker import provide_flash_attn, warm_up
from attention_lab.checks.calls import quiet
from attention_lab.checks.case import CheckFailed
from attention_lab.checks.run import VISIBLE_CHECKS, check
from attention_lab.notebook.run_cells import load
from attention_lab.variants import VARIANTS, Variant, get_variant
from corpus import CORPUS, Answer

# torch.compile works for a minute where nothing keeps it from it, as the judge does: such answers are not looked at
ANSWERS = [answer for answer in CORPUS if "torch.compile" not in answer.source]
# What one answer may take: many times what any does
SECONDS = 60.0
# What both cells may take together, warm and on a CPU, with a right answer
SECONDS_OF_BOTH = 0.5
# FlexAttention alone takes 4 ms a call, uncompiled: who calls it for each head or document takes several times that
SECONDS_OF_FLEX = 1.2
# Share of the wrong answers that learners see fail before they hand in
ENOUGH = 0.9


def seconds_allowed(variant_name: str) -> float:
    """What both cells may take together with a right answer to this variant."""
    return SECONDS_OF_FLEX if VARIANTS[variant_name].kernel == "flex" else SECONDS_OF_BOTH


@dataclass(frozen=True)
class Seen:
    """What a learner with this answer sees.

    Attributes:
        answer: The answer.
        failures: Messages of the cells that fail; none for an answer that passes both.
        seconds: Processor time of both cells; on one thread, and nothing but the answer's calls takes any.
    """

    answer: Answer
    failures: tuple[str, ...]
    seconds: float

    @property
    def counts(self) -> bool:
        """Whether it is a wrong answer that can show on one device."""
        return not self.answer.right and self.answer.kind != "device"


def look_at(answers: Sequence[Answer]) -> Iterator[Seen]:
    """Run both visible checks on each answer, in a process of its own that is forked from this one and cut off."""
    torch.set_num_threads(1)
    provide_flash_attn()
    warm_up()
    with ProcessPool(max_workers=2, max_tasks=1, context=get_context("fork")) as pool:
        running = [pool.schedule(_both_cells, (answer.variant, answer.source), timeout=SECONDS) for answer in answers]
        yield from map(_seen, answers, running)


def _seen(answer: Answer, running: ProcessFuture) -> Seen:
    try:
        failures, seconds = running.result()
    except TimedOut:
        failures, seconds = (f"it did not end within {SECONDS:g} s",), SECONDS
    except ProcessExpired as error:
        failures, seconds = (f"it ended its process: {error}",), 0.0
    return Seen(answer, failures, seconds)


def _both_cells(variant_name: str, source: str) -> tuple[tuple[str, ...], float]:
    variant = get_variant(variant_name)
    notes, function = load([{"id": "file", "source": source}], variant.function_name, "__main__")
    if function is None:
        return tuple(notes.values()), 0.0
    failures, seconds = _run_both(variant, function)
    if seconds > seconds_allowed(variant_name):  # the first time, PyTorch imports what an answer in a rare style uses
        failures, seconds = _run_both(variant, function)
    return failures, seconds


def _run_both(variant: Variant, function: Callable[..., object]) -> tuple[tuple[str, ...], float]:
    failures = []
    start = time.process_time()
    for name in VISIBLE_CHECKS:
        try:
            with quiet():
                check(variant, name, function)
        except CheckFailed as failed:
            failures.append(str(failed))
    return tuple(failures), time.process_time() - start


def visible_table(results: list[Seen]) -> Table:
    """One row a variant."""
    table = Table(title="what learners see before they hand in: the two visible checks")
    for title in ("variant", "wrong", "caught", "share", "device mistakes", "right", "right but failed"):
        table.add_column(title, justify="left" if title == "variant" else "right")
    for title in ("median s", "slowest s"):
        table.add_column(title, justify="right")
    for name in (*VARIANTS, "all"):
        own = [seen for seen in results if name in (seen.answer.variant, "all")]
        if own:
            table.add_row(name, *_figures(own), end_section=name == list(VARIANTS)[-1])
    return table


def _figures(own: list[Seen]) -> list[str]:
    wrong, right = [seen for seen in own if seen.counts], [seen for seen in own if seen.answer.right]
    device = [seen for seen in own if not seen.counts and not seen.answer.right]
    times = [seen.seconds for seen in right]
    return [
        str(len(wrong)),
        str(sum(bool(seen.failures) for seen in wrong)),
        f"{100 * share_caught(own):.0f}%",
        f"{sum(bool(seen.failures) for seen in device)} of {len(device)}",
        str(len(right)),
        str(sum(bool(seen.failures) for seen in right) or "·"),
        f"{median(times):.3f}",
        f"{max(times):.3f}",
    ]


def share_caught(results: Iterable[Seen]) -> float:
    """Share of the wrong answers, device mistakes aside, that fail a visible check."""
    wrong = [seen for seen in results if seen.counts]
    return sum(bool(seen.failures) for seen in wrong) / max(1, len(wrong))


def main() -> int:
    """Print everything; returns 1 where a right answer fails or is slow, or too few wrong ones fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", help="one variant only")
    parser.add_argument("--messages", action="store_true", help="print what each wrong answer is told, too")
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    answers = [answer for answer in ANSWERS if options.variant in (None, answer.variant)]
    results = list(track(look_at(answers), "looking", total=len(answers), console=console))
    console.print(visible_table(results))
    console.print("wrong answers that pass both, device mistakes aside:")
    for seen in results:
        if seen.counts and not seen.failures:
            reason = f"{seen.answer.variant} {seen.answer.name} ({seen.answer.kind}): {seen.answer.reason}"
            console.print(f"  {reason}", markup=False, highlight=False)
    for seen in results:
        if seen.failures and (seen.answer.right or options.messages):
            console.print(f"{seen.answer.variant} {seen.answer.name} {'(right)' if seen.answer.right else ''}")
            for message in seen.failures:
                console.print("    " + message.replace("\n", "\n    "), markup=False, highlight=False)
    failed = [seen for seen in results if seen.answer.right and seen.failures]
    slow = any(seen.seconds > seconds_allowed(seen.answer.variant) for seen in results if seen.answer.right)
    return 1 if failed or slow or share_caught(results) < ENOUGH else 0


if __name__ == "__main__":
    sys.exit(main())
