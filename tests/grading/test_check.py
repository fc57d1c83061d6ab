"""What a learner reads who judges an own function: what to fix first, in the notebook and at the terminal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attention_grading.check import judge_files
from attention_lab import judge_all
from attention_lab.notebook import judge_all as kit
from attention_lab.notebook.run_cells import names_in_scope
from attention_lab.variants import VARIANTS, Variant
from corpus import CORPUS
from support.answers import RIGHT

EAGER = VARIANTS["eager_causal"]
pytestmark = pytest.mark.process

UNSCALED = RIGHT.replace(" / math.sqrt(head_dim)", "")
# by variant, its first right answer
SOURCES = {answer.variant: answer.source for answer in reversed(CORPUS) if answer.right}


def function_of(variant: Variant) -> Callable[..., object]:
    namespace = names_in_scope()
    exec(SOURCES[variant.name], namespace)
    return namespace[variant.function_name]


def test_first_failure_comes_first_and_once(write, capsys):
    assert not judge_files([(EAGER, write("a.py", UNSCALED))])
    said = capsys.readouterr().out
    points, _, first, problem, *_ = said.splitlines()
    assert points.endswith("a.py: 4 of 10 points")
    assert first == "First to fix: values"
    assert said.count(problem.strip()) == 1
    assert "the mistake looks like: missing-scale\n" in said
    assert said.rstrip().endswith("To read what missing-scale means, add --explain.")
    assert "√head_dim" not in said


def test_meaning_of_a_name_is_the_second_step(write, capsys):
    judge_files([(EAGER, write("a.py", UNSCALED))], explain=True)
    assert "missing-scale: the scores are not divided by √head_dim" in capsys.readouterr().out


def test_right_file_is_told_so(write, capsys):
    assert judge_files([(EAGER, write("a.py", RIGHT))])
    assert capsys.readouterr().out.rstrip().endswith("All six checks pass.")


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_cell_of_a_notebook_judges_all_six_checks(variant, capsys):
    judge_all(variant.name, function_of(variant))
    said = capsys.readouterr().out
    assert said.startswith("10 of 10 points")
    assert said.count("passed  ") == 6


def test_cell_says_where_the_hidden_checks_are_if_not_here(capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    judge_all("eager_causal", function_of(EAGER))
    assert capsys.readouterr().out.strip() == kit.NOT_HERE


def test_what_is_wrong_everywhere_is_said_once(write, capsys):
    judge_files([(EAGER, write("a.py", "def eager_causal_attention(*arguments, **named):\n    return None"))])
    assert capsys.readouterr().out.count("your function returned None") == 1
