"""What running one submission may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one process that runs a learner's code. A right function needs a tenth of a second and some megabytes.

    Attributes:
        seconds: Wall-clock time, all calls together.
        memory_bytes: Address space beyond what the warm process has already (confined processes only).
        open_files: File descriptors (confined processes only).
        threads: Threads. The kernel cannot count them for one process, so the judge does, ten times a second.
    """

    seconds: float = 30.0
    memory_bytes: int = 2 * 2**30
    open_files: int = 256
    threads: int = 256
