"""Whatever is handed in or sent is rejected, or the right code is taken out of it; the judge never falls."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unprivileged import ROOT

from attention_grading.execution import codec, frames
from attention_grading.judging.comparison import values
from attention_grading.judging.session import Session
from attention_grading.notebooks.transplant import broken_notebook, notebook_of, rebuild, transplant
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import CheckFailed
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

VARIANT = get_variant("eager_causal")
MASTER = nbformat.read(ROOT / "source" / VARIANT.stem / f"{VARIANT.stem}.ipynb", as_version=4)
RELEASED = json.loads((ROOT / "release" / VARIANT.stem / f"{VARIANT.stem}.ipynb").read_text())
MARK = "# the learner's own line"
LEARNERS = next(source_of(cell) for cell in MASTER.cells if grade_id_of(cell) == SOLUTION_ID) + f"\n{MARK}\n"

QUICK = settings(deadline=None, database=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)

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


# ---- notebooks -------------------------------------------------------------------------------------------------------


def submitted() -> dict[str, Any]:
    notebook = json.loads(json.dumps(RELEASED))
    next(cell for cell in notebook["cells"] if cell["id"] == SOLUTION_ID)["source"] = LEARNERS
    return notebook


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places(inner)


JUNK = (None, True, -1, 1e308, float("nan"), "", "x" * 1000, "\ud800", "\x00", [], {}, [[]], {"": None}, 10**300)


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


@QUICK
@given(ANYTHING)
def test_any_json_is_rejected_or_taken(value):
    take(json.dumps(value))


@QUICK
@given(CELLS)
def test_any_cells_are_rejected_or_taken(cells):
    take(json.dumps({"cells": cells}))
    take(json.dumps({"worksheets": [{"cells": cells}]}))


@QUICK
@given(st.text(max_size=300))
def test_any_text_is_rejected_or_taken(text):
    take(text)


def test_rebuilt_notebook_of_nothing_has_all_checks_and_no_code():
    rebuilt = rebuild(MASTER, notebook_submission(submitted(), VARIANT, MASTER), None)
    assert sum(MARK in cell.source for cell in rebuilt.cells) == 1


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


# ---- the wire --------------------------------------------------------------------------------------------------------

EMPTY = struct.pack("<Q", 2) + b"{}"


def received(header: bytes, body: bytes) -> Outcome | None:
    """What the judge makes of a frame; nothing where it is broken."""
    frame = struct.pack("<IQ", len(header), len(body)) + header + body
    try:
        fields, tensors = frames.receive(io.BytesIO(frame), 2**20)
        outcome = codec.outcome_of(fields, tensors)
        outcome.changed = codec.changed_arguments(CALL, tensors)
    except (frames.BrokenFrame, EOFError):
        return None
    try:
        values(VARIANT, "fuzz", "hint", [CALL], [outcome])
    except CheckFailed as failed:
        str(failed).encode()
    else:
        raise AssertionError("noise passed")
    return outcome


_INPUT = torch.randn(2, 6, 24, generator=torch.Generator().manual_seed(0))
CALL = Call({"q": _INPUT, "k": _INPUT + 1, "v": _INPUT - 1, "num_heads": 3, "head_dim": 8, "mask": None})
FIELDS = {
    "type": "outcome",
    "index": 0,
    "failure": None,
    "returned": "tensor",
    "shape": [2, 6, 24],
    "dtype": "float32",
    "device": "cpu",
    "differentiable": True,
    "gradients": [],
}


@QUICK
@given(st.dictionaries(st.sampled_from(list(FIELDS)), ANYTHING, min_size=1))
def test_outcome_with_any_fields_is_read_or_broken(changes):
    received(json.dumps(FIELDS | changes).encode(), EMPTY)


@QUICK
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_no_frame(header, body):
    received(header, body)


def frame_of(dtype: torch.dtype) -> bytes | None:
    """An output and a gradient of a dtype, as raw bytes; nothing where that dtype cannot be sent."""
    try:
        return safetensors.torch.save({name: torch.zeros(2, 6, 24).to(dtype) for name in ("output", "q")})
    except Exception:
        return None


DTYPES = sorted(
    {value for value in vars(torch).values() if isinstance(value, torch.dtype) and frame_of(value)}, key=str
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_dtype_are_judged_or_broken(dtype):
    received(json.dumps(FIELDS | {"gradients": ["q"]}).encode(), frame_of(dtype))
    received(json.dumps(FIELDS).encode(), frame_of(dtype))


def test_dtypes_that_no_function_should_return_are_among_them():
    assert {torch.bool, torch.int64, torch.complex64, torch.float8_e4m3fn} <= set(DTYPES)


SHAPES = st.lists(st.integers(-5, 2**63), max_size=5)


@QUICK
@given(st.sampled_from(["F32", "F64", "BF16", "I64", "BOOL", "F8_E8M0", "F4", "C64", "U64", "X"]), SHAPES, ANYTHING)
def test_tensors_of_any_description_are_read_or_broken(dtype, shape, offsets):
    for place in ([0, 0], [0, 16], offsets):
        text = json.dumps({"output": {"dtype": dtype, "shape": shape, "data_offsets": place}}).encode()
        received(json.dumps(FIELDS).encode(), struct.pack("<Q", len(text)) + text + bytes(16))
