"""What runs learners' code. It imports neither the reference nor the judge.

``serve`` is what a warm process does with it: torch is imported, and each submission gets a forked child. Started by
its name it judges a single submission over its own standard streams, for platforms without fork and for CUDA. Either
way the learner's code gets its inputs as raw bytes and answers with raw bytes (see ``codec``).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_grading.execution import codec, frames
from attention_grading.execution.denied import Denied
from attention_grading.execution.kernel_hooks import marked_kernels
from attention_grading.sandbox.silence import silence
from attention_lab import flash, flex
from attention_lab.checks.calls import Call, Outcome, failure_of, perform, quiet
from attention_lab.notebook.run_cells import load, names_in_scope, summed_up


def main(arguments: list[str] | None = None) -> None:
    """Judge one submission, over standard input and output."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.execution.judge_worker", description=__doc__)
    parser.add_argument("--device", default="cpu", help="where the learner's function runs (default: cpu)")
    options = parser.parse_args(arguments)
    _prepare()
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silence()
    torch.zeros(1, device=options.device)  # starting CUDA takes seconds
    writer.write(b"ready\n")
    writer.flush()
    serve_submission(reader, writer, options.device, confined=False)


def serve(control: socket.socket, confined: bool) -> None:
    """Serve judges from a warm process until the last of them is gone.

    Args:
        control: The socket that they ask on.
        confined: Whether submissions will run confined.
    """
    from attention_grading.execution import warm  # needs a platform with fork

    _prepare()
    warm_up()
    if confined:
        _import_packages()
    warm.lend(control, partial(serve_submission, device="cpu", confined=confined), warm_up_flex)


def _prepare() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)  # once, and not for each call
    provide_flash_attn()


# ---- the warm process ------------------------------------------------------------------------------------------------


def warm_up() -> None:
    """Do once what every child would otherwise do itself, and stay single-threaded."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        _touch_operations(torch.randn(2, 3, 4, 4).to(dtype))
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    x.softmax(-1).sum().backward()
    with marked_kernels(lambda kernel, arguments: arguments["query"]), torch.no_grad():
        F.scaled_dot_product_attention(x, x, x)
    # the first message about an error, and one frame
    arguments = {name: x[0].detach() for name in "qkv"}
    perform(lambda **arguments: 1 / 0, Call(arguments))
    for setting in ("elsewhere", "measured"):
        perform(lambda q, k, v: (q @ k.transpose(-2, -1)).softmax(-1) @ v, Call(arguments, setting=setting))
    frames.encode({}, {"x": x})
    names_in_scope()  # imports where each lives


def warm_up_flex() -> None:
    """The same for children that call FlexAttention, which imports PyTorch's compiler."""
    with quiet():
        flex.load_compiler()
    arguments = {name: torch.randn(1, 2, 5, 4) for name in "qkv"}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        plain = {name: x.to(dtype) for name, x in arguments.items()}
        perform(_causal_flex, Call(plain))
    for setting in ("elsewhere", "scaled"):
        perform(_causal_flex, Call(arguments, setting=setting))
    with marked_kernels(lambda kernel, asked: asked["query"]):
        perform(_causal_flex, Call(arguments))


def _causal_flex(q: Tensor, k: Tensor, v: Tensor) -> Any:
    label = torch.zeros(q.shape[2], dtype=torch.int64, device=q.device)
    block_mask = flex.create_block_mask(
        lambda b, h, query, key: (query >= key) & (label[query] == label[key]),
        None,
        None,
        q.shape[2],
        q.shape[2],
        device=q.device,
    )
    return flex.flex_attention(q, k, v, block_mask=block_mask)


def _import_packages() -> None:
    """What learners' cells import at leisure; and a confined child has no folder that Matplotlib could write to."""
    with quiet():
        import einops  # noqa: F401
        import matplotlib.pyplot

        matplotlib.pyplot.switch_backend("agg")


