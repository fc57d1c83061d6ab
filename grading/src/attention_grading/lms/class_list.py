"""The roster's students in the gradebook, with their names: Formgrader and the report know who is missing by it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy.exc import SQLAlchemyError

from attention_grading.lms.owners.roster import Roster, folder_name
from attention_grading.nbgrader_plugin.configuration import open_course
from attention_grading.text import harmless, plain

MAX_CHARACTERS = 200  # of a name
TEST_STUDENT = ("Test", "Student")  # Canvas has one in each course's gradebook, who is nobody


class NotWritten(Exception):
    """The gradebook does not take the names; the message says why."""


def write_class_list(root: Path, roster: Roster) -> None:
    """Write everybody of the roster into the course's gradebook, those who handed in nothing, too.

    What the roster does not tell stays as it is.

    Raises:
        CourseProblem: The course's configuration cannot be read.
        NotWritten: The gradebook cannot be written.
    """
    coursedir = open_course(root)
    try:
        with _own_programs_first(), Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
            for student, person in roster.people.items():
                if (person.first, person.last) == TEST_STUDENT:
                    continue
                told = {"first_name": person.first, "last_name": person.last, "email": person.email}
                # nbgrader export writes them into a spreadsheet, Formgrader into a page
                known = {name: harmless(plain(value, MAX_CHARACTERS)) for name, value in told.items() if value}
                gradebook.update_or_create_student(folder_name(student), **known)
    except (SQLAlchemyError, OSError) as error:
        raise NotWritten(f"the roster's names are not in the gradebook: {str(error).splitlines()[0]}") from error


@contextmanager
def _own_programs_first() -> Iterator[None]:
    """nbgrader makes a new gradebook by the program alembic, which is on no path where no environment is activated."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), before))
    try:
        yield
    finally:
        os.environ["PATH"] = before
