"""Confinement: what a confined process cannot do, where grading refuses, and what the judge survives."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from unprivileged import ROOT, copy_for_nobody, is_root

import attention_grading
from attention_grading import cli
from attention_grading.authoring.demo_class import HONEST
from attention_grading.judging import session
from attention_grading.judging import verdict as judging_verdict
from attention_grading.judging.kernel_factors import MarkedKernels
from attention_grading.judging.seed import SeedMissing, course_seed
from attention_grading.judging.session import Session
from attention_grading.nbgrader_plugin.clean_submission import set_aside
from attention_grading.sandbox import confinement, self_test
from attention_grading.sandbox.confinement import Confinement, ConfinementUnavailable, require_available
from attention_grading.sandbox.limits import Limits, memory_ceiling
from attention_grading.sandbox.processes import Interrupted, Process, WorkerFailed
from attention_grading.sandbox.self_test import ConfinementBroken, forbidden_attempts, probe
from attention_lab.variants import VARIANTS

try:
    require_available()
except ConfinementUnavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)

RIGHT = """
def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
"""


@pytest.fixture(scope="module")
def quick() -> Session:
    """A session with a short limit."""
    with Session(limits=Limits(seconds=6)) as session:
        yield session


@pytest.fixture
def judge(quick: Session, tmp_path: Path) -> Callable[..., judging_verdict.Verdict]:
    """Judge a notebook with these cells."""

    def judge(*cells: str) -> judging_verdict.Verdict:
        path = tmp_path / "submission.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(textwrap.dedent(cell)) for cell in cells]), path)
        return quick.judge_file("eager_causal", path)

    return judge


def confined(action: Callable[[], object], limits: Limits | None = None) -> str:
    """Do something in a confined child: "done", or the name of what stopped it."""
    rules = Confinement(limits or Limits())
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            rules.apply()
            action()
            os.write(send, b"done")
        except BaseException as error:
            os.write(send, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(send)
    os.close(rules.descriptor)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(pid, 0)
    return answer


# ---- the self-test ---------------------------------------------------------------------------------------------------


def test_probe_passes_here():
    probe(Confinement(Limits()))


@pytest.mark.parametrize("name", list(forbidden_attempts()))
def test_each_attempt_of_the_probe_fails_when_confined(name):
    assert confined(forbidden_attempts()[name]) in ("PermissionError", "OSError", "MemoryError")


HARMLESS = ("open the reference", "read /etc/passwd", "fork", "open an internet socket", "start a program")


@pytest.mark.parametrize("name", HARMLESS)
def test_probe_notices_what_a_process_without_confinement_can_do(name, monkeypatch):
    """The counterpart: an attempt that always failed would prove nothing."""
    rules = Confinement(Limits())
    monkeypatch.setattr(rules, "apply", lambda: None)
    monkeypatch.setattr(self_test, "forbidden_attempts", lambda: {name: forbidden_attempts()[name]})
    with pytest.raises(ConfinementBroken, match=name):
        probe(rules)


@pytest.mark.parametrize("step", ["_drop_capabilities", "install_filter", "_set_limits"])
def test_probe_stops_grading_where_a_step_of_confinement_does_nothing(step, monkeypatch):
    if step == "_drop_capabilities":
        monkeypatch.setattr(confinement, step, lambda *arguments: 1 / 0)
    else:
        monkeypatch.setattr(confinement, step, lambda *arguments: None)
    with pytest.raises(ConfinementBroken):
        probe(Confinement(Limits(memory_bytes=2**30)))


def test_probe_stops_grading_where_landlock_allows_everything(monkeypatch):
    monkeypatch.setattr(confinement, "readable_paths", lambda: [Path("/")])
    with pytest.raises(ConfinementBroken, match=r"open the reference.*read /etc/passwd"):
        probe(Confinement(Limits()))


# ---- the reference is out of reach -----------------------------------------------------------------------------------

REACH = """
import glob, importlib, os, pkgutil, sys
found = []
def attempt(action):
    try: found.append(str(action())[:60])
    except BaseException: pass
for path in {paths!r}:
    attempt(lambda: open(path).read())
for entry in [*sys.path, {paths!r}[0].rpartition("/")[0]]:
    attempt(lambda: os.listdir(os.path.join(entry, "attention_grading")))
    attempt(lambda: [open(each).read() for each in glob.glob(entry + "/attention_grading/**", recursive=True)][0])
    attempt(lambda: [open(each, "rb").read() for each in glob.glob(entry + "/*attention_grading*")][0])
