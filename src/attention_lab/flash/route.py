"""``flash_attn_varlen_func`` on any machine, by the best of three routes.

The real flash-attn where it runs (Ampere and newer); PyTorch's own FlashAttention (``torch.nn.attention.varlen``) on
such a GPU where flash-attn does not; a stand-in in plain PyTorch everywhere else.
The route is chosen at the first use, once, by trying: a kernel that can be imported may still fail on this GPU.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

RouteName = Literal["flash-attn", "varlen_attn", "stand-in"]

# Compute capability of Ampere, the oldest generation that FlashAttention 2 runs on (flash-attention's README)
AMPERE = (8, 0)


@dataclass(frozen=True)
class Route:
    """Which implementation stands behind ``flash_attn_varlen_func``.

    Attributes:
        name: ``flash-attn``, ``varlen_attn`` or ``stand-in``.
        reason: Why this one.
        sentence: The same for a learner, in one sentence.
    """

    name: RouteName
    reason: str
    sentence: str

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """Where its inputs have to be: the kernels run on the GPU alone, the stand-in anywhere."""
        return "cpu" if self.name == "stand-in" else "cuda"


@dataclass(frozen=True)
class Found:
    """What was found on this machine.

    Attributes:
        capability: Compute capability of the CUDA GPU, or ``None`` without one.
        flash_attn: The function, once it ran on this GPU, or the exception that stopped it.
        varlen_attn: PyTorch's function, likewise.
        gpu: The GPU's name.
    """

    capability: tuple[int, int] | None
    flash_attn: Callable[..., Any] | Exception | None
    varlen_attn: Callable[..., Any] | Exception | None
    gpu: str = "This GPU"


def look() -> Found:
    """Look for a GPU and, only if there is one, try the two kernels on it; the second only where the first fails."""
    if not torch.cuda.is_available():
        return Found(None, None, None)
    capability, gpu = torch.cuda.get_device_capability(), torch.cuda.get_device_name()
    if capability < AMPERE:
        return Found(capability, None, None, gpu)
    flash_attn = working(_flash_attn)
    varlen_attn = None if callable(flash_attn) else working(_varlen_attn, signature=_adapted)
    return Found(capability, flash_attn, varlen_attn, gpu)


def working(
    find: Callable[[], Callable[..., Any]],
    *,
    signature: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda kernel: kernel,
    device: str = "cuda",
) -> Callable[..., Any] | Exception:
    """Import a kernel and try it on a single token; returns it, or the exception that stopped it.

    Args:
        find: Imports the kernel.
        signature: Gives it flash-attn's signature, for the trial.
        device: Where to try it.
    """
    # only a trial tells: a package may lack its CUDA part, and a kernel may have been built for another GPU
    try:
        kernel = find()
        token = torch.linspace(-1, 1, 64, dtype=torch.bfloat16, device=device).view(1, 1, 64)
        borders = torch.tensor([0, 1], dtype=torch.int32, device=device)
        output = signature(kernel)(token, token, token, borders, borders, 1, 1)
        if not torch.equal(output, token):  # waits for the kernel; one token sees itself alone
            raise RuntimeError("it returns wrong numbers on this GPU")
    except Exception as error:
        return error
    return kernel


def choose(found: Found) -> Route:
    """Choose the route for what was found."""
    stand_in = "flash_attn_varlen_func is the course's stand-in in plain PyTorch"
    same = "it takes the same calls as the real kernel, checks them more strictly, and is slower"
    if found.capability is None:
        reason = "there is no CUDA GPU"
        return Route("stand-in", reason, f"No CUDA GPU here: {stand_in}; {same}.")
    if found.capability < AMPERE:
        reason = f"the GPU has compute capability {_dotted(found.capability)}; flash-attn needs 8.0 (Ampere) or newer"
        old = f"{found.gpu} is too old for FlashAttention, which needs Ampere or newer (in Colab, an L4 or A100)"
        return Route("stand-in", reason, f"{old}: {stand_in}; {same}.")
    if callable(found.flash_attn):
        return Route("flash-attn", "flash-attn runs on this GPU", "flash_attn_varlen_func is the real flash-attn.")
    missing = f"flash-attn is not usable ({_why(found.flash_attn)})"
    is_missing = _is_missing(found.flash_attn)
    if callable(found.varlen_attn):
        since = "is not installed" if is_missing else "does not run here (`attention-lab doctor` says why)"
        sentence = f"flash_attn_varlen_func is PyTorch's own FlashAttention (varlen_attn), since flash-attn {since}."
        return Route("varlen_attn", f"{missing}; PyTorch brings its own FlashAttention", sentence)
    return Route(
        "stand-in",
        f"{missing}, nor is PyTorch's varlen_attn ({_why(found.varlen_attn)})",
        f"No FlashAttention kernel runs here (`attention-lab doctor` says why): {stand_in}; {same}.",
    )


def implementation(route: Route, found: Found) -> Callable[..., Any]:
    """The function behind a route; on the flash-attn route it is flash-attn's own function object."""
    if route.name == "flash-attn":
        return _ran(found.flash_attn)
    if route.name == "varlen_attn":
        return _adapted(_ran(found.varlen_attn))
    from attention_lab.flash.stand_in import flash_attn_varlen_stand_in

    return flash_attn_varlen_stand_in


def _ran(kernel: Callable[..., Any] | Exception | None) -> Callable[..., Any]:
    assert callable(kernel), "a route is chosen only where its kernel ran"
    return kernel


def flash_route() -> Route:
    """Which route is in use, and why."""
    return _chosen()[0]


def __getattr__(name: str) -> Any:
    # at the first use and not at import: whoever imports the kit for other things wakes no GPU
    if name == "flash_attn_varlen_func":
        return _chosen()[1]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _chosen() -> tuple[Route, Callable[..., Any]]:
    found = look()
    route = choose(found)
    return route, implementation(route, found)


def _flash_attn() -> Callable[..., Any]:
    kernel: Callable[..., Any] = importlib.import_module("flash_attn").flash_attn_varlen_func
    return kernel


def _varlen_attn() -> Callable[..., Any]:
    kernel: Callable[..., Any] = importlib.import_module("torch.nn.attention.varlen").varlen_attn
    return kernel


def _adapted(varlen_attn: Callable[..., Any]) -> Callable[..., Any]:
    from attention_lab.flash.varlen_attn import adapt

    return adapt(varlen_attn)


def _is_missing(found: Any) -> bool:
    # a package that is there and lacks one of its own needs raises the same error, with another name
    return isinstance(found, ModuleNotFoundError) and found.name in ("flash_attn", "torch.nn.attention.varlen")


def _why(found: Any) -> str:
    if _is_missing(found):
        return "not installed"
    return f"{type(found).__name__}: {str(found).splitlines()[0][:120] if str(found) else ''}".rstrip(": ")


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
