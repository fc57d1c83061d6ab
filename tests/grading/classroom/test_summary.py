"""What a run says at its end."""

from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from attention_grading.classroom.progress import RunSummary, summary_table


def test_summary_of_a_large_class_fits_in_80_columns():
    name = "01_eager_bidirectional"
    report = RunSummary(marks={name: [(10.0, 10.0)] * 1000}, worker_seconds=Counter({name: 119_940.0}))
    for counter in (report.graded, report.unchanged, report.problems, report.ungraded):
        counter[name] = 1000
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(report))
    text = console.export_text()
    assert "…" not in text
    assert f"{name}    1000" in text
    assert "119.94" in text
