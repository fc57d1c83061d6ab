"""What a run says at its end."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from rich.console import Console

from attention_grading.classroom.progress import RunSummary, say, summary_table
from support.classes import STEM, InlineCrew, hand_in, run


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


class Terminal(io.StringIO):
    """What a run prints on a terminal of 80 columns."""

    def isatty(self) -> bool:
        return True

    def said(self) -> list[str]:
        """Its lines, as they are shown, without colours."""
        lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue()).replace("\r", "\n").split("\n")
        return [line.rstrip() for line in lines]


@pytest.mark.nbgrader
def test_terminal_says_at_once_what_starts_and_breaks_no_word(small, monkeypatch):
    hand_in(small, "eve", STEM, "broken-file")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("attention_grading.classroom.command.LocalPool", InlineCrew)
    assert run("--workers", "2") == 0
    lines = screen.said()
    assert lines[0] == "Testing the confinement, warming 2 processes: 5 submissions to grade."
    assert max(map(len, lines)) <= 80
    text = " ".join(lines)
    for word in ("cannot be judged: the notebook is broken:", "as a file does that was not saved"):
        assert word in text
    screen.truncate(0)
    assert run() == 0
    assert not any("warming" in line for line in screen.said())


def test_a_path_that_is_wider_than_the_terminal_stays_whole():
    path = "set_aside/" + "a_folder_with_a_long_name/" * 4 + "link"
    for terminal in (True, False):
        file = io.StringIO()
        say(
            Console(file=file, force_terminal=terminal, width=80, highlight=False),
            f"ada, {STEM}: it was set aside in {path} [for now]",
        )
        assert path in file.getvalue()
        assert "[for now]" in file.getvalue()
        assert len(file.getvalue().splitlines()) == (3 if terminal else 1)


def test_no_word_of_the_summary_is_broken():
    text = io.StringIO()
    Console(file=text, width=80).print(summary_table(RunSummary(marks={"05_flash_bidirectional": [(10.0, 10.0)]})))
    assert "unchanged" in text.getvalue()
    assert "-\n" not in text.getvalue()
    assert max(map(len, text.getvalue().split("\n"))) <= 80
