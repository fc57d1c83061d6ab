"""Every command in every document is run by a test, or stands here with the reason why it is not.

A command that is new in a document has to be added to one of the tables below.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from attention_grading import cli as grading_cli
from attention_grading.authoring.course_root import prepare
from attention_lab import cli as kit_cli
from support.documents import Command, commands, commands_of
from support.places import ROOT
from support.platforms.downloads import STEM, notebook, where, zipped
from support.platforms.sheets import CANVAS_EXPORT


class Own(str):
    """A line of a script that is the test's own, and in no document."""


# ---- run here, line by line, each script by one shell in a folder of its own -----------------------------------------

GRADING_A_CLASS = (
    """echo 'c.NbGraderAPI.timezone = "Europe/Berlin"' >> nbgrader_config.py""",
    "nbgrader generate_assignment 02_eager_causal --force",
    "nbgrader db assignment remove 02_eager_causal",
    Own("nbgrader generate_assignment 02_eager_causal --force"),
    'nbgrader db assignment add 02_eager_causal --duedate "2026-10-01 23:59:00 Europe/Berlin"',
    "attention-grading intake submissions.zip --roster export.csv --dry-run",
    "attention-grading intake submissions.zip --roster export.csv",
    "attention-grading intake submissions.zip",
    "attention-grading grade --dry-run",
    "attention-grading grade 02_eager_causal --dry-run",
    "attention-grading grade 02_eager_causal",
    "attention-grading grade",
    "nbgrader export --to=grades.csv",
    "nbgrader db student remove ada --force",
    Own("rm -r submitted/ada autograded/ada"),
    "attention-grading report",
    "nbgrader generate_feedback 02_eager_causal",
    "nbgrader generate_feedback 02_eager_causal --force",
    "attention-grading return 02_eager_causal --lms canvas --gradebook export.csv --download submissions.zip",
    "attention-grading return 02_eager_causal --lms canvas --gradebook export.csv --download submissions.zip --scale",
    "nbgrader export --to=before.csv",
    Own("mkdir ../backup"),
    "cp -a gradebook.db .grading_seed ../backup/",
    "cp -a . ../copy && cd ../copy",
    "attention-grading grade --force",
    "nbgrader export --to=after.csv && diff before.csv after.csv",
)
A_FORK_WITH_GIT = (
    "git clone https://github.com/OWNER/NAME course && cd course",
    Own("echo 'a name of our own' > course.toml"),
    'git add -A && git commit -m "Release v1.0.0"',
    "git tag v1.0.0 && git push origin HEAD v1.0.0",
    "git describe --tags",
    Own("cd .. && git clone -q https://github.com/OWNER/NAME elsewhere && cd elsewhere"),
    Own("echo 'a better task' > source/02_eager_causal/task && git commit -qam 'A better task'"),
    Own("git tag v1.1.0 && git push -q origin HEAD v1.1.0 && cd ../course"),
    "git fetch --tags && git merge v1.1.0",
    Own('test "$(cat source/02_eager_causal/task)" = "a better task"'),
    "git checkout v1.0.0 -- source/02_eager_causal release/02_eager_causal",
    Own('test "$(cat source/02_eager_causal/task)" = "a task"'),
    Own("cd .."),
    "git clone https://github.com/OWNER/NAME course-autumn && cd course-autumn",
)
RUN_HERE = {line for script in (GRADING_A_CLASS, A_FORK_WITH_GIT) for line in script if not isinstance(line, Own)}

# ---- run by other tests: what the command looks like, what `make` runs for it, and the test that runs that -----------

