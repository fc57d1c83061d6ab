"""Six checks, points, messages, and files that cannot be judged."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from attention_grading.judging.diagnosis.bank import bank
from attention_grading.judging.diagnosis.names import hint_for
from attention_grading.judging.session import Session
from attention_grading.sandbox.limits import Limits
from attention_lab.variants import POINTS, VARIANTS
from support.answers import RIGHT

pytestmark = pytest.mark.process


STUB = """
def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    raise NotImplementedError("Write your solution here, then run this cell again.")
"""


def earned(verdict) -> dict[str, int]:
    return {check.name: check.earned for check in verdict.checks}


def test_right_answer_gets_full_marks(session, write):
    verdict = session.judge_file("eager_causal", write("right.py", RIGHT))
    assert earned(verdict) == POINTS


def test_all_checks_are_listed_in_order_with_ten_points(session, write):
    verdict = session.judge_file("eager_causal", write("right.py", RIGHT))
    assert [check.name for check in verdict.checks] == list(POINTS)
    assert verdict.max_score == 10


def test_stub_gets_nothing_and_is_called_not_implemented(session, write):
    verdict = session.judge_file("eager_causal", write("stub.py", STUB))
    assert verdict.score == 0
    assert "not implemented yet" in verdict.checks[0].message


def test_function_wrong_only_with_a_mask_keeps_values(session, write):
    text = RIGHT.replace("allowed = allowed & mask", "allowed = mask")
    verdict = session.judge_file("eager_causal", write("dropped.py", text))
    assert earned(verdict) == POINTS | {"invariants": 0, "masking": 0, "robustness": 0}
    assert verdict.check("masking").diagnosis.startswith("causal-dropped-with-mask")


def test_missing_scale_is_named(session, write):
    text = RIGHT.replace(" / math.sqrt(head_dim)", "")
    verdict = session.judge_file("eager_causal", write("scale.py", text))
    assert verdict.check("values").diagnosis.startswith("missing-scale")


def test_message_has_three_lines_with_case_place_and_hint(session, write):
    text = RIGHT.replace(" / math.sqrt(head_dim)", "")
    message = session.judge_file("eager_causal", write("scale.py", text)).check("values").message
    first, second, third = message.split("\n")
    assert first.startswith("[")
    assert "expected" in second
    assert "got" in second
    assert third.startswith("look at ")


def test_nan_at_rows_without_keys_costs_robustness_alone(session, write):
    text = RIGHT.replace("torch.finfo(scores.dtype).min", 'float("-inf")')
    verdict = session.judge_file("eager_causal", write("nan.py", text))
    assert earned(verdict) == POINTS | {"robustness": 0}


def test_fused_kernel_in_an_eager_notebook_costs_kernel_alone(session, write):
    text = """
