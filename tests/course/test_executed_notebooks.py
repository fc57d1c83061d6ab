"""Sources and releases of all variants, run from top to bottom."""

from __future__ import annotations

import pytest

from attention_lab.variants import POINTS
from support.cells import executed, pictures, seconds, stdout
from support.places import MASTERS, RELEASES, STEMS

pytestmark = pytest.mark.process


HIDDEN = ("values", "masking", "robustness", "kernel")


@pytest.mark.parametrize("stem", STEMS)
def test_source_runs_from_top_to_bottom_and_draws_both_heatmaps(stem):
    cells = executed(MASTERS[stem], allow_errors=False)
    assert pictures(cells["why-picture"]) == 1
    assert pictures(cells["mask-picture"]) >= 1
    assert pictures(cells["attention-map"]) == 1
    assert "No weight falls on a masked key." in cells["attention-map"].outputs[0]["data"]["text/plain"]
    for name in HIDDEN:
        *_, last = cells[f"test-{name}"].outputs
        assert float(last["data"]["text/plain"]) == POINTS[name]
    assert "Ready to hand in" in stdout(cells["hand-in"])
    times = {name: round(seconds(cells[name]), 2) for name in ("setup", "test-contract", "test-invariants")}
    print(f"{stem}: seconds {times}")


@pytest.mark.parametrize("stem", STEMS)
def test_release_runs_to_the_end_with_the_stub_and_fails_in_three_lines(stem):
    cells = executed(RELEASES[stem], allow_errors=False)  # its tags let Run All reach the end
    for name, cell in cells.items():
        for output in cell.get("outputs", ()):
            assert "/attention_lab/" not in "".join(output.get("traceback", ())), f"{name} shows the kit's own lines"
    assert pictures(cells["why-picture"]) == 1
    assert pictures(cells["mask-picture"]) >= 1
    for name in ("test-contract", "test-invariants"):
        (output,) = [output for output in cells[name].outputs if output.output_type == "error"]
        assert output.ename == "CheckFailed"
        assert len(output.traceback) == 3
        assert "not implemented yet" in output.traceback[0]
    assert "is still the untouched stub" in stdout(cells["hand-in"])
