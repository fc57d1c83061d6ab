"""Whatever is handed in is rejected, or the right code is taken out of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_grading.judging.session import Session
from attention_grading.notebooks.grade import judge_notebook
from attention_grading.notebooks.transplant import broken_notebook, notebook_of, rebuild, transplant
from attention_lab.notebook.learner_cells import (
    GRADED_IDS,
    SOLUTION_ID,
    NotJudgeable,
    grade_id_of,
    notebook_submission,
    parse_notebook,
    source_of,
)
from attention_lab.variants import get_variant
from support.anything import ANYTHING, QUICK
from support.places import ROOT

VARIANT = get_variant("eager_causal")
MASTER = nbformat.read(ROOT / "source" / VARIANT.stem / f"{VARIANT.stem}.ipynb", as_version=4)
RELEASED = json.loads((ROOT / "release" / VARIANT.stem / f"{VARIANT.stem}.ipynb").read_text())
MARK = "# the learner's own line"
LEARNERS = next(source_of(cell) for cell in MASTER.cells if grade_id_of(cell) == SOLUTION_ID) + f"\n{MARK}\n"

_KEYS = st.sampled_from(["cell_type", "id", "metadata", "source", "input"])
CELLS = st.lists(st.dictionaries(_KEYS, ANYTHING), max_size=6)


def take(text: str) -> nbformat.NotebookNode:
    """What grading does with a submitted text, up to the rebuilt notebook; it must hold the instructor's checks."""
    try:
        handed_in = notebook_of(text)
    except NotJudgeable as reason:
        handed_in = broken_notebook(str(reason))
    rebuilt, notes = transplant(handed_in, VARIANT, MASTER)
    assert all(isinstance(note, str) for note in notes)
    ours = {grade_id_of(cell): cell for cell in MASTER.cells}
    for name in GRADED_IDS:
        found = [cell for cell in rebuilt.cells if "nbgrader" in cell.metadata and grade_id_of(cell) == name]
        assert found == [ours[name]]
    nbformat.validate(rebuilt)
    again = nbformat.reads(nbformat.writes(rebuilt), as_version=4)
    if "attention_grading_broken" not in rebuilt.metadata:
        notebook_submission(again, VARIANT, MASTER)
    return rebuilt


def submitted() -> dict[str, Any]:
    notebook = json.loads(json.dumps(RELEASED))
    next(cell for cell in notebook["cells"] if cell["id"] == SOLUTION_ID)["source"] = LEARNERS
    return notebook


def test_the_map_that_a_learner_changed_is_graded_as_it_came():
    notebook = submitted()
    next(cell for cell in notebook["cells"] if cell["id"] == "attention-map")["source"] = "shown = my_own_batch"
    rebuilt = take(json.dumps(notebook))
    (ours,) = [cell.source for cell in MASTER.cells if cell.id == "attention-map"]
    assert [cell.source for cell in rebuilt.cells if grade_id_of(cell) == "attention-map"] == [ours]
    assert "my_own_batch" not in json.dumps(rebuilt)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places(inner)