def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    allowed = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    return CALL(q, k, v, attn_mask=allowed).transpose(1, 2).flatten(2)
"""
    for alias in (
        "F.scaled_dot_product_attention",
        "torch._C._nn.scaled_dot_product_attention",
        "torch.ops.aten.scaled_dot_product_attention",
    ):
        verdict = session.judge_file("eager_causal", write("fused.py", text.replace("CALL", alias)))
        assert earned(verdict) == POINTS | {"kernel": 0}, alias
        sdpa = text.replace("CALL", alias).replace("eager_causal", "sdpa_causal")
        assert earned(session.judge_file("sdpa_causal", write("sdpa.py", sdpa))) == POINTS, alias


def test_decoy_kernel_call_does_not_count(session, write):
    text = RIGHT.replace("eager_causal", "sdpa_causal").replace(
        "    scores = q", "    F.scaled_dot_product_attention(q, k, v)\n    scores = q", 1
    )
    verdict = session.judge_file("sdpa_causal", write("decoy.py", text))
    assert earned(verdict) == POINTS | {"kernel": 0}
    assert "was called, but its result has no or next to no effect" in verdict.check("kernel").message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", "does not parse in line 1"),
        ("def other(): pass\n", "was not found"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("import os\nos._exit(3)\n", "exited with status 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "killed by SIGSEGV"),
    ],
)
def test_unjudgeable_file_gets_zero_with_the_reason_and_the_next_is_judged(session, write, text, words):
    verdict = session.judge_file("eager_causal", write("bad.py", text))
    assert verdict.score == 0
    assert all(words in check.message for check in verdict.checks)
    assert session.judge_file("eager_causal", write("right.py", RIGHT)).score == 10


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("while True: pass", "did not finish within 2 s"),
        ("import os; os._exit(4)", "exited with status 4"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "killed by SIGTERM"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "PermissionError"),
        ("raise SystemExit(1)", "ends Python"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return None", "returned None"),
        ("return q, k", "returned a tuple of 2"),
        ("return q[0]", "wrong shape"),
        ("return q.double()", "wrong dtype"),
    ],
)
def test_function_that_gives_no_tensor_gets_nothing_with_the_reason(write, body, words):
    text = f"def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):\n    {body}\n"
    with Session(limits=Limits(seconds=2)) as session:
        verdict = session.judge_file("eager_causal", write("bad.py", text))
        assert verdict.score == 0
        assert words in verdict.checks[0].message
        assert session.judge_file("eager_causal", write("right.py", RIGHT)).score == 10


def solution(source: str, grade_id: str = "solution"):
    metadata = {"nbgrader": {"grade_id": grade_id, "solution": True, "grade": False, "locked": False}}
    return new_code_cell(source, metadata=metadata)


def notebook(path: Path, *cells) -> Path:
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def test_notebook_is_judged_by_its_learners_cells(session, tmp_path):
    path = notebook(
        tmp_path / "a.ipynb",
        new_markdown_cell("text"),
        new_code_cell("%matplotlib inline\n!ls\nimport os"),
        new_code_cell("1 / 0"),
        solution(RIGHT),
    )
    verdict = session.judge_file("eager_causal", path)
    assert verdict.score == 10
    assert any("ZeroDivisionError" in note for note in verdict.notes)


def test_last_written_copy_of_the_solution_wins_over_the_stub(session, tmp_path):
    wrong = RIGHT.replace(" / math.sqrt(head_dim)", "")
    for cells in (
        (solution(wrong), solution(RIGHT)),
        (solution(RIGHT), solution(STUB)),
        (new_code_cell(RIGHT), solution(STUB)),
    ):
        assert session.judge_file("eager_causal", notebook(tmp_path / "a.ipynb", *cells)).score == 10


def test_solution_turned_to_markdown_counts(session, tmp_path):
    cell = new_markdown_cell(RIGHT, metadata={"nbgrader": {"grade_id": "solution"}})
    assert session.judge_file("eager_causal", notebook(tmp_path / "a.ipynb", cell)).score == 10


def test_edited_checks_are_not_run(session, tmp_path):
    edited = solution("raise SystemExit", "test-values")
    verdict = session.judge_file("eager_causal", notebook(tmp_path / "a.ipynb", solution(RIGHT), edited))
    assert verdict.score == 10
    assert verdict.notes == ()


@pytest.mark.parametrize(
    ("old", "new", "mistake", "hint"),
    [
        ("masked_fill(~allowed", "masked_fill(allowed & ~allowed", "nothing-masked", "look at the masking"),
        (".tril()", "", "causal-missing", "look at the triangle"),
        (" / math.sqrt(head_dim)", "", "missing-scale", "look at what scales the scores"),
        ("softmax(dim=-1)", "softmax(dim=-2)", "softmax-over-queries", "look at the softmax"),
    ],
)
def test_hint_is_about_the_mistake_that_is_named_in_whatever_check_it_shows(session, write, old, new, mistake, hint):
    assert old in RIGHT
    verdict = session.judge_file("eager_causal", write("wrong.py", RIGHT.replace(old, new)))
    named = [check for check in verdict.checks if check.mistake == mistake]
    assert {"invariants", "robustness"} & {check.name for check in named}
    for check in named:
        assert check.message.split("\n")[2].startswith(hint), check


def test_every_mistake_that_numbers_tell_has_a_hint_of_its_own():
    names = {model.name for variant in VARIANTS.values() for model in bank(variant)} | {"constant-output"}
    assert {name for name in names if hint_for(name) is None} == set()
