"""What the instructor's cells show before the learner's first is the same for all: it is drawn once."""

from __future__ import annotations

import pytest

from attention_grading.judging.session import Session
from attention_grading.sandbox.limits import Limits

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]

FIRST = "import os\nx = 3\nprint('first')\nos.getpid()"
PICTURE = "from attention_lab import mask_heatmap, padded_batch\nmask_heatmap('eager_causal', padded_batch())"


def test_first_cells_run_for_everybody_and_are_drawn_once():
    with Session() as session:
        one = session.show([FIRST, PICTURE, "x + 1, os.getpid()"], before=2)
        two = session.show([FIRST, PICTURE, "x = 4\nx + 1"], before=2)
        three = session.show([FIRST, PICTURE, "display(7)"])
    assert one.outputs[:2] == two.outputs[:2]  # the same process's number and all
    assert one.outputs[0] != three.outputs[0]
    assert [each.outputs[0][0].text for each in (one, two, three)] == ["first\n"] * 3
    assert one.outputs[1][0].data["image/png"] == three.outputs[1][0].data["image/png"]
    assert one.outputs[2][0].data["text/plain"].startswith("(4, ")
    assert one.outputs[0][1].data["text/plain"] not in one.outputs[2][0].data["text/plain"]
    assert two.outputs[2][0].data["text/plain"] == "5"
    assert three.outputs[2][0].data["text/plain"] == "7"


def test_first_cells_that_end_their_process_are_asked_anew():
    with Session(limits=Limits(seconds=20)) as session:
        for _ in range(2):
            shown = session.show([FIRST, "os._exit(3)", "x"], before=2)
            assert "exited with status 3" in shown.ended
            assert shown.outputs[0][0].text == "first\n"
            assert shown.outputs[2] == []
