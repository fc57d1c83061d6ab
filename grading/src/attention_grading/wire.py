"""Frames between the judge and the worker: a JSON header and raw tensor bytes. Never pickle.

A frame is two little-endian lengths (4 bytes for the header, 8 for the tensors), the header as UTF-8 JSON, and any
tensors in the safetensors format, which holds names, dtypes, shapes and raw bytes and nothing that is executed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from attention_grading.plain_text import plain
from attention_lab.calls import Call, Failure, Outcome

_LENGTHS = struct.Struct("<IQ")
MAX_HEADER = 4 * 2**20
MAX_TENSORS = 256 * 2**20  # bytes
NO_DATA = "a tensor without data"  # what came back where a tensor was announced, and not sent
MAX_NAMES = 2**20  # bytes of names, dtypes and shapes: an outcome takes hundreds, all calls of a plan 100 KB


class BrokenFrame(Exception):
    """The other side sent something that is no frame."""


def encode(header: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> bytes:
    """One frame as bytes."""
    text = json.dumps(header).encode()
    if not tensors:
        return _LENGTHS.pack(len(text), 0) + text
    with torch._C.DisableTorchFunctionSubclass():
        body = safetensors.torch.save({name: _dense(x) for name, x in tensors.items()})
    return _LENGTHS.pack(len(text), len(body)) + text + body


def _dense(x: Tensor, detach: Any = Tensor.detach, cpu: Any = Tensor.cpu, clone: Any = Tensor.clone) -> Tensor:
    """A tensor as safetensors wants it: dense, sharing no memory. It is PyTorch that copies, whatever was patched."""
    return clone(cpu(detach(x)), memory_format=torch.contiguous_format)


def send(stream: BinaryIO, header: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> None:
    """Write one frame."""
    stream.write(encode(header, tensors))
    stream.flush()


def receive(
    stream: BinaryIO, room: int = MAX_TENSORS, max_header: int = MAX_HEADER
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read one frame.

    Args:
        stream: Where it comes from.
        room: Bytes of tensors that are taken.
        max_header: Bytes of the header that are taken.

    Raises:
        EOFError: The other side is gone.
        BrokenFrame: What came is no frame, or too large.
    """
    header_size, body_size = _LENGTHS.unpack(_read(stream, _LENGTHS.size))
    if header_size > max_header or body_size > room:
        raise BrokenFrame(f"a frame of {header_size} + {body_size} bytes is too large")
    text, body = _read(stream, header_size), _read(stream, body_size)
    if int.from_bytes(body[:8], "little") > MAX_NAMES:
        raise BrokenFrame("its tensors have too many names")
    try:
        header, tensors = json.loads(text), safetensors.torch.load(body) if body else {}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in safetensors is no Exception
        raise BrokenFrame(f"{type(error).__name__}: {error}") from error
    if not isinstance(header, dict):
        raise BrokenFrame("the header is no object")
    return header, tensors


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if data is None or len(data) < size:
        raise EOFError
    return data


# ---- calls -----------------------------------------------------------------------------------------------------------


def encode_calls(calls: Sequence[Call]) -> bytes:
    """The calls of a plan as one frame."""
    headers, tensors = [], {}
    for index, call in enumerate(calls):
        plain = {name: value for name, value in call.arguments.items() if not isinstance(value, Tensor)}
        headers.append(
            {
                "names": list(call.arguments),
                "plain": plain,
                "form": call.form,
                "layout": call.layout,
                "setting": call.setting,
            }
        )
        for name, value in call.arguments.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
        if call.cotangent is not None:
            tensors[f"{index}.cotangent"] = call.cotangent
    return encode({"type": "calls", "calls": headers}, tensors)


def decode_calls(header: dict[str, Any], tensors: dict[str, Tensor], device: str) -> list[Call]:
    """The calls of a frame, with their tensors on a device."""
    calls = []
    for index, fields in enumerate(header["calls"]):
        arguments = {
            name: fields["plain"][name] if name in fields["plain"] else tensors[f"{index}.{name}"].to(device)
            for name in fields["names"]
        }
        cotangent = tensors.get(f"{index}.cotangent")
        calls.append(
            Call(
                arguments,
                fields["form"],
                fields["layout"],
                fields["setting"],
                None if cotangent is None else cotangent.to(device),
            )
        )
    return calls


# ---- outcomes --------------------------------------------------------------------------------------------------------


def outcome_frame(
    index: int, outcome: Outcome, device: str, arguments: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of one outcome.

    Args:
        index: Number of the call.
        outcome: What it gave.
        device: Where it ran. The judge's own tensors are on the CPU, so it is called cpu.
        arguments: The arguments as the call left them; the judge sees for itself whether they were modified.
    """
    failure = outcome.failure
    header = {
        "type": "outcome",
        "index": index,
        "failure": None if failure is None else [failure.kind, failure.text, failure.line],
        "returned": outcome.returned,
        "shape": outcome.shape,
        "dtype": outcome.dtype,
        "device": "cpu" if outcome.device == device else outcome.device,
        "differentiable": outcome.differentiable,
        "gradients": list(outcome.gradients),
    }
    tensors = {name: x for name, x in outcome.gradients.items() if x is not None}
    if outcome.output is not None:
        tensors["output"] = outcome.output
    for name, value in (arguments or {}).items():
        if isinstance(value, Tensor) and not value.is_meta:
            tensors[f"{_AFTER}{name}"] = value
    return header, tensors


_AFTER = "after."


def changed_arguments(call: Call, tensors: dict[str, Tensor]) -> tuple[str, ...]:
    """Names of a call's arguments that did not come back as they went.

    Args:
        call: The call.
        tensors: Of the outcome's frame.
    """
    if call.setting == "meta":
        return ()
    sent = {name: value for name, value in call.arguments.items() if isinstance(value, Tensor)}
    return tuple(name for name, value in sent.items() if not _same(tensors.get(f"{_AFTER}{name}"), value))


def _same(after: Tensor | None, before: Tensor) -> bool:
    if after is None or after.shape != before.shape or after.dtype != before.dtype:
        return False
    return torch.equal(after, before)


def outcome_of(header: dict[str, Any], tensors: dict[str, Tensor]) -> Outcome:
    """The outcome of a frame.

    Raises:
        BrokenFrame: A field is missing or of the wrong kind.
    """
    try:
        output, shape = tensors.get("output"), header["shape"]
        if output is not None:  # what was sent counts, not what was said of it
            shape = tuple(output.shape)
        dtype = plain(header["dtype"], 40) if output is None else str(output.dtype).removeprefix("torch.")
        returned = plain(header["returned"], 100)
        if returned == "tensor" and output is None and header["device"] != "meta" and header["failure"] is None:
            returned = NO_DATA
        return Outcome(
            failure=None if header["failure"] is None else Failure(*(plain(x, 400) for x in header["failure"])),
            returned=returned,
            output=output,
            shape=None if shape is None else tuple(min(int(size), 2**62) for size in shape[:_MAX_DIMENSIONS]),
            dtype=dtype,
            device=plain(header["device"], 20),
            differentiable=bool(header["differentiable"]),
            gradients={name: _gradient(tensors.get(name)) for name in ("q", "k", "v") if name in header["gradients"]},
        )
    except Exception as error:  # JSON holds infinities and numbers of any length
        raise BrokenFrame(f"an outcome that cannot be read: {type(error).__name__}: {error}") from error


_MAX_DIMENSIONS = 16


def _gradient(gradient: Tensor | None) -> Tensor | None:
    if gradient is not None and gradient.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        raise BrokenFrame(f"a gradient of dtype {gradient.dtype}")
    return gradient
