"""``attention-grading intake``: bring what students handed in to where nbgrader looks for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import dateutil.parser
from rich.console import Console

from attention_grading.course_file import CourseProblem
from attention_grading.files import keep_aside
from attention_grading.lms.candidates import CANVAS_LATE, CANVAS_TIME, MOODLE_NUMBER, MOODLE_TIME, Reading, Times
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import COLUMNS, Line, attention, summary, write_csv
from attention_grading.lms.left_aside import keep_left_aside
from attention_grading.lms.owners.answers import Answers, read_pattern, read_table
from attention_grading.lms.owners.file_names import id_in_name, without_extensions
from attention_grading.lms.owners.platforms import PLATFORMS
from attention_grading.lms.owners.roster import Roster, read_roster
from attention_grading.lms.owners.rule import ASKED
from attention_grading.lms.zip_reader import to_utc
from attention_grading.nbgrader_plugin.times import LATE, ON_TIME, course_zone, time_in_words, zone_named
from attention_grading.text import plain, wrapped
from attention_lab.variants import VARIANTS

STEMS = tuple(variant.stem for variant in VARIANTS.values())
# Said once, however many lines they are about
HINTS = {
    MOODLE_NUMBER: "Moodle numbers a student anew in each assignment; --roster with the grading worksheets joins them.",
    MOODLE_TIME: "Moodle's downloads keep no times; --roster with the grading worksheet gives them.",
    CANVAS_TIME: "Canvas's downloads say late or not, and no times. Give the gradebook the due date, by which intake "
    "makes times of that: nbgrader db assignment add ASSIGNMENT --duedate '2026-10-01 23:59 Europe/Berlin'. Or say "
    "--due.",
    CANVAS_LATE: "Without a due date what Canvas marks LATE is not late for nbgrader.",
}

TABLE = Path("intake.csv")
CONFIG = "nbgrader_config.py"

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
only whether a file is late, and the gradebook's due date (or --due) turns that into times. Otherwise the zip entry's
time counts, else the file's; whoever made the file can set both. Times without a zone are read in --timezone, else in
c.NbGraderAPI.timezone of nbgrader_config.py, else in this machine's zone; timestamp.txt is in UTC, as nbgrader reads
it.

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
        help="take this assignment alone",
    )
    parser.add_argument("--lms", choices=(*PLATFORMS, "none"), help="default: told by the names")
    parser.add_argument("--student-folder", metavar="N", type=int, help="which folder is the student's; 0: the name")
    parser.add_argument("--pattern", metavar="PATH", help="such as '*/{student}_*.ipynb': where the id stands")
    parser.add_argument("--owners", metavar="CSV", type=Path, help="the table of --dry-run, with students filled in")
    parser.add_argument("--groups", action="store_true", help="one hands in for all of the roster's group")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="such as Europe/Berlin (default: the course's, else this machine's)"
    )
    parser.add_argument(
        "--due",
        metavar="TIME",
        help='"2026-10-01 23:59 Europe/Berlin": by which Canvas says late or not (default: the gradebook\'s due date)',
    )
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
    if options.student_folder is not None and options.student_folder < 0:
        parser.error("--student-folder takes 0, 1, 2, …")
    report = options.report or (TABLE if options.dry_run else None)
    into = options.into or Path("submitted")
    try:
        _require_places(options, report, into)
        how = _reading(options)
    except (ValueError, OverflowError, CourseProblem) as reason:
        print(f"attention-grading: nothing was taken. {reason}", file=sys.stderr)
        return 2
    lines = intake(
        options.sources,
        into,
        how,
        only=options.only,
        replace_others=options.replace,
        dry_run=options.dry_run,
    )
    problems = _recorded(lines, how.roster, options) if options.into is None and not options.dry_run else []
    if report is not None:
        try:
            keep_aside(report)
            write_csv(report, lines)
        except OSError as error:
            problems.append(f"the report cannot be written: {error}")
    _show(lines, how, options, report)
    for problem in problems:
        print(f"attention-grading: {problem}", file=sys.stderr)
    return 1 if problems or any(line.status == "rejected" for line in lines) else 0


def _require_places(options: argparse.Namespace, report: Path | None, into: Path) -> None:
    """Refuse what is to be read and is not there, and what cannot be written.

    Raises:
        ValueError: The message says what, and what to do.
    """
    for source in options.sources:
        if not source.exists():
            raise ValueError(f"There is no {source}")
    if options.into is None and not Path(CONFIG).is_file():
        raise ValueError(f"Run it in the course root, where {CONFIG} is, or say --into")
    if report is not None and not report.parent.is_dir():
        raise ValueError(f"There is no folder {report.parent} for the report")
    if into.exists() and not into.is_dir():
        raise ValueError(f"{into} is a file, and not a folder")


def _reading(options: argparse.Namespace) -> Reading:
    """How the downloads are to be read.

    Raises:
        ValueError: An option's value is not right; the message says which.
        CourseProblem: The course's configuration or gradebook cannot be read.
    """
    roster = read_roster(options.roster)
    if options.groups and not roster.groups:
        raise ValueError("--groups needs a roster with a column group or team")
    answers = Answers(
        options.student_folder,
        read_pattern(options.pattern) if options.pattern is not None else None,
        read_table(options.owners) if options.owners is not None else {},
    )
    zone, due_dates = _course_times() if Path(CONFIG).is_file() else (None, {})
    if options.timezone:
        zone = zone_named(options.timezone)
        if zone is None:
            raise ValueError(f"There is no time zone {options.timezone!r}; write one such as Europe/Berlin")
    times = Times(
        zone, _due(options.due, zone), timedelta(minutes=options.late_by), options.file_times, due_dates=due_dates
    )
    return Reading(roster, times, options.lms, answers, options.groups)


def _course_times() -> tuple[tzinfo | None, dict[str, datetime]]:
    """The course's time zone and its due dates."""
    from attention_grading.nbgrader_plugin.configuration import open_course  # nbgrader takes two seconds
    from attention_grading.nbgrader_plugin.gradebook_reader import due_dates

    coursedir = open_course(Path.cwd())
    return course_zone(coursedir.parent.config), due_dates(coursedir)


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