def _touch_operations(x: Tensor) -> None:
    """Operations that learners use, each by itself."""
    square = torch.ones(4, 4, dtype=torch.bool)
    for operation in (
        lambda: (square.tril(), square.triu(1), ~square, square & square, square[None, :, None]),
        lambda: (x + x, x * 2, x / 2, x - x, x.exp(), x.amax(-1, keepdim=True), x.sum(-1), x.mean(-1)),
        lambda: (x @ x, torch.einsum("abij,abjk->abik", x, x), torch.bmm(x[0], x[0])),
        lambda: (x.softmax(-1), F.softmax(x, dim=-1, dtype=torch.float32)),
        lambda: (x.masked_fill(square, 0.0), torch.where(square, x, x), x.clone().masked_fill_(square, 0.0)),
        lambda: (x.transpose(1, 2).reshape(2, 4, 12), x.permute(0, 2, 1, 3).contiguous(), x.flatten(2), x.view(-1)),
        lambda: (torch.zeros_like(x), torch.full((2,), 0.0), torch.arange(4)),
        lambda: (torch.cat([x, x]), torch.stack([x, x]), x.chunk(2, -1), x.float(), x.to(torch.float32)),
        lambda: (torch.nan_to_num(x), F.pad(x, (0, 1)), x.expand(2, 3, 4, 4)),
        lambda: F.scaled_dot_product_attention(x, x, x),
        lambda: F.scaled_dot_product_attention(x, x, x, attn_mask=square),
        lambda: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    ):
        with contextlib.suppress(RuntimeError, NotImplementedError):
            operation()


# ---- one submission --------------------------------------------------------------------------------------------------


_HERE = "where notebooks are graded"


def serve_submission(reader: IO[bytes], writer: IO[bytes], device: str, confined: bool) -> None:
    """Load one submission, perform the calls, and send the outcomes as they come."""
    request, _ = frames.receive(reader)
    header, tensors = frames.receive(reader)
    calls = codec.decode_calls(header, tensors, device)
    denied = Denied() if confined else None

    def before(index: int) -> None:
        frames.send(writer, {"type": "cell", "index": index})

    notes, function = load(request["cells"], request["function"], request["name"], _HERE, before)
    found = {"notes": summed_up(notes, request["cells"]), "raised": list(notes), "found": callable(function)}
    frames.send(writer, {"type": "loaded", "denied": _lines(denied), **found})
    if not callable(function):
        return

    def service(kernel: str, arguments: dict[str, Any]) -> Tensor:
        sent = {name: value for name, value in arguments.items() if isinstance(value, Tensor)}
        plain = {name: value for name, value in arguments.items() if not isinstance(value, Tensor)}
        frames.send(writer, {"type": "kernel", "kernel": kernel, "arguments": plain}, sent)
        answer, result = frames.receive(reader)
        if "refused" in answer:
            raise RuntimeError(answer["refused"])
        return result["result"].to(device)

    for index, call in enumerate(calls):
        frames.send(writer, {"type": "call", "index": index})
        if call.setting == "short of memory":
            frames.receive(reader)  # "go": the runner has set the limit
        call = _Kept.of(call)
        outcome = _perform(function, call, service)
        try:
            frame = frames.encode(*codec.outcome_frame(index, outcome, device, call.kept))
        except Exception as error:  # an output that has no bytes to send, such as a sparse tensor
            frame = frames.encode(*codec.outcome_frame(index, Outcome(failure=failure_of(error)), device))
        writer.write(frame)
        writer.flush()
    frames.send(writer, {"type": "done", "denied": _lines(denied)})


def _lines(denied: Denied | None) -> list[str]:
    return [] if denied is None else denied.lines()


@dataclass(frozen=True, eq=False)
class _Kept(Call):
    """A call that keeps the arguments that it is made with."""

    kept: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, call: Call) -> _Kept:
        return cls(**vars(call))

    def fresh_arguments(self) -> dict[str, Any]:
        self.kept.update(super().fresh_arguments())
        return dict(self.kept)


def _perform(function: Any, call: Call, service: Any) -> Outcome:
    try:
        if call.setting in ("marked", "unmarked"):
            _seed(call.arguments["q"].device)  # dropout, if any, is the same in both
            with marked_kernels(service):
                return perform(function, call)
        return perform(function, call)
    except (KeyboardInterrupt, GeneratorExit) as error:
        return Outcome(failure=failure_of(error))


def _seed(device: torch.device) -> None:
    """``torch.manual_seed``, which formats a stack trace for every kind of device that is not there, where needed."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(0)
    else:
        torch.manual_seed(0)


def provide_flash_attn() -> None:
    """Make ``import flash_attn`` work on any machine, as the contract promises.

    Where the real package is not in use, its names lead to the course's own function. The forms that do not count
    are there too: they give right numbers, and the judge sees that another kernel made them.
    """
    if flash.flash_route().name == "flash-attn":
        return
    from attention_grading.execution import flash_package

    package, interface = flash_package.build()
    sys.modules["flash_attn"] = package
    sys.modules["flash_attn.flash_attn_interface"] = interface


if __name__ == "__main__":
    main()
