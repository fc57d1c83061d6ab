"""Whatever is handed in is taken or reported."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attention_grading.lms.candidates import Reading
from attention_grading.lms.intake import intake
from attention_grading.lms.intake_table import write_csv
from attention_grading.lms.owners.answers import Answers
from attention_lab.variants import VARIANTS
from support.platforms.downloads import STEM, zipped

SMALL = b'{"cells": [{"cell_type": "code", "source": "def eager_causal_attention(q): ..."}]}'
# It states an id that leads out of every folder
FORGED = SMALL.replace(b"]}", b', {"id": "student", "source": "id: ../../../evil"}]}')
CONTENT = st.sampled_from([SMALL, FORGED, SMALL[:30], b"", b"PK\x03\x04", zipped({"x.ipynb": SMALL})]) | st.binary()
PIECE = st.text(max_size=12) | st.sampled_from(
    [
        "..",
        ".",
        "~",
        "C:",
        "\\",
        "student-a",
        STEM,
        "a_1_1000_",
        "_assignsubmission_file_",
        "_attempt_2026-10-01-12-30-00",
    ]
)
NAME = st.builds(
    lambda pieces, end: "/".join(pieces) + end,
    st.lists(PIECE, min_size=1, max_size=4),
    st.sampled_from(["", ".ipynb", f"{STEM}.ipynb", ".zip", ".txt", ".json"]),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.dictionaries(NAME, CONTENT, max_size=5),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
    level=st.sampled_from([None, None, 0, 1]),
)
def test_anything_is_taken_or_reported_and_nothing_leaves_submitted(tmp_path_factory, entries, flips, level):
    base = tmp_path_factory.mktemp("any")
    root = base / "a" / "b" / "course"
    root.mkdir(parents=True)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo("x")
            info.filename = name.encode("utf-8", "replace").decode()[:200]
            archive.writestr(info, data)
    data = bytearray(file.getvalue())
    for place, flip in flips:
        data[int(place * len(data))] ^= flip
    (root / "any.zip").write_bytes(bytes(data))
    lines = intake([root / "any.zip"], root / "submitted", Reading(answers=Answers(level)))
    assert all(line.status for line in lines)
    write_csv(root / "report.csv", lines)
    for path in base.rglob("*"):
        below = path.relative_to(base).parts
        assert below[:3] in (("a",), ("a", "b"), ("a", "b", "course"))
        assert below[3:4] in ((), ("any.zip",), ("report.csv",), ("submitted",))
        if below[3:4] == ("submitted",):
            assert len(below) <= 7
            assert len(below) < 6 or below[5] in {variant.stem for variant in VARIANTS.values()}
            assert len(below) < 7 or below[6] in (f"{below[5]}.ipynb", "timestamp.txt")
