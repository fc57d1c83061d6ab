"""``attention-grading intake``: bring what students handed in to where nbgrader looks for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dateutil.parser
from rich.console import Console

from attention_grading.course_file import CourseProblem
from attention_grading.files import keep_aside
from attention_grading.lms.candidates import CANVAS_LATE, CANVAS_TIME, MOODLE_NUMBER, MOODLE_TIME, Reading, Times
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import COLUMNS, Line, attention, summary, wrapped, write_csv
from attention_grading.lms.left_aside import keep_left_aside
from attention_grading.lms.owners.answers import Answers, read_pattern, read_table
from attention_grading.lms.owners.file_names import id_in_name, without_extensions
from attention_grading.lms.owners.platforms import PLATFORMS
from attention_grading.lms.owners.roster import Roster, read_roster
from attention_grading.lms.owners.rule import ASKED
from attention_grading.lms.zip_reader import to_utc
from attention_grading.text import plain
from attention_lab.variants import VARIANTS

STEMS = tuple(variant.stem for variant in VARIANTS.values())
# Said once, however many lines they are about
HINTS = {
    MOODLE_NUMBER: "Moodle numbers a student anew in each assignment; --roster with the grading worksheets joins them.",
    MOODLE_TIME: "Moodle's downloads keep no times; --roster with the grading worksheet gives them.",
    CANVAS_TIME: "Canvas's downloads keep no times, only LATE marks; --due makes times of them.",
    CANVAS_LATE: "Without --due what Canvas marks LATE will not be late for nbgrader.",
}

TABLE = Path("intake.csv")

DESCRIPTION = """\
Bring downloads from a learning platform, or plain folders and zip files, to where nbgrader wants them:
submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb with a timestamp.txt. Nothing is overwritten unless --replace, and then
the old file is kept under a numbered name. Exit code: 0 when everything was taken, 1 when something was rejected, 2 for
wrong usage.
"""
EPILOG = f"""\
Students. Whose a file is, is certain or asked for. It is certain where Canvas, Moodle, Blackboard, Brightspace, Teams,
Google Classroom, Gradescope or Autolab wrote its path, where it lies in nbgrader's submitted/STUDENT/ASSIGNMENT/, or
where its path holds an id or a name of the roster. Otherwise you say it: --student-folder N for the folder that is the
student's, --pattern, or a table: --dry-run writes {TABLE}; fill in its column student ("-" leaves a file out, "a; b"
is work of both) and give it back with --owners {TABLE}.

Roster. Its names go into the gradebook, those who handed in nothing, too. With --groups, what one member of a group
hands in counts for all: the roster's column group (or team) says who works together.

