"""Whatever a worker sends is read or broken; the judge never falls."""

from __future__ import annotations

import io
import json
import struct

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_grading.execution import codec, frames
from attention_grading.judging.comparison import values
from attention_lab.checks.calls import Call, Outcome
from attention_lab.checks.case import CheckFailed
from attention_lab.variants import get_variant
from support.anything import ANYTHING, QUICK

VARIANT = get_variant("eager_causal")

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


@pytest.mark.slow
@QUICK
@given(st.dictionaries(st.sampled_from(list(FIELDS)), ANYTHING, min_size=1))
def test_outcome_with_any_fields_is_read_or_broken(changes):
    received(json.dumps(FIELDS | changes).encode(), EMPTY)


@pytest.mark.slow
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


@pytest.mark.slow
@QUICK
@given(st.sampled_from(["F32", "F64", "BF16", "I64", "BOOL", "F8_E8M0", "F4", "C64", "U64", "X"]), SHAPES, ANYTHING)
def test_tensors_of_any_description_are_read_or_broken(dtype, shape, offsets):
    for place in ([0, 0], [0, 16], offsets):
        text = json.dumps({"output": {"dtype": dtype, "shape": shape, "data_offsets": place}}).encode()
        received(json.dumps(FIELDS).encode(), struct.pack("<Q", len(text)) + text + bytes(16))
