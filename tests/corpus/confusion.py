"""Judge the corpus and print the confusion table: ``PYTHONPATH=tests python -m corpus.confusion [--seeds N]``.

For each variant and kind: how many answers were judged rightly, how many right ones failed, how many wrong ones passed,
and how many wrong ones lost points elsewhere than they should. Below it, how many wrong answers were named rightly.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track
from rich.table import Table

from attention_grading.judging import comparison
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.judging.session import Session
from attention_grading.judging.verdict import Verdict
from attention_lab.notebook.learner_cells import Submission
from attention_lab.variants import get_variant
from corpus import CORPUS, Answer


@dataclass(frozen=True)
class Judged:
    """One answer of the corpus with its verdict."""

    answer: Answer
    verdict: Verdict
    seconds: float

    @property
    def lost(self) -> frozenset[str]:
        """Checks that lost their points."""
        return frozenset(check.name for check in self.verdict.checks if not check.passed)

    @property
    def outcome(self) -> str:
        """``right``, ``failed`` (a right answer), ``passed`` (a wrong one) or ``wrong check``."""
        if self.answer.right:
            return "failed" if self.lost else "right"
        if not self.lost:
            return "passed"
        fits = self.answer.loses <= self.lost and not self.answer.keeps & self.lost
        return "right" if fits else "wrong check"

    @property
    def named(self) -> str:
        """Names that the diagnoses gave, joined; empty where none was given."""
        names = {check.diagnosis.split(":")[0] for check in self.verdict.checks if check.diagnosis}
        return ", ".join(sorted(names))


def judge_corpus(session: Session, answers: Iterable[Answer]) -> list[Judged]:
    """Judge answers one after the other in one warm worker."""
    results = []
    for answer in answers:
        start = time.perf_counter()
        verdict = session.judge(
            get_variant(answer.variant), Submission(({"id": "file", "source": answer.source},), is_notebook=False)
        )
        results.append(Judged(answer, verdict, time.perf_counter() - start))
    return results


def confusion_table(results: list[Judged]) -> Table:
    """Variant × kind, with the counts of each outcome."""
    table = Table(title="confusion: answers of the corpus by variant and kind")
    outcomes = ("right", "failed", "passed", "wrong check")
    titles = ("judged rightly", "right but failed", "wrong but passed", "in the wrong check")
    for title in ("variant", "kind", *titles):
        table.add_column(title, justify="left" if title in ("variant", "kind") else "right")
    counts = Counter((r.answer.variant, "right" if r.answer.right else r.answer.kind, r.outcome) for r in results)
    for variant, kind in sorted({key[:2] for key in counts}):
        table.add_row(variant, kind, *(str(counts[variant, kind, outcome] or "·") for outcome in outcomes))
    table.add_section()
    table.add_row("all", "", *(str(sum(r.outcome == outcome for r in results)) for outcome in outcomes))
    return table


def naming_lines(results: list[Judged]) -> list[str]:
    """How many wrong answers were named, rightly and wrongly."""
    wrong = [r for r in results if not r.answer.right]
    known = [r for r in wrong if r.answer.diagnosis]
    rightly = [r for r in known if r.named == r.answer.diagnosis]
    misnamed = misnamed_answers(results)
    unnamed = [f"{r.answer.variant}/{r.answer.name}" for r in known if not r.named]
    return [
        f"named rightly: {len(rightly)} of {len(known)} wrong answers whose mistake has a name "
        f"({100 * len(rightly) / max(1, len(known)):.0f}%), {len(rightly)} of {len(wrong)} wrong answers in all "
        f"({100 * len(rightly) / max(1, len(wrong)):.0f}%)",
        f"named wrongly: {len(misnamed)}",
        f"not named, though the bank has a name: {', '.join(unnamed) or 'none'}",
    ]


def misnamed_answers(results: list[Judged]) -> list[Judged]:
    """Answers whose diagnosis names another mistake than theirs."""
    return [r for r in results if r.named and r.named != r.answer.diagnosis]


def record_errors() -> dict[tuple[str, str, str], tuple[float, float]]:
    """Keep the worst comparisons from now on, by kernel, dtype and what is compared.

    Returns:
        The worst error, and the largest share of its tolerance that any error took up; filled while answers are judged.
    """
    worst: dict[tuple[str, str, str], tuple[float, float]] = {}
    require_close = comparison._require_close

    def recording(variant, case, call, got, expected, what, hint, slack=1.0):
        dtype = str(call.arguments["q"].dtype).removeprefix("torch.")
        size = "a gradient" if "gradient" in what else "large scores" if "scores" in case else "output"
        error = float(comparison.relative_error(got, expected).max())
        before = worst.get((variant.kernel, dtype, size), (0.0, 0.0))
        share = error / (slack * comparison.tolerance(variant, call))
        worst[variant.kernel, dtype, size] = (max(before[0], error), max(before[1], share))
        require_close(variant, case, call, got, expected, what, hint, slack)

    comparison._require_close = recording
    return worst


def main() -> int:
    """Print everything; returns 1 where an answer was judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="judge the right answers over this many seeds")
    parser.add_argument("--variant", help="one variant only")
    options = parser.parse_args()
    console = Console()
    answers = [answer for answer in CORPUS if options.variant in (None, answer.variant)]
    with Session(seed=PUBLIC_SEED) as session:
        results = judge_corpus(session, track(answers, "judging", console=console))
    console.print(confusion_table(results))
    for line in naming_lines(results):
        console.print(line)
    bad = [r for r in results if r.outcome != "right"]
    for r in [*bad, *misnamed_answers(results)]:
        console.print(f"  {r.answer.variant} {r.answer.name} ({r.answer.kind}): {r.outcome}", highlight=False)
        console.print(f"    lost {sorted(r.lost)}, should lose {sorted(r.answer.loses)}, keep {sorted(r.answer.keeps)}")
        console.print(f"    named {r.named or 'nothing'}, should be {r.answer.diagnosis}")
        for check in r.verdict.checks:
            if r.answer.right and not check.passed:
                console.print(f"    {check.message}", markup=False)
    for right in (True, False):
        times = [r.seconds for r in results if r.answer.right is right]
        words = "right" if right else "wrong"
        console.print(f"seconds for a {words} answer: median {statistics.median(times):.3f}, most {max(times):.3f}")
    failures, worst = 0, record_errors()
    right_answers = [answer for answer in answers if answer.right]
    for number in track(range(1, options.seeds), "seeds", console=console):
        with Session(seed=f"seed {number}") as session:
            for r in judge_corpus(session, right_answers):
                if r.lost:
                    failures += 1
                    console.print(f"  seed {number}: {r.answer.variant} {r.answer.name} lost {sorted(r.lost)}")
                    console.print("    " + next(c.message for c in r.verdict.checks if not c.passed), markup=False)
    if options.seeds > 1:
        console.print(f"{len(right_answers)} right answers over {options.seeds} seeds: {failures} failures")
        console.print("worst error, |got - reference| / (1 + |reference|), and the largest share of its tolerance:")
        for (kernel, dtype, what), (error, share) in sorted(worst.items()):
            console.print(f"| {kernel} | {dtype} | {what} | {error:.2g} | {share:.0%} |")
    return 1 if bad or failures or misnamed_answers(results) else 0


if __name__ == "__main__":
    sys.exit(main())
