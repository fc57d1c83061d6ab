"""Run the catalogue through the real ``nbgrader autograde`` in a course of its own, and say what came of it.

``PYTHONPATH=tests python -m catalogue.run COURSE FOLDER --report FILE``: COURSE is the course root that is copied, FOLDER is made.
It runs as a program of its own, so that a test can run it as another user too.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
import psutil
from bs4 import BeautifulSoup

import attention_grading
from attention_grading.authoring.course_root import prepare
from attention_lab.notebook.learner_cells import grade_id_of, source_of
from attention_lab.variants import VARIANTS
from catalogue import CATALOGUE, Entry, Place, World

SECONDS = 8  # the limit of one submission
HONEST = ("a-honest", "m-honest", "z-honest")
NEIGHBOUR = HONEST[0]
SECRETS = {
    "hidden test": "CANARY-HIDDEN-6f1d",
    "another submission": "CANARY-NEIGHBOUR-93ab",
    "environment": "CANARY-ENVIRONMENT-c07e",
    "home": "CANARY-HOME-5b21",
    "outside": "CANARY-OUTSIDE-e8d4",
    "seed": "5eed" * 16,
}


@dataclass
class Row:
    """What came of one submission.

    Attributes:
        name: The entry's name.
        kind: The entry's kind.
        deserved: What it deserves.
        got: What it got.
        untouched: Whether everything outside was as before when it had been graded.
        seconds: How long it took.
        complaints: What is wrong.
    """

    name: str
    kind: str
    deserved: float | None
    got: float | None = None
    untouched: bool = True
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What came of the catalogue.

    Attributes:
        user: Who ran it.
        rows: One a submission.
        honest: Honest students' scores, by assignment and student.
        complaints: What is wrong beyond single submissions.
    """

    user: int
    rows: list[Row]
    honest: dict[str, float]
    complaints: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    """Run it; the report goes to a file as JSON."""
    parser = argparse.ArgumentParser(prog="python -m catalogue.run", description=__doc__)
    parser.add_argument("course", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--only", default="", help="a regular expression: entries to run")
    options = parser.parse_args(arguments)
    chosen = [entry for entry in CATALOGUE if re.search(options.only, entry.name)]
    report = run(options.course.resolve(), options.folder.resolve(), chosen)
    options.report.write_text(json.dumps(asdict(report), indent=1))
    return 0


def run(course: Path, folder: Path, entries: list[Entry]) -> Report:
    """Make a course with these submissions, grade it and look at everything."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: whoever is left behind becomes a child of ours
    with Listeners(folder.with_name(f"{folder.name}-sockets")) as listeners:
        world = make_world(course, folder, listeners)
        stems = {entry.variant: VARIANTS[entry.variant].stem for entry in entries}
        for stem in stems.values():
            nbgrader(world, "generate_assignment", stem)
        make_submissions(world, entries, stems)
        report = Report(os.getuid(), [Row(entry.name, entry.kind, entry.deserves) for entry in entries], {})
        watch = Watch(world, listeners, {f"m-{row.name}": row for row in report.rows})
        log = "".join(autograde(world, stem, watch, report) for stem in stems.values())
        for stem in stems.values():
            nbgrader(world, "generate_feedback", stem)
        nbgrader(world, "export", "--to=grades.csv")
        (folder / "autograde.log").write_text(log)
        look(world, entries, stems, log, report)
        report.complaints += grade_through_the_api(world, report)
        left = [child for child in psutil.Process().children(recursive=True) if child.is_running()]
        left = [child for child in left if child.status() != psutil.STATUS_ZOMBIE]
        report.complaints += [f"a process is left: {child.cmdline()}" for child in left]
        report.complaints += [f"somebody called: {call}" for call in listeners.calls]
    return report


# ---- the course ------------------------------------------------------------------------------------------------------


def make_world(course: Path, folder: Path, listeners: Listeners) -> World:
    prepare(course, folder)
    home, outside = folder.with_name(f"{folder.name}-home"), folder.with_name(f"{folder.name}-outside")
    for place, mode in ((home, 0o755), (outside, 0o777)):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        place.chmod(mode)
    (home / "secret.txt").write_text(SECRETS["home"])
    (outside / "canary.txt").write_text(SECRETS["outside"])
    (outside / "canary.txt").chmod(0o666)
    (folder / ".grading_seed").write_text(SECRETS["seed"] + "\n")
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write(f"\nc.JudgingRules.seconds = {SECONDS}\n")
    for stem in (variant.stem for variant in VARIANTS.values()):
        path = folder / "source" / stem / f"{stem}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        hidden = next(cell for cell in notebook.cells if cell.id == "test-values")
        hidden.source = hidden.source.replace("### END HIDDEN", f'canary = "{SECRETS["hidden test"]}"\n### END HIDDEN')
        nbformat.write(notebook, path)
    reference = Path(attention_grading.__file__).parent / "reference.py"
    return World(folder, home, outside, reference, listeners.tcp, listeners.udp, listeners.unix, NEIGHBOUR)


def make_submissions(world: World, entries: list[Entry], stems: dict[str, str]) -> None:
    for variant in stems:
        for student in HONEST:
            place = make_place(world, student, variant)
            canary = f"\n# {SECRETS['another submission']}" if student == NEIGHBOUR else ""
            place.solve(place.right + canary).finish()
    for entry in entries:
        place = make_place(world, f"m-{entry.name}", entry.variant)
        entry.make(place)
        place.finish()


def make_place(world: World, student: str, variant: str) -> Place:
    stem, function = VARIANTS[variant].stem, VARIANTS[variant].function_name
    folder = world.course / "submitted" / student / stem
    folder.mkdir(parents=True)
    released = json.loads((world.course / "release" / stem / f"{stem}.ipynb").read_text())
    master = json.loads((world.course / "source" / stem / f"{stem}.ipynb").read_text())
    right = next(source_of(cell) for cell in master["cells"] if grade_id_of(cell) == "solution")
    wrong = f"def {function}(q, *more, **named):\n    return torch.zeros_like(q)\n"
    return Place(world, stem, function, folder, released, right, wrong)


# ---- grading ---------------------------------------------------------------------------------------------------------


def environment(world: World) -> dict[str, str]:
    kept = {
        name: os.environ[name]
        for name in ("LANG", "OMP_NUM_THREADS", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")
        if name in os.environ
    }
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return kept | {"PATH": path, "HOME": str(world.home), "CANARY": SECRETS["environment"]}


def nbgrader(world: World, command: str, *options: str) -> str:
    run = [sys.executable, "-m", "nbgrader", command, *options]
    done = subprocess.run(
        run, cwd=world.course, env=environment(world), capture_output=True, text=True, timeout=1500, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"nbgrader {command} failed:\n{done.stdout[-2000:]}{done.stderr[-5000:]}")
    return done.stdout + done.stderr


def autograde(world: World, stem: str, watch: Watch, report: Report) -> str:
    """Run ``nbgrader autograde`` and look after each submission; returns its log."""
    command = [sys.executable, "-m", "nbgrader", "autograde", stem]
    process = subprocess.Popen(
        command, cwd=world.course, env=environment(world), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    lines = []
    for raw in process.stdout:
        line = raw.decode(errors="replace")
        lines.append(line)
        if started := re.search(r"\] Sanitizing .*submitted/([^/]+)/", line):
            watch.next(started[1])
    watch.next("")
    if process.wait() != 0:
        report.complaints.append(f"nbgrader autograde {stem} ended with {process.returncode}: {''.join(lines[-20:])}")
    return "".join(lines)


_API = """
import sys
from traitlets.config.loader import PyFileConfigLoader
from nbgrader.apps.api import NbGraderAPI
config = PyFileConfigLoader("nbgrader_config.py", path=".").load_config()
result = NbGraderAPI(config=config).autograde(sys.argv[1], sys.argv[2], force=True)
print(result["log"])
sys.exit(0 if result["success"] else 1)
"""


def grade_through_the_api(world: World, report: Report) -> list[str]:
    """Formgrader's button calls NbGraderAPI."""
    row = next((row for row in report.rows if row.name == "forges-and-pries-at-once"), None)
    if row is None:
        return []
    stem = VARIANTS["eager_causal"].stem
    done = subprocess.run(
        [sys.executable, "-c", _API, stem, f"m-{row.name}"],
        cwd=world.course,
        env=environment(world),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    nbgrader(world, "export", "--to=api.csv")
    got = scores(world.course / "api.csv")[f"m-{row.name}", stem]
    if done.returncode != 0 or got != row.deserved:
        return [f"NbGraderAPI.autograde gave {got}: {done.stdout[-1000:]}{done.stderr[-1000:]}"]
    return []


class Watch:
    """Notes for each submission how long it took, and whether what lies outside is as it was."""

    def __init__(self, world: World, listeners: Listeners, rows: dict[str, Row]):
        self._world, self._listeners, self._rows = world, listeners, rows
        self._before = fingerprint(world)
        self._calls = 0
        self._running, self._since = "", time.monotonic()

    def next(self, student: str) -> None:
        """Another submission begins, or none."""
        now, after = time.monotonic(), fingerprint(self._world)
        row = self._rows.get(self._running)
        if row is not None:
            row.seconds = round(now - self._since, 2)
            changed = sorted(name for name in self._before | after if self._before.get(name) != after.get(name))
            calls = self._listeners.calls[self._calls :]
            row.untouched = not changed and not calls
            row.complaints += [f"changed outside: {name}" for name in changed] + [f"called: {call}" for call in calls]
        self._before, self._calls = after, len(self._listeners.calls)
        self._running, self._since = student, now


def fingerprint(world: World) -> dict[str, str]:
    """Digests of what no submission may touch, by path."""
    course = world.course
    places = [
        course / "source",
        course / "release",
        course / "nbgrader_config.py",
        course / "course.toml",
        course / ".grading_seed",
        *(course / "submitted" / student for student in HONEST),
        world.home,
        world.outside,
    ]
    files = [path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*")))]
    found = {str(path): _digest(path) for path in files if ".cache" not in path.parts}
    # new things beside them; what nbgrader itself makes has these names
    own = {"gradebook.db", "gradebook.db-journal", "autograded", "set_aside", "exchange", "feedback", "submitted"}
    found |= {str(path): "" for path in course.iterdir() if path.name not in own}
    found |= {str(path): "" for path in (course / "submitted").iterdir() if not path.is_symlink()}
    return found


def _digest(path: Path) -> str:
    info = path.lstat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return f"{info.st_mode:o} {info.st_mtime_ns if path.is_file() else ''} {content}"


# ---- looking at what came of it --------------------------------------------------------------------------------------


def scores(path: Path) -> dict[tuple[str, str], float]:
    with path.open(newline="") as file:
        return {(row["student_id"], row["assignment"]): float(row["score"]) for row in csv.DictReader(file)}


def look(world: World, entries: list[Entry], stems: dict[str, str], log: str, report: Report) -> None:
    """Hold what was graded against what is deserved, and look for what must not be there."""
    got = scores(world.course / "grades.csv")
    report.honest = {
        f"{stem}/{student}": got.get((student, stem), -1.0) for stem in stems.values() for student in HONEST
    }
    report.complaints += [f"honest student {name} got {score}" for name, score in report.honest.items() if score != 10]
    page = (world.course / "feedback" / HONEST[1] / stems["eager_causal"] / f"{stems['eager_causal']}.html").read_text()
    clean = active_content(page)
    for entry, row in zip(entries, report.rows, strict=True):
        stem = stems[entry.variant]
        graded = world.course / "autograded" / f"m-{entry.name}" / stem
        row.got = got.get((f"m-{entry.name}", stem)) if graded.is_dir() else None
        row.complaints += list(complaints(world, entry, stem, log, clean))
        if row.got != row.deserved:
            row.complaints.append(f"deserves {row.deserved}, got {row.got}")
    for what in ("\x1b", "[AutogradeApp | ERROR] REACHED"):
        if any(line.startswith(what) or "\x1b" in line for line in log.splitlines()):
            report.complaints.append(f"the log holds a line that a submission wrote: {what!r}")
    for name, secret in SECRETS.items():
        if secret in log:
            report.complaints.append(f"the log holds the secret of the {name}")


def complaints(world: World, entry: Entry, stem: str, log: str, clean: set[str]) -> Iterator[str]:
    """What is wrong with one submission's log, graded notebook and feedback."""
    student = f"m-{entry.name}"
    said = "\n".join(line for line in log.splitlines() if re.search(rf"{student}(?![\w-])", line))
    if entry.says and not re.search(entry.says, said):
        yield f"the log does not say {entry.says!r}"
    graded = world.course / "autograded" / student / stem / f"{stem}.ipynb"
    if not graded.is_file():
        return
    page = (world.course / "feedback" / student / stem / f"{stem}.html").read_text()
    if entry.shows and not re.search(entry.shows, page):
        yield f"the feedback does not show {entry.shows!r}"
    outputs = nbformat.read(graded, as_version=4)
    shown = [output for cell in outputs.cells if cell.cell_type == "code" for output in cell.outputs]
    text = json.dumps(shown)
    for name, secret in SECRETS.items():
        if secret in text or secret in page:
            yield f"the secret of the {name} is in its graded notebook or feedback"
    lines = "".join(output.text for output in shown if output.output_type == "stream").splitlines()
    yield from (f"it says {line[:200]}" for line in lines if line.startswith("REACHED"))
    if kinds := {kind for output in shown for kind in output.get("data", {})} - {"text/plain", "image/png"}:
        yield f"it shows {kinds}"
    # as characters, not as the escapes that a traceback quotes from the source
    if re.search(r"[\x1b\x9b\u202e\ud800]", "".join(strings(shown))):
        yield "its outputs hold control characters"
    if more := active_content(page) - clean:
        yield f"its feedback is active: {sorted(more)[:3]}"
    if graded.stat().st_size > 5_000_000 or len(page) > 8_000_000:
        yield f"its graded notebook has {graded.stat().st_size} bytes, its feedback {len(page)}"


def strings(value: object) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def active_content(page: str) -> set[str]:
    """What a browser would run in a page: scripts, handlers, script addresses, frames."""
    soup = BeautifulSoup(page, "html.parser")
    found = {
        f"{tag.name} {tag.string or tag.get('src')}" for tag in soup.find_all(["script", "iframe", "object", "embed"])
    }
    for tag in soup.find_all(True):
        for name, value in tag.attrs.items():
            if name.startswith("on") or "javascript:" in str(value).lower():
                found.add(f"{tag.name} {name}={value}")
    return found


class Listeners:
    """Somebody to be called: over TCP, UDP and UNIX sockets."""

    def __init__(self, folder: Path):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o777)
        self.unix = folder / "s"
        self.calls: list[str] = []
        tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(self.unix))
        self.unix.chmod(0o777)
        abstract.bind("\0" + str(self.unix))
        self.tcp, self.udp = tcp.getsockname()[1], udp.getsockname()[1]
        self._sockets = {"tcp": tcp, "udp": udp, "unix": unix, "abstract": abstract}

    def __enter__(self) -> Listeners:
        for name, listener in self._sockets.items():
            if name != "udp":
                listener.listen()
            threading.Thread(target=self._listen, args=(name, listener), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for listener in self._sockets.values():
            listener.close()

    def _listen(self, name: str, listener: socket.socket) -> None:
        while True:
            try:
                if name == "udp":
                    listener.recv(100)
                else:
                    listener.accept()[0].close()
            except OSError:
                return
            self.calls.append(name)


if __name__ == "__main__":
    sys.exit(main())
