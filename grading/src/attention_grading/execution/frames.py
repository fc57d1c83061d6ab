"""Frames between the judge and the worker: a JSON header and raw tensor bytes. Never pickle.

A frame is two little-endian lengths (4 bytes for the header, 8 for the tensors), the header as UTF-8 JSON, and any
tensors in the safetensors format, which holds names, dtypes, shapes and raw bytes and nothing that is executed.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor

_LENGTHS = struct.Struct("<IQ")
MAX_HEADER = 4 * 2**20
MAX_TENSORS = 256 * 2**20  # bytes
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
    dense: Tensor = clone(cpu(detach(x)), memory_format=torch.contiguous_format)
    return dense


def send(stream: IO[bytes], header: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> None:
    """Write one frame."""
    stream.write(encode(header, tensors))
    stream.flush()


def receive(
    stream: IO[bytes], room: int = MAX_TENSORS, max_header: int = MAX_HEADER
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


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if data is None or len(data) < size:
        raise EOFError
    return data
