"""Calls and outcomes as frames, and back: what comes from a worker is looked at before it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attention_grading.execution.frames import BrokenFrame, encode
from attention_grading.text import plain
from attention_lab.checks import calls
from attention_lab.checks.calls import Call, Failure, Outcome
from attention_lab.checks.intermediates import Intermediates
from attention_lab.roles import as_called

NO_DATA = "a tensor without data"  # what came back where a tensor was announced, and not sent


_HOW = ("form", "layout", "setting")  # a call is made


# ---- calls -----------------------------------------------------------------------------------------------------------


def encode_calls(calls: Sequence[Call]) -> bytes:
    """The calls of a plan as one frame."""
    headers: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for index, call in enumerate(calls):
        plain = {name: value for name, value in call.arguments.items() if not isinstance(value, Tensor)}
        how = {name: getattr(call, name) for name in _HOW}
        headers.append({"names": list(call.arguments), "plain": plain, "how": how})
        tensors |= {f"{index}.{name}": x for name, x in call.arguments.items() if name not in plain}
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
        calls.append(Call(arguments, **fields["how"], cotangent=None if cotangent is None else cotangent.to(device)))
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
        "intermediates": outcome.intermediates,
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
    if call.setting == "elsewhere":
        return ()
    sent = {name: value for name, value in as_called(call.arguments).items() if isinstance(value, Tensor)}
    return tuple(name for name, value in sent.items() if not calls.is_same(tensors.get(f"{_AFTER}{name}"), value))


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
            intermediates=_intermediates(header.get("intermediates")),
        )
    except Exception as error:  # JSON holds infinities and numbers of any length
        raise BrokenFrame(f"an outcome that cannot be read: {type(error).__name__}: {error}") from error


_MAX_DIMENSIONS = 16


def _intermediates(sent: Any) -> Intermediates | None:
    return None if sent is None else Intermediates(*(min(int(number), 2**62) for number in sent))


def _gradient(gradient: Tensor | None) -> Tensor | None:
    if gradient is not None and gradient.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        raise BrokenFrame(f"a gradient of dtype {gradient.dtype}")
    return gradient
