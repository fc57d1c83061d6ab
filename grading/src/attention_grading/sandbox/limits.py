"""What running one submission may use, and how much of what it shows is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Limits:
    """Limits of one process that runs a learner's code. A right function needs a tenth of a second and some megabytes.

    Attributes:
        seconds: Wall-clock time, all calls together; and processor time, all threads together (confined processes
            only), so that many threads do not take from others what one could not.
        memory_bytes: Address space beyond what the warm process has already (confined processes only).
        open_files: File descriptors (confined processes only).
        threads: Threads. The kernel cannot count them for one process, so the judge does, ten times a second.
        cell_seconds: Wall-clock time of one cell that runs before the function is called.
        polite_after: Seconds after which others come first: the process then runs only where nobody else wants to.
    """

    seconds: float = 30.0
    memory_bytes: int = 2 * 2**30
    open_files: int = 256
    threads: int = 64
    cell_seconds: float = 5.0
    polite_after: float = 3.0


@dataclass(frozen=True)
class OutputLimits:
    """How much of a notebook's outputs is kept.

    Attributes:
        characters: Of text, all cells together.
        pictures: Number of PNGs.
        picture_bytes: Size of one PNG.
    """

    characters: int = 40_000
    pictures: int = 30
    picture_bytes: int = 2_000_000


# What a judge needs beyond what it has, while it talks with a submission: frames of 256 MB and their tensors at most
CONVERSATION_BYTES = 2**30


def limit_address_space(pid: int, allowed: int) -> None:
    """Let a process map no more from now on, for good; does nothing where the system cannot."""
    if hasattr(resource, "prlimit"):
        resource.prlimit(pid, resource.RLIMIT_AS, (allowed, allowed))


@contextlib.contextmanager
def memory_ceiling(more: int = CONVERSATION_BYTES) -> Iterator[None]:
    """Let this process take so much more memory and no further while the block runs; then allocations fail.

    What the judge computes on a submission's request ends there as an error, which costs the submission. Only Linux
    counts it.

    Args:
        more: Bytes of address space beyond those in use.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = pages * resource.getpagesize() + more
    if before not in (resource.RLIM_INFINITY, -1):
        ceiling = min(ceiling, before)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))
