"""The page on what systems call: every notebook is there, and every statement has its source."""

from __future__ import annotations

import re

from attention_lab.variants import VARIANTS
from support.places import ROOT

PAGE = (ROOT / "docs" / "what_systems_call.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("|")][2:]


def test_every_notebook_is_there_in_the_order_of_the_course():
    numbers = [int(number) for notebook, _, _ in ROWS for number in re.findall(r"\d\d", notebook)]
    assert numbers == sorted(numbers)
    assert {variant.number for variant in VARIANTS.values()} <= set(numbers)


def test_every_statement_has_one_source():
    assert len(ROWS) > 20
    for _, statement, source in ROWS:
        assert re.fullmatch(r"\[[^\]]+\]\(https://[^)]+\)", source.strip()), statement


def test_what_is_said_below_the_table_has_sources_too():
    for paragraph in re.split(r"\n(?=- |\n)", PAGE.partition("## Who chooses")[2]):
        words = paragraph.strip()
        if words and not words.startswith("#"):
            assert "](https://" in words, words
