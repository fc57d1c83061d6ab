"""Confine a freshly forked process, so that the code it runs next can harm nobody. Linux only.

Landlock takes away files and the network, seccomp takes away system calls, rlimits bound memory and time. Everything
acts on the calling thread and what it starts, so ``Confinement.apply`` comes right after the fork, before any thread.
The ruleset is made once, in the warm process; applying it costs about a millisecond.

Sources: the kernel's documentation, ``userspace-api/landlock.rst`` and ``userspace-api/seccomp_filter.rst``.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attention_grading.sandbox.libc import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, checked, load_libc
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.seccomp import ARCHITECTURES, install_filter

UNCONFINED = (
    "Learners' code runs WITHOUT CONFINEMENT: it can read, change and send away whatever this account may. "
    "Its verdicts stay apart from it, but a hostile submission can harm this machine and other students."
)


class ConfinementUnavailable(RuntimeError):
    """This platform cannot confine a process; the message says what is missing and what to do."""


def landlock_abi() -> int:
    """Version of Landlock that the kernel offers; 0 where it offers none."""
    if sys.platform != "linux":
        return 0
    abi: int = load_libc().syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(0, abi)


# Landlock before version 4 cannot keep a process from the network, before 6 from others' signals and abstract sockets;
# seccomp does both here too, so that files are what Landlock is needed for (version 3: truncation)
NEEDED_ABI = 3


def require_available() -> None:
    """Raise where this platform cannot confine a process.

    Raises:
        ConfinementUnavailable: With what is missing.
    """
    if sys.platform != "linux":
        raise ConfinementUnavailable(f"confinement needs Linux; this is {platform.system()}. {_WAYS_OUT}")
    if platform.machine() not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise ConfinementUnavailable(f"confinement knows {known}; this is {platform.machine()}. {_WAYS_OUT}")
    if (abi := landlock_abi()) < NEEDED_ABI:
        raise ConfinementUnavailable(
            f"confinement needs Landlock version {NEEDED_ABI} (Linux 6.2 with Landlock switched on); "
            f"this kernel ({platform.release()}) offers {abi or 'none'}. {_WAYS_OUT}"
        )


_WAYS_OUT = (
    "Grade on a newer Linux or, for code that you trust, say --allow-unconfined "
    "(c.JudgingRules.allow_unconfined = True in nbgrader_config.py)"
)


class Confinement:
    """What a child may do, prepared once.

    Args:
        limits: Memory, time and files.
        readable: Files and folders that may be read beside the Python installation's.

    Attributes:
        descriptor: File descriptor of the ruleset; a child must have it open until it applies it.

    Raises:
        ConfinementUnavailable: The platform cannot confine.
    """

    def __init__(self, limits: Limits, readable: Iterable[Path] = ()):
        require_available()
        self._limits = limits
        self._libc = load_libc()
        self.descriptor = _make_ruleset(self._libc, (*readable_paths(), *readable))

    def apply(self) -> None:
        """Confine this process for good. Call it right after the fork.

        Raises:
            OSError: The kernel refused a step; the process is then not confined and must not go on.
        """
        parent = os.getppid()
        checked(self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() != parent:
            os._exit(1)  # the parent died in between: nobody waits for this process
        checked(self._libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        checked(self._libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        _offer_to_the_oom_killer()
        _set_limits(self._limits)
        _drop_capabilities(self._libc)
        checked(self._libc.syscall(_LANDLOCK_RESTRICT_SELF, self.descriptor, ctypes.c_uint32(0)))
        os.close(self.descriptor)
        install_filter(self._libc)


# ---- what may be read ------------------------------------------------------------------------------------------------


def readable_paths() -> Iterator[Path]:
    """Files and folders that any worker needs: the interpreter, and its packages without the grading package.

    Landlock cannot leave a subfolder out of an allowed folder, so folders that may hold the grading package are
    allowed entry by entry.
    """
    for folder in _package_folders():
        yield from (entry for entry in _entries(folder) if not _is_grading(entry))
    for stdlib in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        yield from (entry for entry in _entries(Path(stdlib)) if not entry.name.endswith("-packages"))
    for folder in _library_folders():
        yield from (entry for entry in _entries(folder) if not entry.name.startswith("python"))
    for name in _SYSTEM_FILES:
        yield Path(name)


_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/dev/zero",
    "/dev/null",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)


def _library_folders() -> set[Path]:
    """Folders of shared libraries. Below python… there may be packages, the grading package among them."""
    prefixes = {Path(prefix) for prefix in ("/", "/usr", "/usr/local", sys.base_prefix, sys.base_exec_prefix)}
    return {(prefix / name).resolve() for prefix in prefixes for name in ("lib", "lib64")}


def _package_folders() -> set[Path]:
    return {Path(entry) for entry in sys.path if Path(entry).name.endswith("-packages")}


def _is_grading(entry: Path) -> bool:
    """The grading package, its metadata, and whatever may name the course's folders."""
    return (
        "attention_grading" in entry.name or "attention-grading" in entry.name or entry.suffix in (".pth", ".egg-link")
    )


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


# ---- Landlock --------------------------------------------------------------------------------------------------------


_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_FS_READ_FILE, _FS_READ_DIR, _FS_WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
# number of file-system rights by version; all that the kernel knows are taken away
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_RIGHTS = 0b11  # bind and connect TCP, since version 4
_SCOPES = 0b11  # abstract UNIX sockets and signals, since version 6


def _make_ruleset(libc: ctypes.CDLL, readable: Sequence[Path]) -> int:
    abi = landlock_abi()
    rights = (1 << _FS_RIGHTS[min(abi, 5)]) - 1
    attributes = struct.pack("QQQ", rights, _NET_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = checked(libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)))
    for path in readable:
        allowed = _FS_READ_FILE | (_FS_READ_DIR if path.is_dir() else 0)
        _allow(libc, ruleset, path, allowed | (_FS_WRITE_FILE if str(path) == os.devnull else 0))
    return ruleset


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, allowed: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine
    try:
        rule = struct.pack("=Qi", allowed, descriptor)
        checked(libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, ctypes.c_uint32(0)))
    finally:
        os.close(descriptor)


# ---- limits and capabilities -----------------------------------------------------------------------------------------

_CAPABILITY_VERSION = 0x20080522


def _offer_to_the_oom_killer() -> None:
    """Where the machine's memory runs out all the same, this process goes first."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _set_limits(limits: Limits) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + limits.memory_bytes
    processor = math.ceil(limits.seconds) + 1  # several threads use it up before the wall clock does
    for what, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        grace = 1 if what == resource.RLIMIT_CPU else 0  # SIGXCPU comes first and says why, SIGKILL a second later
        ceiling = resource.getrlimit(what)[1]
        hard = value + grace if ceiling == resource.RLIM_INFINITY else min(value + grace, ceiling)
        resource.setrlimit(what, (min(value, hard), hard))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root without capabilities is a user like others."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    checked(libc.syscall(ARCHITECTURES[platform.machine()].number("capset"), header, bytes(24)))
