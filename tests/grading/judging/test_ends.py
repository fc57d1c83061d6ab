"""Submissions that end, starve, fill or burn what runs them: the judge survives and says what happened."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from attention_grading import cli
from attention_grading.judging.kernel_factors import MarkedKernels
from attention_grading.judging.session import Session
from attention_grading.judging.verdict import Verdict
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import Interrupted, once_more
from support.answers import RIGHT

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]


@pytest.fixture(scope="module")
def quick() -> Session:
    """A session with a short limit."""
    with Session(limits=Limits(seconds=6)) as session:
        yield session


@pytest.fixture
def judge(quick: Session, tmp_path: Path) -> Callable[..., Verdict]:
    """Judge a notebook with these cells."""

    def judge(*cells: str) -> Verdict:
        path = tmp_path / "submission.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(textwrap.dedent(cell)) for cell in cells]), path)
        return quick.judge_file("eager_causal", path)

    return judge


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
        now = {child for each in warm for server in each.children() for child in server.children()}
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


SLOW = "import time\n" + RIGHT.replace("    q, k, v", "    time.sleep(0.015)\n    q, k, v", 1)


def test_submission_whose_process_is_killed_from_outside_gets_no_points_taken(quick, write):
    path = write("slow.py", SLOW)
    killer = kill_children(1)
    with pytest.raises(Interrupted, match="killed from outside"):
        quick.judge_file("eager_causal", path)
    killer.join()
    killer = kill_children(1)
    assert once_more(lambda: quick.judge_file("eager_causal", path)).score == 10
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


BURNER = "import os, time; os.setsid(); end = time.time() + 60; print(flush=True)\nwhile time.time() < end: pass"


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
        with contextlib.suppress(Interrupted):  # who lets others go first may be starved by them
            assert own.judge_file("eager_causal", write("burns.py", body)).score == 0
    looks.join()
    assert seen[0] == os.SCHED_OTHER
    assert seen[-1] == os.SCHED_IDLE


def test_submission_that_others_starve_is_not_graded(write):
    """Burners hold every processor, and the child has stepped back: it wants to run, and cannot."""
    body = RIGHT.replace("    q, k, v", "    for _ in range(20_000_000): pass\n    q, k, v", 1)
    command = [sys.executable, "-c", BURNER]
    burners = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        for burner in burners:
            burner.stdout.readline()  # from here on it burns
        # A tenth of the limit must be far more than the child gets before it steps back
        with Session(limits=Limits(seconds=10, polite_after=0.1)) as own, pytest.raises(Interrupted, match="processor"):
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


def test_memory_limit_is_told(judge):
    verdict = judge("def eager_causal_attention(*a, **k): return torch.ones(2**36)")
    assert verdict.score == 0
    assert "a submission may use 2048 MB" in verdict.checks[0].message


def test_time_limit_is_told(judge):
    verdict = judge("def eager_causal_attention(*a, **k):\n    while True: pass")
    assert "did not finish within 6 s" in verdict.checks[0].message


def test_thread_limit_is_told(judge):
    start = "    for _ in range(400): threading.Thread(target=time.sleep, args=(9,)).start()\n    time.sleep(9)\n"
    verdict = judge(
        f"import threading, time\nthreading.stack_size(65536)\ndef eager_causal_attention(*a, **k):\n{start}"
    )
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
