"""``flash_attn_varlen_func`` on any machine, by the best of three routes.

The real flash-attn where it can be imported and the GPU is Ampere or newer; PyTorch's own FlashAttention
(``torch.nn.attention.varlen``) on such a GPU without flash-attn; a stand-in in plain PyTorch everywhere else.
The route is chosen once, by trying.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Found:
    """What was found on this machine.

    Attributes:
        capability: Compute capability of the CUDA GPU, or ``None`` without one.
        flash_attn: The imported function, or the exception that its import raised.
        varlen_attn: PyTorch's function, or the exception that its import raised.
    """

    capability: tuple[int, int] | None
    flash_attn: Callable[..., Any] | Exception | None
    varlen_attn: Callable[..., Any] | Exception | None


def look() -> Found:
    """Look for a GPU and, only if there is one, for the two kernels."""
    if not torch.cuda.is_available():
        return Found(None, None, None)
    capability = torch.cuda.get_device_capability()
    if capability < AMPERE:
        return Found(capability, None, None)
    return Found(
        capability,
        _imported("flash_attn", "flash_attn_varlen_func"),
        _imported("torch.nn.attention.varlen", "varlen_attn"),
    )


def choose(found: Found) -> Route:
    """Choose the route for what was found."""
    stand_in = "flash_attn_varlen_func is the course's stand-in in plain PyTorch"
    same = "it takes and refuses what the real kernel does, only slower"
    if found.capability is None:
        reason = "there is no CUDA GPU"
        return Route("stand-in", reason, f"No CUDA GPU here: {stand_in}; {same}.")
    if found.capability < AMPERE:
        reason = f"the GPU has compute capability {_dotted(found.capability)}; flash-attn needs 8.0 (Ampere) or newer"
        return Route("stand-in", reason, f"This GPU is older than flash-attn supports: {stand_in}; {same}.")
    if callable(found.flash_attn):
        return Route("flash-attn", "flash-attn imports on this GPU", "flash_attn_varlen_func is the real flash-attn.")
    missing = _why(found.flash_attn)
    if callable(found.varlen_attn):
        return Route(
            "varlen_attn",
            f"flash-attn is not usable ({missing}); PyTorch brings its own FlashAttention",
            "flash_attn_varlen_func is PyTorch's own FlashAttention (varlen_attn), since flash-attn is not installed.",
        )
    return Route(
        "stand-in",
        f"flash-attn is not usable ({missing}), nor is PyTorch's varlen_attn ({_why(found.varlen_attn)})",
        f"No FlashAttention kernel is installed: {stand_in}; {same}.",
    )


def implementation(route: Route, found: Found) -> Callable[..., Any]:
    """The function behind a route; on the flash-attn route it is flash-attn's own function object."""
    if route.name == "flash-attn":
        return found.flash_attn
    if route.name == "varlen_attn":
        from attention_lab.flash_varlen_attn import adapt

        return adapt(found.varlen_attn)
    from attention_lab.flash_stand_in import flash_attn_varlen_stand_in

    return flash_attn_varlen_stand_in


def flash_route() -> Route:
    """Which route is in use, and why."""
    return _ROUTE


def _imported(module: str, name: str) -> Callable[..., Any] | Exception:
    # only the import itself tells: an installed package may lack its CUDA part
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        return error


def _why(found: Any) -> str:
    if isinstance(found, ModuleNotFoundError):
        return "not installed"
    return f"{type(found).__name__}: {str(found).splitlines()[0][:120] if str(found) else ''}".rstrip(": ")


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


_FOUND = look()
_ROUTE = choose(_FOUND)
flash_attn_varlen_func = implementation(_ROUTE, _FOUND)
