"""Calls as data: performed on one device, looked at on another."""

from __future__ import annotations

import torch

from attention_lab.checks import calls
from attention_lab.checks.calls import Call, perform_on
from attention_lab.inputs import running_sum


def test_call_is_performed_on_the_routes_device_and_looked_at_on_the_cpu(monkeypatch):
    monkeypatch.setattr(calls, "is_same", lambda after, before: True)  # meta tensors have no numbers to compare
    seen = []

    def function(**arguments):
        seen.extend(x.device.type for x in arguments.values())
        return arguments["q"] + 0

    x = torch.zeros(3, 16)
    call = Call({"q": x, "k": x, "v": x, "cu_seqlens": running_sum([3])}, cotangent=x)
    moved = call.on("meta")
    assert {tensor.device.type for tensor in (*moved.arguments.values(), moved.cotangent)} == {"meta"}
    outcome = perform_on("meta", function, call)
    assert (outcome.failure, outcome.device, seen) == (None, "cpu", ["meta"] * 4)