JUNK = (None, True, -1, 1e308, float("nan"), "", "x" * 1000, "\ud800", "\x00", [], {}, [[]], {"": None}, 10**300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_notebook_with_random_values_replaced_is_rejected_or_taken(seed):
    """Two hundred mutants a seed, one to six places each; the solution's text is never among them."""
    generator = random.Random(seed)
    for _ in range(200):
        notebook = submitted()
        chosen = [(box, key) for box, key in places(notebook) if box[key] != LEARNERS]
        for box, key in generator.sample(chosen, generator.randint(1, 6)):
            if isinstance(box, dict) and generator.random() < 0.3:
                box.pop(key, None)
            elif not isinstance(box, list) or key < len(box):
                box[key] = generator.choice(JUNK)
        rebuilt = take(json.dumps(notebook))
        solutions = [cell.source for cell in rebuilt.cells if cell.cell_type == "code" and MARK in cell.source]
        rejected = "attention_grading_broken" in rebuilt.metadata
        assert rejected or solutions or MARK not in json.dumps(_code_cells(notebook))


def _code_cells(notebook: dict[str, Any]) -> list[str]:
    """Sources of what is a code cell by any reading, and no instructor's."""
    try:
        cells = parse_notebook(json.dumps(notebook))["cells"]
    except NotJudgeable:
        return []
    names = {*GRADED_IDS, "setup", "idea-example", "toy-inputs", "mask-picture", "attention-map", "hand-in"}
    return [source_of(cell) for cell in cells if cell.get("cell_type") == "code" and grade_id_of(cell) not in names]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_notebook_with_random_bytes_replaced_is_rejected_or_taken(seed):
    generator = random.Random(seed)
    text = json.dumps(submitted())
    for _ in range(150):
        characters = list(text)
        for _ in range(generator.randint(1, 30)):
            place = generator.randrange(len(characters))
            characters[place] = generator.choice('{}[]",:\\\x00\ud800e9-' + text[:50])
        take("".join(characters))
        take(text[: generator.randrange(len(text))])


@pytest.mark.slow
@QUICK
@given(ANYTHING)
def test_any_json_is_rejected_or_taken(value):
    take(json.dumps(value))


@pytest.mark.slow
@QUICK
@given(CELLS)
def test_any_cells_are_rejected_or_taken(cells):
    take(json.dumps({"cells": cells}))
    take(json.dumps({"worksheets": [{"cells": cells}]}))


@pytest.mark.slow
@QUICK
@given(st.text(max_size=300))
def test_any_text_is_rejected_or_taken(text):
    take(text)


def test_rebuilt_notebook_of_nothing_has_all_checks_and_no_code():
    rebuilt = rebuild(MASTER, notebook_submission(submitted(), VARIANT, MASTER), None)
    assert sum(MARK in cell.source for cell in rebuilt.cells) == 1


@pytest.mark.process
def test_mutated_notebooks_are_judged_right_or_rejected(session: Session):
    """The whole way to a score, for some: full marks, or nothing with the reason."""
    generator = random.Random(0)
    scores = []
    for _ in range(12):
        notebook = submitted()
        chosen = [(box, key) for box, key in places(notebook) if box[key] != LEARNERS and key != "cells"]
        for box, key in generator.sample(chosen, 4):
            if not isinstance(box, list) or key < len(box):
                box[key] = generator.choice(JUNK)
        rebuilt = take(json.dumps(notebook))
        if "attention_grading_broken" in rebuilt.metadata:
            scores.append(0)
            continue
        scores.append(session.judge(VARIANT, notebook_submission(rebuilt, VARIANT, MASTER)).score)
    assert set(scores) <= {0, 10}
    assert 10 in scores


# ---- an answer where none is looked for ------------------------------------------------------------------------------


def written_into(name: str, solution: str | None) -> nbformat.NotebookNode:
    """A notebook whose answer stands in a cell that grading replaces; the solution cell holds a text, or is gone."""
    notebook = submitted()
    next(cell for cell in notebook["cells"] if cell["id"] == name)["source"] += f"\n{LEARNERS}"
    cells = [cell for cell in notebook["cells"] if cell["id"] != SOLUTION_ID or solution is not None]
    for cell in cells:
        if cell["id"] == SOLUTION_ID:
            cell["source"] = solution
    return notebook_of(json.dumps(notebook | {"cells": cells}))


STUB = next(source_of(cell) for cell in RELEASED["cells"] if cell["id"] == SOLUTION_ID)


@pytest.fixture(scope="module")
def session():
    with Session() as session:
        yield session


@pytest.mark.process
@pytest.mark.parametrize("solution", [STUB, "x = 1", None], ids=["stub", "something else", "no solution cell"])
@pytest.mark.parametrize("name", ["test-masking", "attention-map", "hand-in", "task"])
def test_an_answer_in_a_cell_that_is_replaced_is_told_wherever_reasons_are_read(name, solution, session):
    rebuilt, said = transplant(written_into(name, solution), VARIANT, MASTER)
    assert any(f"cell {name}" in line and "solution cell" in line for line in said)
    verdict = judge_notebook(rebuilt, VARIANT, MASTER, session)
    assert verdict.score == 0
    read_in_page_and_report = [*verdict.notes, verdict.checks[0].message]
    assert any(f"cell {name}" in line and "solution cell" in line for line in read_in_page_and_report)


def test_nothing_is_said_of_other_cells_where_the_solution_cell_has_the_answer():
    _, said = transplant(written_into("test-masking", LEARNERS), VARIANT, MASTER)
    assert said == []


@pytest.mark.process
def test_what_was_repaired_on_the_way_reaches_page_and_report_once(session):
    notebook = submitted()
    next(cell for cell in notebook["cells"] if cell["id"] == "setup")["source"] = "x = 1"
    notebook["cells"].append({"cell_type": "code", "source": LEARNERS})
    rebuilt, said = transplant(notebook_of(json.dumps(notebook)), VARIANT, MASTER)
    notes = judge_notebook(rebuilt, VARIANT, MASTER, session).notes
    assert sorted(notes) == sorted(said)
    assert len(notes) == 2