def _show(lines: Sequence[Line], how: Reading, options: argparse.Namespace, report: Path | None) -> None:
    """How many of each kind, due dates, hints, and last what needs attention."""
    console = Console(highlight=False)
    console.print(f"dry run, nothing was written: {summary(lines)}" if options.dry_run else summary(lines))
    if report is not None:
        console.print(f"{report} lists every file", markup=False)
    said = {detail for line in lines for detail in line.details}
    hints = [f"hint: {hint}" for note, hint in HINTS.items() if note in said]
    asked = next((line for line in lines if ASKED in line.details), None)
    if asked is not None:
        hints.append(f"hint: {_ways(asked.file)}")
    for hint in [*_about_due_dates(lines, how.times), *hints]:
        for line in wrapped(hint, console.width, "  "):
            console.print(line, markup=False, soft_wrap=True)
    for text in attention(lines, console.width, how.roster.called):
        console.print(text, soft_wrap=True)


def _about_due_dates(lines: Sequence[Line], times: Times) -> Iterator[str]:
    """What late or on time went by, and where that is not the gradebook's due date."""
    for stem in sorted({line.assignment for line in lines if line.time_from in (ON_TIME, LATE)}):
        known = times.due_dates.get(stem)
        due = times.due or known
        if due is not None:
            yield f"{stem} is due {_in_words(due, times)}, by {'--due' if times.due else 'the gradebook'}"
        if due is not None and known not in (None, due):
            yield (
                f"look at: --due differs from the gradebook's due date of {stem}, {_in_words(known, times)}. Grading "
                "goes by the gradebook: leave --due out, or change the date there"
            )


def _in_words(when: datetime, times: Times) -> str:
    return time_in_words(when, times.zone or when.astimezone().tzinfo)


def _ways(file: str) -> str:
    """What each answer would make of a file whose owner is asked for."""
    _, *folders, name = file.split("/") if "/" in file else ("", file)
    ways = [f"{number} takes {plain(without_extensions(folder), 60)!r}" for number, folder in enumerate(folders, 1)]
    ways += [f"0 takes {plain(left, 60)!r}"] if (left := id_in_name(name)) else []
    said = f"For the first of these files, --student-folder {', '.join(ways)} as the student. " if ways else ""
    return (
        f"{said}Or run it with --dry-run, fill in the column student of {TABLE}, and give it back by --owners {TABLE}."
    )


def _due(text: str | None, zone: tzinfo | None) -> datetime | None:
    """A due date in UTC; its own zone counts, by hours or by a name at the end, then the one that is given."""
    if text is None:
        return None
    time, _, last = text.strip().rpartition(" ")
    if time and (named := zone_named(last)) is not None:
        text, zone = time, named
    try:
        when = dateutil.parser.parse(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"--due needs a time such as '2026-10-01 23:59 Europe/Berlin', not {text!r}") from error
    utc = when.astimezone(UTC) if when.tzinfo else to_utc(when, zone)
    if utc is None:
        raise ValueError(f"There is no such time as {text!r}")
    return utc
