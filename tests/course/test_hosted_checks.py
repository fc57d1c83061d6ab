"""The hosted checks: what they run is here, what they use is pinned, and a release is dated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from support.places import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def commands(path: Path) -> list[str]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_hash_and_may_do_no_more_than_they_need(path):
    text = path.read_text()
    uses = re.findall(r"uses: *(.+)", text)
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", each) for each in uses), uses
    assert yaml.safe_load(text)["permissions"] in ({}, {"contents": "read"})
    assert "secrets." not in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_the_hosted_checks_run_is_there(path):
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.M))
    for command in commands(path):
        assert set(re.findall(r"^make ([\w./-]+)", command)) <= targets
        assert all((ROOT / name).exists() for name in re.findall(r"(?:^| )((?:\.ci|source)/\S+)", command))
        assert set(re.findall(r"--target (\w+)", command)) <= {"learner", "grader"}


def test_a_push_runs_what_everybody_runs():
    assert ".ci/run" in commands(ROOT / ".github" / "workflows" / "tests.yml")


def test_every_release_but_the_one_in_the_making_is_dated_in_the_changelog():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert re.match(r"\d+\.\d+\.\d+", headings[0])
    assert all(re.fullmatch(r"\d+\.\d+\.\d+, \d{4}-\d\d-\d\d", heading) for heading in headings[1:]), headings