rooms = ("judging", "judging.cases", "judging.verdict", "judging.diagnosis.models", "judging.kernel_factors")
for name in ("reference", *rooms):
    attempt(lambda: importlib.import_module("attention_grading." + name))
    attempt(lambda: sys.modules["attention_grading." + name])
attempt(lambda: pkgutil.get_data("attention_grading", "reference.py"))
raise SystemError(f"found {{found}}")
"""


def reach_from_the_worker(python: Path, paths: list[str], cwd: Path) -> list[str]:
    """Notes of a judgement by that environment's own ``attention-grading``, on code that looks for the reference."""
    text = """
import json, sys
from pathlib import Path
from attention_grading.sandbox.limits import Limits
from attention_grading.judging.session import Session
with Session(limits=Limits(seconds=30)) as session:
    verdict = session.judge_file("eager_causal", Path(sys.argv[1]))
    print(json.dumps([verdict.score, *verdict.notes]))
"""
    notebook = cwd / "reach.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(REACH.format(paths=paths)), new_code_cell(RIGHT)]), notebook)
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(cwd)}
    environment |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    done = subprocess.run(
        [str(python), "-c", text, str(notebook)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_worker_cannot_reach_the_reference_of_this_installation(tmp_path):
    package = Path(attention_grading.__file__).parent
    paths = [str(path) for path in sorted(package.rglob("*.py*"))]
    score, *notes = reach_from_the_worker(Path(sys.executable), paths, tmp_path)
    assert score == 10
    assert [note for note in notes if "found []" in note], notes


def test_worker_cannot_reach_the_reference_of_a_wheel(tmp_path):
    """Both packages as wheels, in an environment that takes everything else from this one's site-packages."""
    wheels, prefix = tmp_path / "wheels", tmp_path / "venv"
    for name in (ROOT, ROOT / "grading"):
        copy = tmp_path / f"build-{name.name}"
        copy.mkdir()
        shutil.copytree(name / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for file in ("pyproject.toml", "README.md"):
            if (name / file).exists():
                shutil.copy(name / file, copy / file)
        build = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(wheels),
        ]
        subprocess.run([*build, str(copy)], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    site = next(prefix.glob("lib/python*/site-packages"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, *map(str, sorted(wheels.glob("*.whl")))], check=True, capture_output=True)
    here = Path(sysconfig.get_path("purelib"))
    for entry in here.iterdir():  # what they need, by links; not this environment's own editable installs
        if "attention" not in entry.name and entry.suffix != ".pth" and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    paths = [str(path) for path in sorted((site / "attention_grading").rglob("*.py*"))]
    assert str(site / "attention_grading" / "reference.py") in paths
    score, *notes = reach_from_the_worker(prefix / "bin" / "python", paths, tmp_path)
    assert score == 10
    assert [note for note in notes if "found []" in note], notes


def test_warm_processes_hold_neither_reference_nor_cases():
    for module in ("attention_grading.execution.judge_worker", "attention_grading.execution.notebook_worker"):
        text = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('attention_grading.')))"
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
        assert {name.split(".")[1] for name in done.stdout.split()} <= {"execution", "sandbox", "text"}


def test_libraries_are_readable_without_the_packages_beneath_them():
    """/lib64 may lead to the folder that holds site-packages."""
    for path in confinement.readable_paths():
        inside = Path(attention_grading.__file__).parent
        assert not inside.is_relative_to(path.resolve() if path.exists() else path), path


# ---- the judge survives ----------------------------------------------------------------------------------------------


def test_end_of_a_process_ends_a_wait_on_a_channel_that_is_still_in_flight():
    """A process can send its own end of the channel over the channel: after its death it is still open, unread."""
    ours, theirs = socket.socketpair()
    socket.send_fds(theirs, [b"x"], [theirs.fileno()])
    sleeper = subprocess.Popen(["sleep", "60"])
    process = Process(ours.makefile("rb"), ours.makefile("wb"), sleeper.pid, ours)
    theirs.close()
    ended: list[type] = []

    def write() -> None:
        try:
            while True:
                ours.sendall(bytes(2**20))
        except OSError as error:
            ended.append(type(error))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(0.5)
    assert writer.is_alive()
    process.kill()
    writer.join(10)
    sleeper.wait()
    assert ended == [BrokenPipeError]


@pytest.mark.parametrize(
    ("number", "seconds", "words"),
    [
        (9, 1.0, "killed from outside"),
        (9, 31.0, "used up its processor time"),  # the hard limit kills whoever ignores the soft one's signal
        (37, 1.0, "killed by signal 37"),
        (24, 31.0, "used up its processor time"),
        (11, 1.0, "killed by SIGSEGV"),
        (3 << 8, 1.0, "exited with status 3"),
        (None, 1.0, "ended before it answered"),
    ],
)
def test_every_end_has_words(number, seconds, words):
    process = Process(io.BytesIO(), io.BytesIO(), 1, status=number, processor_seconds=seconds)
    assert words in process.how_it_ended(Limits())


# ---- an end that is not the submission's own -------------------------------------------------------------------------


def judging_child() -> psutil.Process:
    """The child that runs a submission now."""
    before: set[psutil.Process] = set()
    for _ in range(200):
        warm = [
            each
            for each in psutil.Process().children()
            if "attention_grading.execution.judge_worker" in " ".join(each.cmdline())
        ]
        now = {child for each in warm for child in each.children()}
        if before & now:  # the self-test's child is gone by then
            return (before & now).pop()
        before = now
        time.sleep(0.1)
    raise AssertionError("nothing is judged")


def kill_children(times: int, of: Callable[[], psutil.Process] = judging_child) -> threading.Thread:
    """Kill what runs submissions, as the kernel does where memory runs out."""

    def kill() -> None:
        for _ in range(times):
            victim = of()
            victim.kill()
            psutil.wait_procs([victim], timeout=5)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


SLOW = "import time\n" + RIGHT.replace("    q, k, v", "    time.sleep(0.03)\n    q, k, v", 1)


def test_submission_whose_process_is_killed_from_outside_gets_no_points_taken(quick, write):
    path = write("slow.py", SLOW)
    killer = kill_children(1)
    with pytest.raises(Interrupted, match="killed from outside"):
        quick.judge_file("eager_causal", path)
    killer.join()
    killer = kill_children(1)
    assert session.once_more(lambda: quick.judge_file("eager_causal", path)).score == 10
    killer.join()


def test_submission_does_not_pay_for_the_death_of_the_warm_process(quick, write):
    path = write("slow.py", SLOW)
    killer = kill_children(1, of=lambda: judging_child().parent())
    with pytest.raises(Interrupted, match="ended"):
        quick.judge_file("eager_causal", path)
    killer.join()
    assert quick.judge_file("eager_causal", path).score == 10


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), 11)",
        "os._exit(3)",
        "[os.close(n) for n in range(3, 60)]; time.sleep(30)",
        "signal.signal(signal.SIGXCPU, lambda *a: None); [None for _ in iter(int, 1)]",
    ],
)
def test_submission_that_ends_its_own_process_is_graded(end, quick, write):
    body = f"import os, signal, time\ndef eager_causal_attention(*a, **k):\n    {end}\n"
    assert quick.judge_file("eager_causal", write("end.py", body)).score == 0


