"""``attention-grading intake``: bring what students handed in to where nbgrader looks for it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dateutil.parser
from rich.console import Console

from attention_grading.files import keep_aside
from attention_grading.lms.candidates import CANVAS_LATE, CANVAS_TIME, MOODLE_NUMBER, MOODLE_TIME, Times
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import COLUMNS, summary, table, write_csv
from attention_grading.lms.roster import read_roster
from attention_grading.lms.zip_reader import to_utc
from attention_lab.variants import VARIANTS

STEMS = tuple(variant.stem for variant in VARIANTS.values())
# Said once below the table, however many lines they are about
HINTS = {
    MOODLE_NUMBER: "Moodle numbers a student anew in each assignment; --roster with the grading worksheets joins them.",
    MOODLE_TIME: "Moodle's downloads keep no times; --roster with the grading worksheet gives them.",
    CANVAS_TIME: "Canvas's downloads keep no times, only LATE marks; --due makes times of them.",
    CANVAS_LATE: "Without --due what Canvas marks LATE will not be late for nbgrader.",
}

DESCRIPTION = """\
Bring downloads from Canvas, Moodle or Blackboard, or plain folders and zip files, to where nbgrader wants them:
submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb with a timestamp.txt. Nothing is overwritten unless --replace, and then
the old file is kept under a numbered name. Exit code: 0 when everything was taken, 1 when something was rejected, 2 for
wrong usage.
"""
EPILOG = f"""\
Students. Canvas: the user's id (lastnamefirst_LATE_12345_67890_NAME: 12345). Blackboard: the user name. Moodle: the
participant's number, which is another one in each assignment; --roster with the grading worksheets gives each student
one id. Without an LMS: a folder or a zip for each student, or the id in the file's name beside the assignment's
(s1234_02_eager_causal.ipynb). Where that cannot be told apart, the files are rejected and --student-folder settles it.

Times. Blackboard writes them into its names; Moodle's are in its grading worksheet (--roster). Canvas and Moodle stamp
their zips with the time of the download, so those times are not used (--file-times uses them): Canvas says only whether
a file is late, and --due turns that into times. Without an LMS the zip entry's time counts, else the file's; whoever
made the file can set both. Times without a zone are read in --timezone; timestamp.txt is in UTC, as nbgrader reads it.

Columns of the report: {", ".join(COLUMNS)}.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("sources", metavar="ZIP_OR_FOLDER", nargs="+", type=Path)
    parser.add_argument("--into", metavar="FOLDER", type=Path, help="default: submitted, in the course root")
    parser.add_argument("--roster", metavar="CSV", type=Path, action="append", default=[], help="who is in the course")
    parser.add_argument(
        "--only",
        metavar="ASSIGNMENT",
        action="append",
        choices=STEMS,
        help="take this one of the six alone",
    )
    parser.add_argument("--lms", choices=("canvas", "moodle", "blackboard", "none"), help="default: told by the names")
    parser.add_argument(
        "--student-folder", metavar="N", type=int, help="without an LMS: which folder is the student's; 0: the name"
    )
    parser.add_argument("--timezone", metavar="ZONE", help="such as Europe/Berlin (default: this machine's)")
    parser.add_argument("--due", metavar="TIME", help='"2026-10-01 23:59": when what is marked late or not was due')
    parser.add_argument(
        "--late-by", metavar="MINUTES", type=float, default=1, help="what LATE is worth (default: %(default)g)"
    )
    parser.add_argument("--file-times", action="store_true", help="trust the times in Canvas's and Moodle's zips")
    parser.add_argument("--replace", action="store_true", help="replace other files that are there, and keep them")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done; write nothing but the report")
    parser.add_argument("--report", metavar="CSV", type=Path, help="write the table into a file, too")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the command; returns its exit code."""
    try:
        zone = ZoneInfo(options.timezone) if options.timezone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        parser.error(f"there is no time zone {options.timezone!r}; such as Europe/Berlin")
    for source in options.sources:
        if not source.exists():
            parser.error(f"there is no {source}")
    if options.into is None and not Path("nbgrader_config.py").is_file():
        parser.error("run it in the course root, where nbgrader_config.py is, or say --into")
    if options.report is not None and not options.report.parent.is_dir():
        parser.error(f"there is no folder {options.report.parent} for the report")
    if options.student_folder is not None and options.student_folder < 0:
        parser.error("--student-folder wants 0, 1, 2, …")
    into = options.into or Path("submitted")
    if into.exists() and not into.is_dir():
        parser.error(f"{into} is no folder")
    try:
        roster = read_roster(options.roster)
        due = _due(options.due, zone)
        late_by = timedelta(minutes=options.late_by)
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    times = Times(zone, due, late_by, options.file_times)
    lines = intake(
        options.sources,
        into,
        roster=roster,
        times=times,
        lms=options.lms,
        level=options.student_folder,
        only=options.only,
        replace_others=options.replace,
        dry_run=options.dry_run,
    )
    console = Console(highlight=False)
    title = "intake: a dry run, nothing was written" if options.dry_run else "intake"
    console.print(table(lines, title))
    console.print(summary(lines))
    said = {detail for line in lines for detail in line.details}
    for note, hint in HINTS.items():
        if note in said:
            console.print(f"[yellow]hint[/yellow] {hint}")
    if options.report is not None:
        try:
            keep_aside(options.report)
            write_csv(options.report, lines)
        except OSError as error:
            print(f"attention-grading: the report cannot be written: {error}", file=sys.stderr)
            return 1
    return 1 if any(line.status == "rejected" for line in lines) else 0


def _due(text: str | None, zone: tzinfo | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = dateutil.parser.parse(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"--due wants a time such as '2026-10-01 23:59', not {text!r}") from error
    utc = when.astimezone(UTC) if when.tzinfo else to_utc(when, zone)
    if utc is None:
        raise ValueError(f"there is no such time as {text!r}")
    return utc