MAKE = {
    "demo": ("attention_grading.authoring.demo", "conftest.py::course"),
    "release": ("attention_grading.authoring.release", "grading/authoring/test_release.py::fork"),
    "normalise": ("attention_grading.authoring.normalise", "course/test_notebooks.py::test_notebook_is_normalised"),
    "lab": ("attention-lab start", "support/lab/server.py::lab_server"),
    "lab-instructor": ("attention_grading.authoring.lab", "support/lab/server.py::lab_server"),
    "site": ("docs/site/build.py", "browser/test_site.py::site"),
    "wheels": ("pip wheel", "course/test_wheels.py::make_wheels"),
}
BY_TEST = {
    r"attention-lab start": "support/lab/server.py::lab_server",
    r"attention-lab check \S+": "kit/test_command.py::test_check_command_judges_notebooks_and_says_so_by_exit_code",
    r"attention-lab tutor( \| clip)?": "kit/test_command.py::"
    "test_tutor_prints_the_prompt_in_letters_that_every_terminal_and_clipboard_takes",
    r"attention-lab doctor": "kit/environment/test_doctor.py::test_doctor_names_route_and_versions_and_all_is_well",
    r"attention-grading judge eager_causal FILE….*": "grading/judging/test_command.py::"
    "test_command_prints_one_json_object_a_file_in_order",
    r"attention-grading intake submissions\.zip --roster worksheet\.csv": "grading/lms/test_returns.py::course",
    r"attention-grading intake --only .*": "grading/lms/test_recognise.py",
    r"attention-grading return 02_eager_causal --lms moodle .*": "grading/lms/test_returns.py::"
    "test_moodle_gets_points_and_pages_by_participant",
    r"attention-grading grade --scheduler .*": "grading/classroom/test_cluster.py::"
    "test_cluster_gives_what_this_machine_gives",
    r"dask (scheduler|worker) .*": "grading/classroom/test_cluster.py::cluster",
    r"nbgrader autograde --force": "grading/classroom/test_against_nbgrader.py",
    r"PYTHONPATH=tests python -m catalogue\.run .*": "catalogue/test_catalogue.py",
    r"(OMP_NUM_THREADS=1 )?PYTHONPATH=tests python -m corpus\.confusion .*": "corpus/test_corpus.py",
    r"PYTHONPATH=tests python -m corpus\.visible .*": "corpus/test_visible.py",
    r"make build/oldest\.txt": "course/test_lock.py::test_oldest_versions_are_the_lower_bounds",
    r"python docs/draw_house\.py": "course/test_commands.py::test_the_house_is_drawn_from_the_contracts",
}

# ---- not run, and why ------------------------------------------------------------------------------------------------

NOT_HERE = {
    r"make (test|quick|lint)( .*)?|\.ci/run": "runs these tests, or runs beside them",
    r"python -m pytest \S+ -q": "is a part of these tests",
    r"make lock( .*)?": "asks an index for every version; course/test_lock.py holds what it wrote to what is declared",
    r"make demo TORCH_INDEX=.*": "downloads PyTorch; what it runs afterwards is `make demo`",
    r".*run\.sh.*|.*build_flash_attn\.sh|pytest tests/gpu": "needs an NVIDIA GPU",
    r"(PYTHONPATH=tests )?python benchmarks/.*": "measures for minutes, on a machine where nothing else runs",
    r"py -m venv \.venv|\.venv\\Scripts\\.*": "needs Windows; kit/test_other_platforms.py runs the kit without POSIX",
    r"cat /sys/kernel/security/lsm": "asks the kernel, which has no such file in some containers",
    r"source activate": "changes the shell that it is typed into; the scripts above have what it sets",
}
# Lines that install are held by a test of their own
INSTALLS = (
    r"(python3? -m )?pip (install|wheel) .*|python3 -m venv \.venv|uv .*|conda .*|apt(-get)? .*|docker .*|twine .*"
)
# Programs that a text names without an order to type anything
NAMED = r"make|git|python3?|diff|nbgrader( [a-z_]+)?|attention-lab( [a-z]+)?|attention-grading( [a-z]+)?"


def pieces(command: Command) -> list[str]:
    """What is to be found in the tables: the whole line, or its parts; an environment's programs by their names."""
    if command.text in RUN_HERE:
        return []
    return [part.strip().replace(".venv/bin/", "") for part in command.text.split(" && ")]


def kinds(part: str) -> list[str]:
    """The tables that a command stands in."""
    found = [part in RUN_HERE, any(re.fullmatch(known, part) for known in BY_TEST)]
    target = re.fullmatch(r"make ([a-z-]+)( (FORCE=1|LAB_OPTIONS=.*))?", part)
    found += [bool(target and target[1] in MAKE), any(re.fullmatch(known, part) for known in NOT_HERE)]
    found += [bool(re.fullmatch(INSTALLS, part)), bool(re.fullmatch(NAMED, part))]
    return [
        kind for kind, here in zip(("here", "test", "make", "not here", "install", "named"), found, strict=True) if here
    ]


def test_every_command_of_every_document_is_run_by_a_test_or_says_why_not():
    found = commands()
    assert len(found) > 100
    assert [f"{each.place}: {part}" for each in found for part in pieces(each) if not kinds(part)] == []


def test_a_command_that_nobody_runs_is_found():
    new = "Text, `attention-lab fly --far` and `make tea`.\n\n```\nattention-grading brew 02_eager_causal  # hot\n```\n"
    found = list(commands_of(new, ROOT / "docs" / "new.md"))
    assert [each.place for each in found] == ["docs/new.md:4", "docs/new.md:1", "docs/new.md:1"]
    assert [kinds(part) for each in found for part in pieces(each)] == [[], [], []]


