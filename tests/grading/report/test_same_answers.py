"""Answers that are the same but for names, comments and layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attention_grading.report.same_answers import SameAnswers, skeleton, students_alike
from support.answers import RIGHT

RENAMED = """
def eager_causal_attention(query, key, value, n, d, mask=None):
    # all my own work
    '''Attention.'''
    query, key, value = (t.unflatten(-1, (n, d)).transpose(1, 2) for t in (query, key, value))
    logits = query @ key.transpose(-2, -1) / math.sqrt(d)
    seen = torch.ones(logits.shape[-2:], dtype=torch.bool,
                      device=query.device).tril()
    if mask is not None:
        seen = seen & mask[:, None, None, :]
    logits = logits.masked_fill(~seen, torch.finfo(logits.dtype).min)
    return (logits.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
"""


@pytest.mark.parametrize(
    "same", [RENAMED, RIGHT.replace("scores", "s"), f"# a remark\n\n{RIGHT}", RIGHT.replace("    ", "\t")]
)
def test_names_comments_and_layout_do_not_count(same):
    assert skeleton(same) == skeleton(RIGHT)


@pytest.mark.parametrize(
    "other",
    [
        RIGHT.replace("/ math.sqrt(head_dim)", "* head_dim**-0.5"),
        RIGHT.replace("tril", "triu"),
        RIGHT.replace("k.transpose", "q.transpose"),
        RIGHT.replace("transpose(1, 2)", "transpose(2, 1)"),
        RIGHT.replace("torch.ones", "torch.zeros"),
    ],
)
def test_everything_else_does(other):
    assert skeleton(other) != skeleton(RIGHT)


def test_what_does_not_parse_is_like_nothing():
    assert skeleton("def f(:") is None
    assert skeleton("") is None
    assert skeleton("x" + "(" * 5000) is None


def write(folder: Path, student: str, answer: str) -> tuple[str, Path]:
    cells = [
        {"cell_type": "code", "id": "own-0", "source": f"print({student!r})", "metadata": {}},
        {"cell_type": "code", "id": "solution", "source": answer, "metadata": {"nbgrader": {"grade_id": "solution"}}},
        {"cell_type": "code", "id": "setup", "source": "x = 1", "metadata": {"nbgrader": {"locked": True}}},
    ]
    path = folder / f"{student}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}}))
    return student, path


def test_students_with_the_same_answer_are_listed_together_and_the_stub_is_no_answer(tmp_path):
    stub = "def f(q):\n    raise NotImplementedError('x')\n"
    answers = {"ada": RIGHT, "bob": RENAMED, "cem": RIGHT.replace("tril", "triu"), "dot": stub, "eve": stub}
    pairs = [write(tmp_path, student, answer) for student, answer in answers.items()]
    pairs.append(("gone", tmp_path / "gone.ipynb"))
    assert students_alike("02_eager_causal", pairs, blank={"dot", "eve"}) == [
        SameAnswers("02_eager_causal", ("ada", "bob"), 8)
    ]


def test_the_answer_is_compared_wherever_it_stood(tmp_path):
    """In the cell for trying, below a stub that is left, or above a solution cell that holds something else."""

    def graded(student: str, before: str, solution: str, after: str) -> tuple[str, Path]:
        cells = [
            {"cell_type": "code", "id": "own-0", "source": before, "metadata": {}},
            {"cell_type": "code", "id": "solution", "source": solution, "metadata": {}},
            {"cell_type": "code", "id": "more-1", "source": after, "metadata": {}},
        ]
        path = tmp_path / f"{student}.ipynb"
        path.write_text(json.dumps({"cells": cells}))
        return student, path

    by_name = f"{RIGHT.replace('eager_causal_attention', 'mine')}\neager_causal_attention = mine"
    notebooks = [
        graded("ada", "print(1)", RIGHT, "print(2)"),
        graded("bob", "x = 1", "", RENAMED),
        graded("cem", RENAMED, "y = 2", ""),
        graded("dot", "", by_name.rpartition("\n")[0], by_name.rpartition("\n")[2]),
        graded("eve", "", by_name.rpartition("\n")[0].replace("tril", "triu"), by_name.rpartition("\n")[2]),
    ]
    (same,) = students_alike("02_eager_causal", notebooks)
    assert same.students == ("ada", "bob", "cem")
