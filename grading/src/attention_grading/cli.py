"""The command ``attention-grading``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from attention_grading import class_report, grade, intake, returns
from attention_grading.limits import Limits
from attention_grading.processes import WorkerFailed
from attention_grading.self_check import print_verdict
from attention_grading.session import Session
from attention_lab.variants import VARIANTS, get_variant


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 when it did its work, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="attention-grading", description="Grade the course 'Attention, six ways'.")
    commands = parser.add_subparsers(dest="command", required=True)
    judge = commands.add_parser(
        "judge",
        help="judge .py files or notebooks",
        epilog="Exit code 0: every file was judged, whatever its points (attention-lab check wants them all).",
    )
    judge.add_argument("variant", metavar="VARIANT", help=f"one of {', '.join(VARIANTS)}")
    judge.add_argument("files", metavar="FILE", nargs="+", type=Path)
    judge.add_argument("--json", action="store_true", help="one JSON object a line, in the order of the files")
    judge.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda"), help="where the functions run (default: cpu)"
    )
    judge.add_argument(
        "--allow-unconfined",
        action="store_true",
        help="run the files' code even where it cannot be confined: it can then do what this account can",
    )
    judge.add_argument(
        "--seconds", type=float, default=Limits.seconds, help="limit for one file (default: %(default)g)"
    )
    judge.set_defaults(run=_judge)
    _add_grade(commands)
    _add_intake(commands)
    _add_return(commands)
    _add_report(commands)
    options = parser.parse_args(arguments)
    return options.run(options, parser)


def _add_grade(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("grade", help="autograde a class in parallel, in the course root")
    grade.add_options(command)
    command.set_defaults(run=lambda options, _: grade.run(options))


def _add_intake(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("intake", help="bring downloads from an LMS to where nbgrader wants them")
    intake.add_options(command)
    command.set_defaults(run=lambda options, _: intake.run(options, command))


def _add_return(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("return", help="write points and feedback in the form that Canvas and Moodle import")
    returns.add_options(command)
    command.set_defaults(run=lambda options, _: returns.run(options, command))


def _add_report(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("report", help="how the class did, and what to teach again, on one page")
    class_report.add_options(command)
    command.set_defaults(run=lambda options, _: class_report.run(options, command))


def _judge(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
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
        for path in options.files:
            verdict = session.judge_file(variant, path)
            if options.json:
                print(json.dumps(verdict.as_json()), flush=True)
            else:
                print_verdict(console, str(path), verdict)
    return 0


if __name__ == "__main__":
    sys.exit(main())