def test_tables_hold_nothing_that_no_document_says():
    parts = {part for each in commands() for part in pieces(each)}
    assert RUN_HERE - parts - {each.text for each in commands()} == set()
    assert [known for known in (*BY_TEST, *NOT_HERE) if not any(re.fullmatch(known, part) for part in parts)] == []


def test_tests_that_the_tables_name_are_there():
    recipes = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M))
    for target, (what, _) in MAKE.items():
        assert what in recipes[target], target
    for test in (*BY_TEST.values(), *(test for _, test in MAKE.values())):
        path, _, name = test.partition("::")
        assert not name or re.search(rf"^def {name}\(", (ROOT / "tests" / path).read_text(), re.M), test
        assert (ROOT / "tests" / path).is_file(), test


@pytest.mark.parametrize(
    ("program", "main"), [("attention-lab", kit_cli.main), ("attention-grading", grading_cli.main)]
)
def test_commands_of_the_course_have_the_options_that_documents_name(program, main, capsys):
    helps: dict[str, str] = {}
    for command in commands():
        for part in pieces(command) or command.text.split(" && "):
            words = shlex.split(part.replace(".venv/bin/", "").replace("[", "").replace("]", "").partition(" | ")[0])
            if words[0] != program or len(words) < 2 or words[1].startswith("-"):
                continue
            if words[1] not in helps:
                with pytest.raises(SystemExit) as ended:
                    main([words[1], "--help"])
                assert ended.value.code == 0, command
                helps[words[1]] = capsys.readouterr().out
            for word in words[2:]:
                assert not word.startswith("--") or word.partition("=")[0] in helps[words[1]], command


def run_script(lines: tuple[str, ...], folder: Path, **environment: str) -> str:
    """Type lines into one shell, as far as they go without an error; returns what it said."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])
    script = "\n".join(["set -euo pipefail", *(f"echo {shlex.quote('$ ' + line)}\n{line}" for line in lines)])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": path, "COLUMNS": "200"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.nbgrader
@pytest.mark.needs("confinement")
def test_a_class_goes_through_the_commands_of_the_pages(tmp_path):
    course = tmp_path / "course"
    prepare(ROOT, course)
    (course / "export.csv").write_text(CANVAS_EXPORT)
    names = {"one": 101, "two": 102, "three": 103}
    entries = {f"{name}_{id_}_900{id_ - 100}_{STEM}.ipynb": notebook(mark=name) for name, id_ in names.items()}
    (course / "submissions.zip").write_bytes(zipped(entries))
    (course / "submitted" / "ada" / STEM).mkdir(parents=True)
    (course / "submitted" / where("ada")).write_bytes(notebook(mark="ada"))
    said = run_script(GRADING_A_CLASS, course)
    assert said.count("4 graded in") == 1
    assert said.count("3 graded in") == 1
    grades = (course / "grades.csv").read_text()
    assert all(student in grades for student in ("101", "102", "103", "ada"))
    assert "ada" not in (course / "before.csv").read_text()
    assert (course / "returned" / STEM / "grades.csv").is_file()
    assert (tmp_path / "copy" / "after.csv").read_text() == (course / "before.csv").read_text()


@pytest.mark.process
def test_a_fork_goes_through_the_commands_of_git(tmp_path):
    """The address that the pages stand for is a repository here."""
    work, bare = tmp_path / "work", tmp_path / "upstream.git"
    for name in ("source/02_eager_causal", "release/02_eager_causal"):
        (work / name).mkdir(parents=True)
        (work / name / "task").write_text("a task\n")
    names = {
        f"GIT_{role}_{what}": "test@example.invalid" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    settings = {"init.defaultBranch": "main", f"url.file://{bare}.insteadOf": "https://github.com/OWNER/NAME"}
    told = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for number, (key, value) in enumerate(settings.items()):
        told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    run_script(
        ("git init -q", "git add -A", "git commit -qm 'The course'", f"git clone -q --bare . {bare}"),
        work,
        **names,
        **told,
    )
    said = run_script(A_FORK_WITH_GIT, tmp_path, **names, **told)
    assert "v1.0.0\n" in said
    assert (tmp_path / "course-autumn" / "course.toml").is_file()


@pytest.mark.process
def test_the_house_is_drawn_from_the_contracts(tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "draw_house.py", tmp_path / "docs")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("src", "grading/src"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("data", "__pycache__"))
    run_script((f"{shlex.quote(sys.executable)} docs/draw_house.py",), tmp_path)
    assert (tmp_path / "docs" / "house.png").stat().st_size > 10_000