Times. Blackboard, Brightspace and Gradescope state them; Moodle's are in its grading worksheet (--roster). Canvas and
Moodle stamp their zips with the time of the download, so those times are not used (--file-times uses them): Canvas says
only whether a file is late, and --due turns that into times. Otherwise the zip entry's time counts, else the file's;
whoever made the file can set both. Times without a zone are read in --timezone; timestamp.txt is in UTC, as nbgrader
reads it.

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
    parser.add_argument("--lms", choices=(*PLATFORMS, "none"), help="default: told by the names")
    parser.add_argument("--student-folder", metavar="N", type=int, help="which folder is the student's; 0: the name")
    parser.add_argument("--pattern", metavar="PATH", help="such as '*/{student}_*.ipynb': where the id stands")
    parser.add_argument("--owners", metavar="CSV", type=Path, help="the table of --dry-run, with students filled in")
    parser.add_argument("--groups", action="store_true", help="one hands in for all of the roster's group")
    parser.add_argument("--timezone", metavar="ZONE", help="such as Europe/Berlin (default: this machine's)")
    parser.add_argument("--due", metavar="TIME", help='"2026-10-01 23:59": when what is marked late or not was due')
    parser.add_argument(
        "--late-by", metavar="MINUTES", type=float, default=1, help="what LATE is worth (default: %(default)g)"
    )
    parser.add_argument("--file-times", action="store_true", help="trust the times in Canvas's and Moodle's zips")
    parser.add_argument("--replace", action="store_true", help="replace other files that are there, and keep them")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done; write nothing but the report")
    parser.add_argument(
        "--report", metavar="CSV", type=Path, help=f"write all lines into a file (with --dry-run: {TABLE})"
    )


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
    report = options.report or (TABLE if options.dry_run else None)
    if report is not None and not report.parent.is_dir():
        parser.error(f"there is no folder {report.parent} for the report")
    if options.student_folder is not None and options.student_folder < 0:
        parser.error("--student-folder wants 0, 1, 2, …")
    into = options.into or Path("submitted")
    if into.exists() and not into.is_dir():
        parser.error(f"{into} is no folder")
    try:
        roster = read_roster(options.roster)
        answers = Answers(
            options.student_folder,
            read_pattern(options.pattern) if options.pattern is not None else None,
            read_table(options.owners) if options.owners is not None else {},
        )
        due = _due(options.due, zone)
        late_by = timedelta(minutes=options.late_by)
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    if options.groups and not roster.groups:
        parser.error("--groups wants a roster with a column group or team")
    times = Times(zone, due, late_by, options.file_times)
    lines = intake(
        options.sources,
        into,
        Reading(roster, times, options.lms, answers, options.groups),
        only=options.only,
        replace_others=options.replace,
        dry_run=options.dry_run,
    )
    problems = _recorded(lines, roster, options) if options.into is None and not options.dry_run else []
    if report is not None:
        try:
            keep_aside(report)
            write_csv(report, lines)
        except OSError as error:
            problems.append(f"the report cannot be written: {error}")
    _show(lines, options, report)
    for problem in problems:
        print(f"attention-grading: {problem}", file=sys.stderr)
    return 1 if problems or any(line.status == "rejected" for line in lines) else 0


def _recorded(lines: Sequence[Line], roster: Roster, options: argparse.Namespace) -> list[str]:
    """Tell the course who is in it and who handed in what was left aside; returns what went wrong."""
    problems = []
    try:
        keep_left_aside(Path(), lines, options.only)
    except (OSError, ValueError) as error:
        problems.append(f"what was left aside cannot be recorded: {error}")
    if roster.people:
        from attention_grading.lms.class_list import NotWritten, write_class_list  # nbgrader takes two seconds

        try:
            write_class_list(Path.cwd(), roster)
        except (CourseProblem, NotWritten) as error:
            problems.append(str(error))
    return problems


def _show(lines: Sequence[Line], options: argparse.Namespace, report: Path | None) -> None:
    """How many of each kind, hints, and last what needs attention."""
    console = Console(highlight=False)
    console.print(f"a dry run, nothing was written: {summary(lines)}" if options.dry_run else summary(lines))
    if report is not None:
        console.print(f"all lines are in {report}", markup=False)
    said = {detail for line in lines for detail in line.details}
    hints = [hint for note, hint in HINTS.items() if note in said]
    asked = next((line for line in lines if ASKED in line.details), None)
    if asked is not None:
        hints.append(_ways(asked.file))
    for hint in hints:
        for line in wrapped(f"hint: {hint}", console.width, "  "):
            console.print(line, markup=False, soft_wrap=True)
    for text in attention(lines, console.width):
        console.print(text, soft_wrap=True)


def _ways(file: str) -> str:
    """What each answer would make of a file whose owner is asked for."""
    _, *folders, name = file.split("/") if "/" in file else ("", file)
    ways = [f"{number} takes {plain(without_extensions(folder), 60)!r}" for number, folder in enumerate(folders, 1)]
    ways += [f"0 takes {plain(left, 60)!r}"] if (left := id_in_name(name)) else []
    said = f"Of the first such file, --student-folder {', '.join(ways)} for the student. " if ways else ""
    return f"{said}Or --dry-run writes {TABLE}: fill in its column student, and say --owners {TABLE}."


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
