"""Which of the variants a notebook is, whatever it is called, and what can be repaired."""

from __future__ import annotations

import json
from collections.abc import Callable

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_grading.lms.recognise import recognise
from attention_lab.notebook.learner_cells import MAX_CODE_CELLS
from support.large_notebooks import notebook as large_notebook
from support.places import STEMS
from support.platforms.downloads import OTHER, STEM, notebook, placed, where

STUDENT_FOLDER = 1  # whose a file is, is not the question here


@pytest.mark.parametrize("stem", STEMS)
def test_each_release_is_recognised_by_content_under_a_wrong_name(take, tmp_path, stem):
    wrong = OTHER if stem != OTHER else STEM
    lines = take({f"student-a/{wrong}.ipynb": notebook(stem)})
    assert set(placed(tmp_path)) == {where("student-a", stem)}
    assert f"its name says {wrong}, its content is {stem}" in lines[f"student-a/{wrong}.ipynb"].details


def changed(stem: str, edit: Callable[[dict], object]) -> bytes:
    nb = json.loads(notebook(stem))
    edit(nb)
    return json.dumps(nb).encode()


def cell_of(nb: dict, name: str) -> dict:
    return next(cell for cell in nb["cells"] if cell["id"] == name)


def test_helper_from_another_notebook_does_not_change_which_it_is():
    helper = "def eager_bidirectional_attention(q, k, v): ...\ndef eager_causal_attention(q, k, v): ..."
    data = changed(STEM, lambda nb: cell_of(nb, "solution").update(source=helper))
    got = recognise(data, ["x.ipynb"])
    assert (got.variant.stem, got.by, got.notes) == (STEM, "function and checks", ())


def test_solution_without_checks_or_ids_is_recognised_by_its_function():
    def bare(nb):
        nb["cells"] = [{"cell_type": "code", "metadata": {}, "source": "def sdpa_causal_attention(q, k, v): ..."}]

    assert recognise(changed(STEM, bare), ["x.ipynb"]).variant.name == "sdpa_causal"


def test_wrong_function_stays_with_its_notebook_and_is_reported():
    wrong = changed(STEM, lambda nb: cell_of(nb, "solution").update(source="def sdpa_causal_attention(q, k, v): ..."))
    got = recognise(wrong, ["x.ipynb"])
    assert got.variant.stem == STEM
    assert "sdpa_causal_attention" in got.notes[0]
    assert recognise(wrong, ["04_sdpa_causal.ipynb"]).variant.name == "sdpa_causal"


def test_other_notebooks_are_rejected(take, tmp_path):
    lesson = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])).encode()
    lines = take({"student-a/lesson.ipynb": lesson, f"student-a/{OTHER}.ipynb": lesson})
    assert lines["student-a/lesson.ipynb"].status == "rejected"
    assert set(placed(tmp_path)) == {where("student-a", OTHER)}  # known by its name


def old_format() -> bytes:
    nb = json.loads(notebook(mark="old"))
    cells = [
        {**cell, "input": cell["source"], "language": "python", "prompt_number": 1, "outputs": []}
        if cell["cell_type"] == "code"
        else cell
        for cell in nb["cells"]
    ]
    return json.dumps(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    ).encode()


REPAIRED = {
    "byte order mark": (f"{STEM}.ipynb", b"\xef\xbb\xbf" + notebook(), "byte order mark removed"),
    "UTF-16": (f"{STEM}.ipynb", notebook().decode().encode("utf-16"), "was UTF-16, is UTF-8"),
    "Windows": (f"{STEM}.ipynb", notebook(mark="x").replace(b"# x", b"# \xfc"), "was no UTF-8, read as Windows-1252"),
    "txt": (f"{STEM}.ipynb.txt", notebook(), f"renamed from '{STEM}.ipynb.txt'"),
    "json": (f"{STEM}.ipynb.json", notebook(), f"renamed from '{STEM}.ipynb.json'"),
    "no extension": (STEM, notebook(), f"renamed from '{STEM}'"),
    "capitals": (f"{STEM}.IPYNB", notebook(), f"renamed from '{STEM}.IPYNB'"),
    "Colab's copy": (f"Copy of {STEM} (2).ipynb", notebook(), f"renamed from 'Copy of {STEM} (2).ipynb'"),
    "renamed": ("my homework.ipynb", notebook(), "renamed from 'my homework.ipynb'"),
    "format 3": (f"{STEM}.ipynb", old_format(), "brought from an old format to format 4"),
}


@pytest.mark.parametrize("case", REPAIRED)
def test_what_can_be_repaired_is_repaired_and_said(take, tmp_path, case):
    name, data, said = REPAIRED[case]
    line = take({f"student-a/{name}": data})[f"student-a/{name}"]
    assert (line.status, line.assignment) == ("repaired", STEM)
    assert said in line.details
    written = placed(tmp_path)[where("student-a")]
    nb = nbformat.reads(written.decode("utf-8"), as_version=nbformat.NO_CONVERT)
    assert nb.nbformat == 4
    assert any(cell.source.startswith("def eager_causal_attention") for cell in nb.cells)


BROKEN = {
    "cut": notebook()[: len(notebook()) // 2],
    "empty": b"",
    "no JSON": b"hello",
    "list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_notebook_is_put_in_place_if_its_name_is_known(take, tmp_path, case):
    lines = take({f"student-a/{STEM}.ipynb": BROKEN[case], "student-b/mine.ipynb": BROKEN[case]})
    assert placed(tmp_path)[where("student-a")] == BROKEN[case]
    assert "will get 0 points" in " ".join(lines[f"student-a/{STEM}.ipynb"].details)
    by_text = case == "cut"  # enough of it is left to be recognised
    assert lines["student-b/mine.ipynb"].status == ("repaired" if by_text else "rejected")


def test_broken_last_attempt_counts_and_the_earlier_one_is_mentioned(take, tmp_path):
    entries = {f"a_101_9001_{STEM}.ipynb": notebook(), f"a_101_9002_{STEM}-1.ipynb": b"{"}
    lines = take(entries, level=None)
    assert placed(tmp_path) == {where("101"): b"{"}
    assert "an earlier attempt can be read" in lines[f"a_101_9002_{STEM}-1.ipynb"].details


def test_scripts_and_other_archives_are_rejected(take):
    lines = take({f"student-a/{STEM}.py": b"pass", "student-b/work.rar": b"Rar!", "student-c/work.tar.gz": b"\x1f\x8b"})
    assert {line.status for line in lines.values()} == {"rejected"}


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.just(STEM),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["cells", "worksheets", "metadata", "source", "input", "id", "nbformat", "cell_type", "x"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_recognised_or_not_and_never_raise(data):
    got = recognise(data, ["x.ipynb"])
    assert got.data or not data


STEM = "02_eager_causal"


def test_intake_says_that_there_are_many_code_cells_and_takes_the_notebook():
    cells = json.loads(large_notebook(code=MAX_CODE_CELLS + 31))
    cells["cells"].append({"cell_type": "code", "metadata": {}, "source": "def eager_causal_attention(q): pass"})
    found = recognise(json.dumps(cells).encode(), ["x.ipynb"])
    assert found.broken is None
    assert found.variant.stem == STEM
    assert "c.JudgingRules.code_cells" in " ".join(found.notes)