def test_judge_says_that_nothing_was_judged_and_gives_no_points(write, capsys):
    path = write("slow.py", SLOW)
    killer = kill_children(2)
    assert cli.main(["judge", "eager_causal", "--json", str(path)]) == 1
    killer.join()
    out, err = capsys.readouterr()
    fields = json.loads(out)
    assert fields["score"] is None
    assert {check["earned"] for check in fields["checks"]} == {None}
    assert "was not judged" in err
    assert "killed from outside" in err


# ---- neighbours ------------------------------------------------------------------------------------------------------

BURNER = "import os, time; os.setsid(); end = time.time() + 60\nwhile time.time() < end: pass"


def test_child_lets_others_go_first_after_a_while(write):
    body = "def eager_causal_attention(*a, **k):\n    while True: pass\n"
    seen: list[int] = []

    def look() -> None:
        child = judging_child()
        for _ in range(60):
            with contextlib.suppress(ProcessLookupError):
                seen.append(os.sched_getscheduler(child.pid))
            time.sleep(0.05)

    looks = threading.Thread(target=look)
    with Session(limits=Limits(seconds=4, polite_after=1)) as own:
        looks.start()
        assert own.judge_file("eager_causal", write("burns.py", body)).score == 0
    looks.join()
    assert seen[0] == os.SCHED_OTHER
    assert seen[-1] == os.SCHED_IDLE


