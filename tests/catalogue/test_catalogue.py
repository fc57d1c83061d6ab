"""The catalogue of hostile, broken and clumsy submissions, run through ``nbgrader autograde``.

As the account that runs the tests and, where that is root, again as a user who owns nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from attention_grading.sandbox.confinement import ConfinementUnavailable, require_available
from catalogue import CATALOGUE
from catalogue.run import HONEST
from support.unprivileged import ROOT, copy_for_nobody, is_root

Report = dict
USERS = ("this account", "a user who owns nothing") if is_root() else ("this account",)
SECONDS = 1800  # far beyond: on two idle cores it takes three minutes


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    """What came of the catalogue, by who ran it; both run at the same time."""
    try:
        require_available()
    except ConfinementUnavailable as reason:
        pytest.skip(str(reason))
    if not is_root():
        warnings.warn("the tests do not run as root: the catalogue's pass as root was not run", stacklevel=1)
    running = {}
    with tempfile.TemporaryDirectory(prefix="attention-catalogue-") as folder:
        own = Path(folder)
        arguments = ["-m", "catalogue.run", str(ROOT), str(own / "course"), "--report", str(own / "report.json")]
        running["this account"] = (
            own,
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT / "tests",
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ),
        )
        if is_root():
            copy = copy_for_nobody()
            target = [str(copy.course), str(copy.folder / "course"), "--report", str(copy.folder / "report.json")]
            running["a user who owns nothing"] = (copy.folder, copy.start("-m", "catalogue.run", *target))
        found = {}
        for user, (place, process) in running.items():
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, output[-3000:]
            found[user] = json.loads((place / "report.json").read_text())
    return found


@pytest.fixture(params=USERS)
def report(request: pytest.FixtureRequest, reports: dict[str, Report]) -> Report:
    return reports[request.param]


def table(user: str, report: Report) -> Table:
    """Deserved, got, others unharmed, outside untouched, seconds."""
    title = f"{len(report['rows'])} submissions, graded by {user} (uid {report['user']})"
    result = Table(
        "submission", "kind", "deserved", "got", "others unharmed", "outside untouched", "seconds", title=title
    )
    unharmed = "yes" if set(report["honest"].values()) == {10.0} else "NO"
    for row in report["rows"]:
        marks = ["–" if row[key] is None else f"{row[key]:g}" for key in ("deserved", "got")]
        untouched = "yes" if row["untouched"] else "NO"
        result.add_row(row["name"], row["kind"], *marks, unharmed, untouched, f"{row['seconds']:.1f}")
    return result


@pytest.mark.nbgrader
def test_catalogue_is_printed(reports, capsys):
    with capsys.disabled():
        for user, report in reports.items():
            Console(width=140).print(table(user, report))
            if not is_root():
                print("not run as root: the pass as root is missing")
    assert set(reports) == set(USERS)


@pytest.mark.nbgrader
def test_pass_as_another_user_was_one(reports):
    if is_root():
        assert reports["a user who owns nothing"]["user"] != 0
    assert reports["this account"]["user"] == os.getuid()


@pytest.mark.nbgrader
def test_every_submission_gets_what_it_deserves(report):
    wrong = {row["name"]: (row["deserved"], row["got"]) for row in report["rows"] if row["deserved"] != row["got"]}
    assert wrong == {}


@pytest.mark.nbgrader
def test_honest_students_before_between_and_after_get_full_marks(report):
    assert len(report["honest"]) == len(HONEST) * len({entry.variant for entry in CATALOGUE})
    assert set(report["honest"].values()) == {10.0}


@pytest.mark.nbgrader
def test_nothing_outside_is_changed_or_called(report):
    assert [row["name"] for row in report["rows"] if not row["untouched"]] == []


@pytest.mark.nbgrader
def test_nothing_leaks_and_every_event_is_told(report):
    assert {row["name"]: row["complaints"] for row in report["rows"] if row["complaints"]} == {}
    assert report["complaints"] == []


def test_catalogue_covers_every_kind():
    kinds = Counter(entry.kind for entry in CATALOGUE)
    assert len(CATALOGUE) >= 60
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)
    assert min(kinds[kind] for kind in ("code", "notebook", "resources", "outside", "output", "clumsy")) >= 10
