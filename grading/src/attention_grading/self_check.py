"""The judge behind ``attention-lab check``: a learner's own files, judged in full, said in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from attention_grading.plain_text import plain
from attention_grading.processes import Interrupted
from attention_grading.session import Session, once_more
from attention_grading.verdict import Verdict
from attention_lab.variants import Variant


def judge_files(pairs: Sequence[tuple[Variant, Path]], console: Console | None = None) -> bool:
    """Judge files and print one line a check, with what went wrong under it.

    Args:
        pairs: Variant and file.
        console: Where to print; the terminal by default.

    Returns:
        Whether every file earned full marks.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    right = True
    with Session(confined=False) as session:  # the user's own code, on any platform
        for variant, path in pairs:
            try:
                verdict = once_more(partial(session.judge_file, variant, path))
            except Interrupted as reason:
                console.print(f"{escape(plain(path, 300))} was not judged. {escape(str(reason))}")
                right = False
                continue
            print_verdict(console, f"{path}", verdict)
            right &= verdict.score == verdict.max_score
    return right


def print_verdict(console: Console, title: str, verdict: Verdict) -> None:
    """Print a verdict: a headline, one line a check, message and diagnosis under those that failed."""
    console.print(
        f"[bold]{escape(plain(title, 300))}[/bold]: {verdict.score} of {verdict.max_score} points ({verdict.variant})"
    )
    reasons = {check.message for check in verdict.checks if not check.passed}
    for check in verdict.checks:
        word = "[green]passed[/green]" if check.passed else "[red]FAILED[/red]"
        console.print(f"  {word}  {check.name:<11} {check.earned}/{check.points}")
        if check.passed or (len(reasons) == 1 and verdict.score == 0 and check is not verdict.checks[0]):
            continue  # one reason for all six is said once
        for line in check.message.split("\n"):
            console.print(f"          {escape(plain(line, 1000))}")
        if check.diagnosis:
            console.print(f"          [yellow]diagnosis[/yellow]: {escape(plain(check.diagnosis, 1000))}")
    for note in verdict.notes:
        console.print(f"  note: {escape(plain(note, 1000))}")
