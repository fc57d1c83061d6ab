"""The versions that the course is tested with."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.places import ROOT


@cache
def constraints() -> dict[str, set[str]]:
    """Versions of each package in ``constraints.txt``: several where Python's version or the system decides."""
    versions = defaultdict(set)
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            versions[canonicalize_name(requirement.name)].add(pin.version)
    return dict(versions)
