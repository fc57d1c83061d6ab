"""One call of a learner's function, described as data, and what came of it.

A check first plans its calls, then has them performed, then looks at the outcomes. The visible checks perform them in
the notebook; a grader may perform the very same calls in another process.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from attention_lab.checks.intermediates import Intermediates, Meter
from attention_lab.checks.pretended_device import PretendedDevice
from attention_lab.checks.scaled_kernels import ScaledKernels
from attention_lab.environment.not_yet import NotDefinedYet
from attention_lab.flex import uncompiled
from attention_lab.roles import as_called
from attention_lab.tracebacks import learners_line

Form = Literal["keyword", "positional", "without mask"]
Layout = Literal["contiguous", "sliced", "sequence first"]
Setting = Literal["plain", "math", "scaled", "elsewhere", "unmarked", "marked", "measured", "short of memory"]


@dataclass(frozen=True, eq=False)
class Call:
    """How to call the function once.

    Attributes:
        arguments: The function's arguments by role (see ``roles``), in the order of its signature.
        form: ``"keyword"``; ``"positional"``; ``"without mask"``: by position, the mask and what follows left away.
        layout: How ``q``, ``k`` and ``v`` lie in memory. ``"sliced"``: thirds of one wider tensor, as a fused
            projection gives them; ``"sequence first"``: a transposed view, as ``batch_first=False`` code gives it.
        setting: ``"plain"``; ``"math"``: under SDPA's MATH backend; ``"scaled"``: while fused kernels'
            results are scaled (see ``ScaledKernels``); ``"elsewhere"``: on a pretended second device;
            ``"marked"``: with the fused kernels' results marked; ``"unmarked"``: its counterpart, the same way with
            true results; ``"measured"``: while a meter follows the intermediates (see ``intermediates``);
            ``"short of memory"``: with little memory beside what is in use (the last and the two before it are the
            grader's affair and plain elsewhere).
        cotangent: Where given, ``(output * cotangent).sum()`` is differentiated, but for a measured call: that asks
            what the forward pass of training holds; shape of the output. No gradients are asked of caches.
    """

    arguments: dict[str, Any]
    form: Form = "keyword"
    layout: Layout = "contiguous"
    setting: Setting = "plain"
    cotangent: Tensor | None = None

    def on(self, device: str) -> Call:
        """The same call with its tensors on a device."""
        arguments = {
            name: value.to(device) if isinstance(value, Tensor) else value for name, value in self.arguments.items()
        }
        return replace(
            self, arguments=arguments, cotangent=None if self.cotangent is None else self.cotangent.to(device)
        )

    def fresh_arguments(self) -> dict[str, Any]:
        """Copies of the arguments in the asked layout, as the function takes them: no call can spoil the next."""
        fresh = {name: value.clone() if isinstance(value, Tensor) else value for name, value in self.arguments.items()}
        for name in ("q", "k", "v"):
            fresh[name] = _laid_out(fresh[name], self.layout)
        if self.cotangent is not None:
            for name in ("q", "k", "v"):
                fresh[name] = fresh[name].detach().requires_grad_()
        return as_called(fresh)


@dataclass(frozen=True)
class Failure:
    """An exception that the learner's code raised.

    Attributes:
        kind: Name of its class, such as ``RuntimeError``.
        text: Its message, first lines only.
        line: The learner's line that raised, as ``line 7: scores = q @ k``; empty where unknown.
    """

    kind: str
    text: str
    line: str = ""

    @property
    def is_stub(self) -> bool:
        """Whether the untouched stub raised it."""
        return self.kind == "NotImplementedError" and "Write your solution here" in self.text

    def __str__(self) -> str:
        where = f" ({self.line})" if self.line else ""
        return f"{self.kind}: {self.text}{where}" if self.text else f"{self.kind}{where}"


@dataclass
class Outcome:
    """What one call gave.

    Attributes:
        failure: The exception, if one was raised.
        returned: What kind of thing came back, in words: ``tensor``, ``tuple of 2``, ``None``, ``ndarray``.
        output: The output where it is a tensor with data, detached.
        shape: Shape of a returned tensor.
        dtype: Its dtype.
        device: Its device's type, such as ``cpu``.
        differentiable: Whether gradients flow back from the output (only known when a cotangent was given).
        gradients: Gradients of ``q``, ``k``, ``v`` by name; ``None`` for one that the output does not depend on.
        changed: Names of the arguments that the call modified.
        marks: The numbers of fused kernels' true results, each with the factor by which it was marked, in the order of
            the kernels' calls.
        intermediates: What a meter saw; ``None`` where none was set.
        keys: Most numbers in memory of a k or v that a scaled, marked or unmarked SDPA was given.
    """

    failure: Failure | None = None
    returned: str = "nothing"
    output: Tensor | None = None
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    device: str = ""
    differentiable: bool = True
    gradients: dict[str, Tensor | None] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    marks: tuple[tuple[float, float], ...] = ()
    intermediates: Intermediates | None = None
    keys: int = 0


def perform_on(device: str, function: Callable[..., Any], call: Call) -> Outcome:
    """Call the function once on a device, and bring the outcome to the CPU, where the checks look at it.

    Args:
        device: ``"cpu"``, or ``"cuda"`` where the function's kernel wants its inputs there.
        function: The learner's function.
        call: How to call it, with tensors on the CPU.

    Returns:
        The outcome; an output that is where its inputs were is called one on the CPU.
    """
    if device == "cpu":
        return perform(function, call)
    outcome = perform(function, call.on(device))
    if outcome.output is not None:
        outcome.output = outcome.output.cpu()
    if outcome.device == device:
        outcome.device = "cpu"
    outcome.gradients = {name: None if x is None else x.cpu() for name, x in outcome.gradients.items()}
    return outcome


def perform(function: Callable[..., Any], call: Call) -> Outcome:
    """Call the function once, quietly, and report what came of it; never raises an ``Exception`` of the function's.

    Args:
        function: The learner's function.
        call: How to call it.

    Returns:
        The outcome. What the function prints or warns is dropped.

    Raises:
        NotDefinedYet: There is no function yet.
    """
    arguments = call.fresh_arguments()
    outcome = Outcome()
    setting = _set(call.setting)
    if isinstance(setting, PretendedDevice):
        arguments = {
            name: setting.put(value.cpu()) if isinstance(value, Tensor) else value for name, value in arguments.items()
        }
    gradients = torch.enable_grad() if call.cotangent is not None else torch.no_grad()
    try:
        with quiet(), gradients, uncompiled(), setting:
            output = _apply(function, arguments, call.form)
            if isinstance(setting, Meter):
                outcome.intermediates = setting.seen()
            if isinstance(setting, ScaledKernels):
                outcome.keys = setting.keys
            _describe(output, outcome)
            if call.cotangent is not None and outcome.output is not None and call.setting != "measured":
                _differentiate(output, call.cotangent, arguments, outcome)
    except NotDefinedYet:
        raise  # there is nothing to check
    except (Exception, SystemExit) as error:
        outcome.failure = failure_of(error)
    if call.setting != "elsewhere":
        outcome.changed = tuple(
            name
            for name, value in as_called(call.arguments).items()
            if isinstance(value, Tensor) and not is_same(arguments[name].detach(), value)
        )
    return outcome


def _set(setting: Setting) -> AbstractContextManager[Any]:
    """What a call happens in."""
    if setting == "math":
        return sdpa_kernel(SDPBackend.MATH)
    if setting == "elsewhere":
        return PretendedDevice()
    if setting == "measured":
        return Meter()
    return ScaledKernels() if setting == "scaled" else contextlib.nullcontext()


def failure_of(error: BaseException) -> Failure:
    """Describe an exception by its class, its message and the learner's own line."""
    text = " ".join(str(error).split("\n")[:2]).strip()
    return Failure(type(error).__name__, text[:300], learners_line(error))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow prints, warnings and log records: nbgrader gives 0 to a cell that writes to stderr."""
    sink = _Sink()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings(), _no_logs():
        warnings.simplefilter("ignore")
        yield


class _Sink(io.TextIOBase):
    """Keeps nothing: a loop that prints for ever must not fill the memory."""

    def write(self, text: str, /) -> int:
        return len(text)


@contextlib.contextmanager
def _no_logs() -> Iterator[None]:
    before = logging.root.manager.disable
    if before >= logging.CRITICAL:  # each change clears a cache in every logger of the process
        yield
        return
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _apply(function: Callable[..., Any], arguments: dict[str, Any], form: Form) -> Any:
    if form == "keyword":
        return function(**arguments)
    end = list(arguments).index("mask") if form == "without mask" else None
    return function(*list(arguments.values())[:end])


def _describe(output: Any, outcome: Outcome) -> None:
    if isinstance(output, Tensor):
        outcome.returned = "tensor"
        outcome.shape, outcome.device = tuple(output.shape), output.device.type
        outcome.dtype = str(output.dtype).removeprefix("torch.")
        if output.device.type != "meta":
            outcome.output = output.detach()
    elif isinstance(output, tuple | list):
        outcome.returned = f"{type(output).__name__} of {len(output)}"
    else:
        outcome.returned = "None" if output is None else type(output).__name__


def _differentiate(output: Tensor, cotangent: Tensor, arguments: dict[str, Any], outcome: Outcome) -> None:
    if output.shape != cotangent.shape:
        return
    if not output.requires_grad:
        outcome.differentiable = False
        return
    # re-entrant checkpoints refuse torch.autograd.grad; backward(gradient) would import sympy, for a second
    (output * cotangent.to(output)).sum().backward()
    outcome.gradients = {name: arguments[name].grad for name in ("q", "k", "v")}


def _laid_out(x: Tensor, layout: Layout) -> Tensor:
    if layout == "sliced":
        width = x.shape[-1]
        return torch.cat([x, x, x], dim=-1)[..., width : 2 * width]
    if layout == "sequence first" and x.dim() == 3:
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    return x


def is_same(after: Tensor | None, before: Tensor) -> bool:
    """Whether an argument came back as it went; a NaN is the same as another."""
    if after is None or after.shape != before.shape or after.dtype != before.dtype:
        return False
    return torch.equal(after, before) or bool(((after == before) | ((after != after) & (before != before))).all())


def missing_outcome(reason: str) -> Outcome:
    """What stands for a call that was not performed, because the process ended before it."""
    return Outcome(failure=Failure("NotPerformed", reason))
