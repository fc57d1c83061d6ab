"""A gradebook in PostgreSQL, through nbgrader's ``db_url``: a real server, started on loopback as a normal user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from attention_grading import cli
from attention_grading.authoring.course_root import nbgrader
from attention_grading.classroom import task
from attention_lab.notebook.learner_cells import GRADED_IDS
from support.classes import InlineCrew, database, hand_in, make_course, rows, scores

STEM = "03_sdpa_bidirectional"
STUDENTS = {"ann": "all-right", "bob": "one-mistake", "cem": "blank", "dot": "syntax-error", "eve": "broken-file"}
POINTS = {"ann": 10, "cem": 0, "dot": 0, "eve": 0}

pytestmark = [pytest.mark.nbgrader, pytest.mark.needs("postgresql")]


def programs() -> Path:
    """The folder of the server's programs, which Debian leaves off the path."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"))


def normal_user() -> str | None:
    """Whom to run the server as: initdb refuses root."""
    if os.getuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of an empty database."""
    user, port = normal_user(), free_port()
    with tempfile.TemporaryDirectory(prefix="attention-postgres-") as folder:
        data = f"{folder}/data"
        if user is not None:
            shutil.chown(folder, user)

        def run(program: str, *options: str) -> None:
            command = [str(programs() / program), "-D", data, *options]
            subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=60)

        run("initdb", "-U", "grader", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            with psycopg.connect(f"postgresql://grader@127.0.0.1:{port}/postgres", autocommit=True) as connection:
                connection.execute("create database gradebook")
            yield f"postgresql+psycopg://grader@127.0.0.1:{port}/gradebook"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def courses(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The same ungraded class twice: with its gradebook in PostgreSQL, and in SQLite."""
    places = tmp_path_factory.mktemp("courses")
    postgres = make_course(places / "postgres", [STEM], f'c.CourseDirectory.db_url = "{server}"\n')
    assert not (postgres / "gradebook.db").exists()
    sqlite = make_course(places / "sqlite", [STEM])
    for folder in (postgres, sqlite):
        for student, kind in STUDENTS.items():
            hand_in(folder, student, STEM, kind)
    yield postgres, sqlite
    task.close_session()


class Reader(threading.Thread):
    """Reads a gradebook again and again, as Formgrader does for somebody who looks on."""

    def __init__(self, url: str):
        super().__init__(daemon=True)
        self._url, self._over = url, threading.Event()
        self.seen: set[int] = set()
        self.halves = 0
        self.error: Exception | None = None

    def run(self) -> None:
        engine = sqlalchemy.create_engine(self._url)
        query = sqlalchemy.text("select count(*), count(auto_score) from grade")
        try:
            while not self._over.is_set():
                with engine.connect() as connection:
                    there, graded = connection.execute(query).one()
                self.seen.add(there)
                self.halves += there != graded or there % len(GRADED_IDS) != 0
        except Exception as error:
            self.error = error
        engine.dispose()

    def end(self) -> None:
        self._over.set()
        self.join(timeout=20)


def test_postgresql_holds_what_sqlite_holds_and_readers_see_whole_submissions(server, courses, monkeypatch):
    postgres, sqlite = courses
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    monkeypatch.chdir(postgres)
    reader = Reader(server)
    reader.start()
    assert cli.main(["grade"]) == 0
    reader.end()
    monkeypatch.chdir(sqlite)
    assert cli.main(["grade"]) == 0
    assert rows(server) == rows(database(sqlite))
    got = {student: score for (student, _), (score, _) in scores(server).items()}
    assert got == POINTS | {"bob": got["bob"]}
    assert 0 < got["bob"] < 10
    assert reader.error is None
    assert reader.halves == 0
    assert max(reader.seen) == len(GRADED_IDS) * len(STUDENTS)


def test_graded_class_in_postgresql_goes_on_and_is_exported(server, courses, monkeypatch, capsys):
    postgres, _ = courses
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    monkeypatch.chdir(postgres)
    assert cli.main(["grade", "--verdict-only"]) == 0
    before = rows(server)
    hand_in(postgres, "fay", STEM, "all-right")
    capsys.readouterr()
    assert cli.main(["grade", "--verdict-only"]) == 0
    assert "1 graded in" in capsys.readouterr().out
    after = rows(server)
    assert [row for row in after["grades"] if row[0] != "fay"] == before["grades"]
    assert scores(server)["fay", STEM] == (10, 10)
    nbgrader(postgres, "export", "--to=grades.csv")
    assert f"{STEM}" in (postgres / "grades.csv").read_text()
    assert len((postgres / "grades.csv").read_text().splitlines()) == 7


def test_gradebook_that_cannot_be_reached_says_so_without_its_password(courses, monkeypatch, capsys):
    postgres, _ = courses
    monkeypatch.chdir(postgres)
    config = postgres / "nbgrader_config.py"
    text = config.read_text()
    url = f"postgresql+psycopg://grader:pa55word@127.0.0.1:{free_port()}/gradebook"
    config.write_text(text + f'c.CourseDirectory.db_url = "{url}"\n')
    try:
        assert cli.main(["grade"]) == 2
    finally:
        config.write_text(text)
    error = capsys.readouterr().err
    assert "grader:***@127.0.0.1" in error
    assert "cannot be opened" in error
    assert "pa55word" not in error