def test_submission_that_others_starve_is_not_graded(write):
    """Burners hold every processor, and the child has stepped back: it wants to run, and cannot."""
    body = RIGHT.replace("    q, k, v", "    for _ in range(20_000_000): pass\n    q, k, v", 1)
    burners = [subprocess.Popen([sys.executable, "-c", BURNER]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        with Session(limits=Limits(seconds=4, polite_after=0.2)) as own, pytest.raises(Interrupted, match="processor"):
            own.judge_file("eager_causal", write("starves.py", body))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@pytest.mark.parametrize("waste", ["time.sleep(60)", "[None for _ in iter(int, 1)]"], ids=["sleeps", "loops"])
def test_submission_that_wastes_its_time_is_graded(waste, write):
    body = f"import time\ndef eager_causal_attention(*a, **k):\n    {waste}\n"
    with Session(limits=Limits(seconds=2)) as own:
        verdict = own.judge_file("eager_causal", write("waste.py", body))
    assert verdict.score == 0
    assert "did not finish within 2 s" in verdict.checks[0].message


# ---- the judge's memory ----------------------------------------------------------------------------------------------


def test_memory_ceiling_holds_and_is_taken_away_again():
    with memory_ceiling(2**28):
        with pytest.raises(RuntimeError):
            torch.empty(2**29, dtype=torch.uint8)
        torch.empty(2**26, dtype=torch.uint8)
    torch.empty(2**29, dtype=torch.uint8)


def test_judge_talks_with_a_submission_below_a_ceiling(quick, write, monkeypatch):
    """Whatever the service computes on request, it cannot take more than that."""

    def takes_all(self: object, kernel: str, arguments: dict[str, object]) -> torch.Tensor:
        return torch.empty(2**31, dtype=torch.uint8)

    monkeypatch.setattr(MarkedKernels, "__call__", takes_all)
    body = RIGHT + "    return F.scaled_dot_product_attention(q, q, q)\n"
    body = body.replace("    return (scores", "    F.scaled_dot_product_attention(q, k, v)\n    return (scores")
    verdict = quick.judge_file("eager_causal", write("asks.py", body))
    assert not verdict.check("kernel").passed
    assert verdict.check("values").passed


def test_children_end_with_the_warm_process_and_the_warm_process_with_the_judge(tmp_path):
    text = """
import os, sys, time
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import WarmServer
server = WarmServer("attention_grading.execution.judge_worker", Limits(seconds=100))
with server.child() as process:
    print(server._popen.pid, process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(_runs, pids)):
        time.sleep(0.1)
    assert [pid for pid in pids if _runs(pid)] == []


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_memory_limit_is_told(judge):
    verdict = judge("def eager_causal_attention(*a, **k): return torch.ones(2**36)")
    assert verdict.score == 0
    assert "a submission may use 2048 MB" in verdict.checks[0].message


def test_time_limit_is_told(judge):
    verdict = judge("def eager_causal_attention(*a, **k):\n    while True: pass")
    assert "did not finish within 6 s" in verdict.checks[0].message


def test_thread_limit_is_told(judge):
    cell = "import threading, time\nfor _ in range(400): threading.Thread(target=time.sleep, args=(9,)).start()"
    verdict = judge("import threading\nthreading.stack_size(65536)", f"{cell}\ntime.sleep(9)", RIGHT)
    assert "started more than 64 threads" in verdict.checks[0].message


def test_modified_inputs_are_seen_by_the_judge_whatever_was_patched(judge):
    mutating = RIGHT.replace("    return (", "    saved = v\n    return (").replace("def eager", "def inner") + (
        "\ndef eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):\n"
        "    output = inner_causal_attention(q, k, v, num_heads, head_dim, mask)\n"
        "    with torch.no_grad(): q.mul_(0.5)\n"
        "    return output\n"
    )
    patched = """
        import sys
        torch.equal = torch.allclose = lambda *a, **k: True
        torch.Tensor.equal = torch.Tensor.__eq__ = lambda *a, **k: True
        frame = sys._getframe()
        while frame:
            for name in ("is_same", "perform"):
                if name == "is_same" and name in frame.f_globals: frame.f_globals[name] = lambda *a: True
            frame = frame.f_back
        sys.modules["attention_lab.checks.calls"].is_same = lambda *a: True
    """
    assert judge(mutating).score == judge(patched, mutating).score < 10


# ---- refusal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "value", "words"),
    [
        ("sys.platform", "darwin", "needs Linux"),
        ("platform.machine", lambda: "riscv64", "this is riscv64"),
        ("landlock_abi", lambda: 1, "Linux 6.2"),
    ],
)
def test_unavailable_platform_is_refused_with_the_way_out(what, value, words, monkeypatch):
    monkeypatch.setattr(f"attention_grading.sandbox.confinement.{what}", value)
    with pytest.raises(ConfinementUnavailable, match=words) as refused:
        require_available()
    assert "--allow-unconfined" in str(refused.value)
    assert "c.JudgingRules.allow_unconfined = True" in str(refused.value)


class Unavailable:
    """Stands for a warm process on a platform without confinement."""

    def __init__(self, module: str, limits: Limits | None):
        self._limits = limits

    def start(self) -> None:
        if self._limits is not None:
            raise WorkerFailed("confinement needs Linux; this is Darwin")

    def close(self) -> None:
        pass


def test_session_refuses_without_confinement_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr("attention_grading.execution.judge_runner.WarmServer", Unavailable)
    with pytest.raises(WorkerFailed, match="needs Linux"), Session() as refused:
        refused.start()
    with pytest.warns(UserWarning, match=r"WITHOUT CONFINEMENT.*needs Linux"), Session(confined=None) as allowed:
        allowed.start()


def test_session_does_not_warn_where_it_confines():
    with warnings.catch_warnings(), Session(confined=None) as confines:
        warnings.simplefilter("error")
        confines.start()
        assert confines._confined is True


# ---- the honest class, with and without ------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", list(VARIANTS.values()), ids=list(VARIANTS))
def test_honest_class_scores_the_same_with_and_without_confinement(variant, session, tmp_path):
    released = nbformat.read(ROOT / "release" / variant.stem / f"{variant.stem}.ipynb", as_version=4)
    master = nbformat.read(ROOT / "source" / variant.stem / f"{variant.stem}.ipynb", as_version=4)
    got = {}
    with Session(confined=False) as unconfined:
        for student, write in HONEST.items():
            path = tmp_path / f"{student}.ipynb"
            path.write_text(write(variant, released, master), encoding="utf-8")
            got[student] = [each.judge_file(variant, path).as_json() for each in (session, unconfined)]
    assert all(with_ == without for with_, without in got.values())
    assert got["all-right"][0]["score"] == 10
    assert got["one-mistake"][0]["score"] < 10


# ---- set aside, seed -------------------------------------------------------------------------------------------------


def test_set_aside_moves_links_pipes_and_depth_and_leaves_the_rest(tmp_path):
    folder = tmp_path / "submitted" / "student" / "02_eager_causal"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "own.txt").write_text("mine")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "/".join(["d"] * 30)).mkdir(parents=True)
    lines = set_aside(folder, tmp_path / "aside")
    assert sorted(path.name for path in (tmp_path / "aside").iterdir()) == ["d", "link", "pipe"]
    assert len(lines) == 3
    assert (folder / "notes" / "own.txt").read_text() == "mine"
    assert set_aside(folder, tmp_path / "aside") == []


def test_set_aside_moves_a_link_in_place_of_the_folder_and_not_what_it_leads_to(tmp_path):
    other = tmp_path / "submitted" / "other" / "02_eager_causal"
    other.mkdir(parents=True)
    (other / "02_eager_causal.ipynb").write_text("{}")
    link = tmp_path / "submitted" / "student" / "02_eager_causal"
    link.parent.mkdir()
    link.symlink_to(other)
    assert "is a link to" in set_aside(link, tmp_path / "aside")[0]
    assert not link.exists()
    assert (other / "02_eager_causal.ipynb").read_text() == "{}"


def test_seed_is_drawn_once_for_its_owner_alone(tmp_path):
    path = tmp_path / ".grading_seed"
    seed = course_seed(path, iter(()))
    assert len(seed) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert course_seed(path, iter([Path("x")])) == seed
    other = tmp_path / "other"
    assert course_seed(other, iter(())) != seed


def test_missing_seed_on_resume_is_an_error(tmp_path):
    with pytest.raises(SeedMissing, match="Restore the file from your backup"):
        course_seed(tmp_path / ".grading_seed", iter([Path("autograded/a/b/c.ipynb")]))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SeedMissing, match="is empty"):
        course_seed(tmp_path / "empty", iter(()))


# ---- as another user -------------------------------------------------------------------------------------------------


def test_all_this_holds_for_a_user_who_owns_nothing():
    if not is_root():
        warnings.warn("the tests do not run as root: the pass as root was not run", stacklevel=1)
        return
    copy = copy_for_nobody()
    process = copy.start(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_confinement.py", f"--basetemp={copy.folder / 'tmp'}"
    )
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-4000:]
    assert "passed" in output
