"""A child owns its channel once its code runs: whatever it sends, it is judged within its limits and by itself."""

from __future__ import annotations

import json
import time

import pytest

from attention_grading.classroom.local_pool import patience
from attention_grading.judging.session import Session
from attention_grading.notebooks.grade import GradingTerms, NotebookTask, Terms
from attention_grading.sandbox.limits import Limits, OutputLimits
from support.answers import RIGHT
from support.notebooks import notebook

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]

CHANNEL = """
import sys, time
from attention_grading.execution import frames
def channel(name="writer"):
    frame = sys._getframe()
    while name not in frame.f_locals or not hasattr(frame.f_locals[name], "write"):
        frame = frame.f_back
    return frame.f_locals[name]
def send(**header): frames.send(channel(), header)
"""


@pytest.fixture(scope="module")
def impatient():
    with Session(limits=Limits(seconds=4, cell_seconds=1)) as session:
        yield session


HEADERS = [
    *({"type": "cell", "index": index} for index in (0, 0.5, True, 10**400, -1, "1", [1], {}, None, float("nan"))),
    {"type": "cell"},
    *(
        {"type": "loaded", "found": True, field: value}
        for field in ("notes", "raised", "denied")
        for value in (3, "abc", {"a": 1}, [[[]]], [None], [float("inf")], [1e300], [10**400], True)
    ),
    {"type": ["cell"], "index": 0},
    {"type": "cell", "index": 1, "denied": {"a": 1}},
]


@pytest.mark.parametrize("header", HEADERS, ids=[json.dumps(header)[:60] for header in HEADERS])
def test_forged_header_earns_nothing_and_takes_the_judge_nowhere(header, impatient, write):
    forges = f"{CHANNEL}\nnan, inf = float('nan'), float('inf')\nsend(**{header!r})\ntime.sleep(0.3)"
    begun = time.monotonic()
    verdict = impatient.judge_file(
        "eager_causal", write("a.ipynb", notebook(forges, "def eager_causal_attention(): pass"))
    )
    assert verdict.score == 0
    assert time.monotonic() - begun < 9


def test_cell_begins_once(impatient, write):
    """Else a child would keep the judge busy reading of cells, and each would have its time again."""
    again = f"{CHANNEL}\nframe = frames.encode(dict(type='cell', index=1)) * 1000\nwhile True: channel().write(frame)"
    begun = time.process_time()
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", notebook("x = 1", again, RIGHT)))
    assert time.process_time() - begun < 1
    assert verdict.score == 0
    assert "sent the grader something that is no answer" in " ".join(verdict.notes)


def test_judge_reads_no_more_notes_than_it_keeps(impatient, write):
    many = f"{CHANNEL}\nsend(type='loaded', notes=[''] * 800_000)\ntime.sleep(9)"
    begun = time.process_time()
    impatient.judge_file("eager_causal", write("a.ipynb", notebook(many, RIGHT)))
    assert time.process_time() - begun < 0.3


def test_cells_that_are_left_out_fill_no_page(impatient, write):
    ends = [f"import os\nos._exit({number + 1})" for number in range(12)]
    verdict = impatient.judge_file("eager_causal", write("a.ipynb", notebook(*ends, RIGHT)))
    assert verdict.score == 10
    assert len(verdict.notes) == 6
    assert verdict.notes[-1] == "7 more cells were left out in the same way"


def test_submission_takes_at_most_three_times_its_limit_and_is_waited_for_so_long(write):
    """Each cell is cut off just before the whole's time is over."""
    limits = Limits(seconds=2, cell_seconds=1)
    slow = "eager_causal_attention = None\nimport os, time\ntime.sleep(1.8)"
    with Session(limits=limits) as session:
        session.start()
        begun = time.monotonic()
        ends = ["os._exit(1)"] * 5
        verdict = session.judge_file("eager_causal", write("a.ipynb", notebook(slow, *ends, RIGHT + "\ntime.sleep(9)")))
    assert verdict.score == 0
    assert time.monotonic() - begun < 3 * limits.seconds + 1.5
    hour = GradingTerms(Terms("seed", Limits(seconds=3600), OutputLimits(), True))
    pictures, judging = 1, 3
    assert patience([NotebookTask("", "", "")] * 2, hour) > 2 * (pictures + judging) * 3600
