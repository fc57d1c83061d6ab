"""The teachers' page: it knows every mistake that the judge names, and every notebook."""

from __future__ import annotations

import re

from attention_grading.judging.diagnosis.names import SENTENCES
from support.places import ROOT, STEMS

PAGE = (ROOT / "docs" / "teaching.md").read_text()


def test_it_says_what_to_ask_about_every_mistake_that_the_judge_names():
    table = PAGE.split("## What to say about common mistakes")[1].split("\n## ")[0]
    names = [name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([^`]+)`", row)]
    patterns = [re.escape(name).replace("…", "[a-z-]+") for name in names]
    unasked = [name for name in SENTENCES if not any(re.fullmatch(pattern, name) for pattern in patterns)]
    assert unasked == []
    known = [pattern for pattern in patterns if any(re.fullmatch(pattern, name) for name in SENTENCES)]
    assert known == patterns, "a name that the judge does not give"


def test_its_plans_cover_every_notebook():
    for plan in ("### Two evenings", "### Four weeks"):
        text = PAGE.split(plan)[1].split("\n#")[0]
        for stem in STEMS[:6]:
            assert re.search(rf"\b{stem[:2]}\b", text), (plan, stem)
        assert {"L0", "L1"} <= set(re.findall(r"\bL\d\b", text))
    second = PAGE.split("### Four weeks more")[1].split("\n#")[0]
    assert [stem for stem in STEMS[6:] if not re.search(rf"\b{stem[:2]}\b", second)] == []
