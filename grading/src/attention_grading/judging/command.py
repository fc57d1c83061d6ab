"""``attention-grading judge``, and the judge behind ``attention-lab check``: judge files one by one."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from attention_grading.judging.session import Session
from attention_grading.judging.verdict import Verdict, not_judged
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import Interrupted, WorkerFailed, once_more
from attention_grading.text import plain
from attention_lab.variants import VARIANTS, get_variant


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``judge`` to its parser."""
    parser.epilog = "Exit code 0: every file was judged, whatever its points (attention-lab check wants them all)."
    parser.add_argument("variant", metavar="VARIANT", help=f"one of {', '.join(VARIANTS)}")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, in the order of the files")
    parser.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda"), help="where the functions run (default: cpu)"
    )
    parser.add_argument(
        "--allow-unconfined",
        action="store_true",
        help="run the files' code even where it cannot be confined: it can then do what this account can",
    )
    parser.add_argument(
        "--seconds", type=float, default=Limits.seconds, help="limit for one file (default: %(default)g)"
    )


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Judge; returns 0 when every file was judged, 1 when one could not be, for no fault of its own."""
    try:
        variant = get_variant(options.variant)
    except ValueError as error:
        parser.error(str(error))
    console = Console(highlight=False, soft_wrap=True)
    confined = None if options.allow_unconfined else True
    with Session(limits=Limits(seconds=options.seconds), confined=confined, device=options.device) as session:
        try:
            session.start()
        except WorkerFailed as reason:
            print(f"attention-grading: nothing was judged. {reason}", file=sys.stderr)
            return 1
        left_out = 0
        for path in options.files:
            try:
                verdict = once_more(partial(session.judge_file, variant, path))
            except Interrupted as reason:
                left_out += 1
                if options.json:
                    print(json.dumps(without_points(not_judged(variant, str(reason)))), flush=True)
                print(f"attention-grading: {plain(path, 300)} was not judged. {reason}", file=sys.stderr)
                continue
            if options.json:
                print(json.dumps(verdict.as_json()), flush=True)
            else:
                print_verdict(console, str(path), verdict)
    return 1 if left_out else 0


def without_points(verdict: Verdict) -> dict[str, Any]:
    """A verdict's JSON where nothing was judged, for no fault of the file's: ``null`` for points, never 0."""
    fields = verdict.as_json()
    return fields | {"score": None, "checks": [check | {"earned": None, "passed": None} for check in fields["checks"]]}


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
