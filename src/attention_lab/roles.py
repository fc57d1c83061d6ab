"""Queries, keys and values by role, and as a function takes them.

The course's own code knows them as ``q``, ``k`` and ``v``, ``[..., tokens, width]``. A function with a cache takes keys
and values under other names and with their heads apart: ``k_cache`` and ``v_cache``,
``[batch, max_len, num_kv_heads, head_dim]``. Between the two stands this module alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# How a function with a cache calls its keys and values
CACHES = {"k": "k_cache", "v": "v_cache"}


def as_called(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by role, under the names and in the shapes that the function takes; tensors are views.

    Args:
        arguments: With ``q``, ``k`` and ``v``; ``cache_seqlens`` tells that keys and values come as caches.
    """
    if "cache_seqlens" not in arguments:
        return dict(arguments)
    head_dim: int = arguments["head_dim"]
    return {
        CACHES.get(name, name): value.unflatten(-1, (-1, head_dim)) if name in CACHES else value
        for name, value in arguments.items()
    }


def by_role(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The way back: arguments as a function takes them, with ``q``, ``k`` and ``v``."""
    roles = {name: role for role, name in CACHES.items()}
    return {roles.get(name, name): value.flatten(-2) if name in roles else value for name, value in arguments.items()}


def name_of(role: str, arguments: Mapping[str, Any]) -> str:
    """What the function itself calls ``q``, ``k`` or ``v``."""
    return CACHES.get(role, role) if "cache_seqlens" in arguments else role
