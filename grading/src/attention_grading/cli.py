"""The command ``attention-grading``."""

from __future__ import annotations

import argparse
import importlib
import sys

import attention_grading.without_grammar  # noqa: F401
from attention_grading.execution.workers import JUDGE_WORKER
from attention_grading.sandbox import warm_server

# Module of each command, with ``add_options(parser)`` and ``run(options, parser)``. Only the one that is asked for is
# imported: nbgrader and torch take seconds.
COMMANDS = {
    "judge": ("judging.command", "judge .py files or notebooks"),
    "grade": ("classroom.command", "autograde a class in parallel, in the course root"),
    "intake": ("lms.intake_command", "bring downloads from an LMS to where nbgrader wants them"),
    "return": ("lms.return_command", "write points and feedback in the form that Canvas and Moodle import"),
    "report": ("report.command", "how the class did, and what to teach again, on one page"),
}


# With these, judge starts another process than the usual one, or none
_NOT_AHEAD = ("-h", "--he", "--d")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 when it did its work, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # grade has ended in good order before; the others have nothing to put away
        print("attention-grading: stopped by Ctrl-C", file=sys.stderr)
        return 130


def _main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="attention-grading", description="Grade the course 'Attention, six ways'.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, words) in COMMANDS.items():
        command = commands.add_parser(name, help=words)
        if arguments[:1] == [name]:
            if name == "judge" and not any(each.startswith(_NOT_AHEAD) for each in arguments):
                warm_server.start_ahead(True, JUDGE_WORKER)  # it imports for seconds, and so does the judge
            try:
                asked = importlib.import_module(f"attention_grading.{module}")
            except ModuleNotFoundError as error:
                return _say_what_is_missing(name, error)
            asked.add_options(command)
            command.set_defaults(run=asked.run, parser=command)
    options = parser.parse_args(arguments)
    code: int = options.run(options, options.parser)
    return code


def _say_what_is_missing(command: str, error: ModuleNotFoundError) -> int:
    """Say which package a command lacks, and what brings it; judging alone takes fewer than a class does."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "attention_grading"):
        raise error
    grading = "grading" if command == "judge" else '"grading[class]"'
    print(
        f"attention-grading: {package} is not installed, and {command} needs it. "
        f"In the course's checkout: pip install -e . -e {grading}",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
