"""Confine a freshly forked process, so that the code it runs next can harm nobody. Linux only.

Landlock takes away files and the network, seccomp takes away system calls, rlimits bound memory and time. Everything
acts on the calling thread and what it starts, so ``Confinement.apply`` comes right after the fork, before any thread.
The ruleset is made once, in the warm process; applying it costs about a millisecond.

Sources: the kernel's documentation, ``userspace-api/landlock.rst`` and ``userspace-api/seccomp_filter.rst``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
import platform
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import attention_lab
from attention_grading.limits import Limits


class ConfinementUnavailable(RuntimeError):
    """This platform cannot confine a process; the message says what is missing and what to do."""


def landlock_abi() -> int:
    """Version of Landlock that the kernel offers; 0 where it offers none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


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
    if platform.machine() not in _ARCHITECTURES:
        known = " and ".join(_ARCHITECTURES)
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
        readable: Files and folders that may be read; those of the Python installation by default.

    Attributes:
        descriptor: File descriptor of the ruleset; a child must have it open until it applies it.

    Raises:
        ConfinementUnavailable: The platform cannot confine.
    """

    def __init__(self, limits: Limits, readable: Iterable[Path] | None = None):
        require_available()
        self._limits = limits
        self._libc = _libc()
        self.descriptor = _make_ruleset(self._libc, tuple(readable_paths() if readable is None else readable))

    def apply(self) -> None:
        """Confine this process for good. Call it right after the fork.

        Raises:
            OSError: The kernel refused a step; the process is then not confined and must not go on.
        """
        parent = os.getppid()
        _check(self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() != parent:
            os._exit(1)  # the parent died in between: nobody waits for this process
        _check(self._libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _check(self._libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
        _offer_to_the_oom_killer()
        _set_limits(self._limits)
        _drop_capabilities(self._libc)
        _check(self._libc.syscall(_LANDLOCK_RESTRICT_SELF, self.descriptor, ctypes.c_uint32(0)))
        os.close(self.descriptor)
        _install_filter(self._libc)


# ---- what may be read ------------------------------------------------------------------------------------------------


def readable_paths() -> Iterator[Path]:
    """Files and folders that a worker needs: the interpreter, its packages without the grading package, the kit.

    Landlock cannot leave a subfolder out of an allowed folder, so folders that may hold the grading package are
    allowed entry by entry.
    """
    for folder in _package_folders():
        yield from (entry for entry in _entries(folder) if not _is_grading(entry))
    for stdlib in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        yield from (entry for entry in _entries(Path(stdlib)) if not entry.name.endswith("-packages"))
    for folder in _library_folders():
        yield from (entry for entry in _entries(folder) if not entry.name.startswith("python"))
    yield Path(attention_lab.__file__).parent
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
    ruleset = _check(libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)))
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
        _check(libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, ctypes.c_uint32(0)))
    finally:
        os.close(descriptor)


# ---- limits and capabilities -----------------------------------------------------------------------------------------

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
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
    _check(libc.syscall(_ARCHITECTURES[platform.machine()].number("capset"), header, bytes(24)))


# ---- seccomp ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Architecture:
    """How a processor's system calls are numbered: audit's name for it, and its column in the table."""

    audit: int
    column: int

    def number(self, name: str) -> int:
        """Number of a system call; -1 where this processor has none."""
        return _NUMBERS[name][self.column]


_ARCHITECTURES = {"x86_64": _Architecture(0xC000003E, 0), "aarch64": _Architecture(0xC00000B7, 1)}

# System calls that are refused outright: numbers on x86_64 and aarch64 (-1: does not exist there)
_REFUSED: dict[str, tuple[int, int]] = {
    # other processes
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "setpgid": (109, 154),
    # ends that look as if somebody else had brought them: a timer can send SIGKILL, and so can a limit of one's own
    "timer_create": (222, 107),
    "setrlimit": (160, 164),
    "process_mrelease": (448, 448),
    # sockets; a message can carry descriptors, and one in flight keeps a channel open after its sender's end
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "recvmsg": (47, 212),
    "recvmmsg": (299, 243),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # memory that others share
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # file attributes, which Landlock does not cover
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "utimensat": (280, 88),
    "futimesat": (261, -1),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "flock": (73, 32),
    # watching what others do with files
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # the machine
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "personality": (135, 92),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "mount_setattr": (442, 442),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "syslog": (103, 116),
    "acct": (163, 89),
    "memfd_create": (319, 279),
    # identities
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
}
# Allowed where each of these holds: a word of the arguments (two each, the lower half first) is one of the values, or
# is none of them. _OWN stands for the process's own number
_OWN = -1
_Condition = tuple[int, str, tuple[int, ...]]
_CONDITIONS: dict[str, tuple[_Condition, ...]] = {
    # this process alone, and never by SIGKILL: where no limit was hit, that says that somebody outside did it
    "kill": ((0, "is", (_OWN,)), (2, "is not", (9,))),
    "tgkill": ((0, "is", (_OWN, 0)), (4, "is not", (9,))),
    "sched_setaffinity": ((0, "is", (_OWN, 0)),),
    "sched_setscheduler": ((0, "is", (_OWN, 0)),),
    "sched_setparam": ((0, "is", (_OWN, 0)),),
    "sched_setattr": ((0, "is", (_OWN, 0)),),
    # to ask, not to set: the pointer to new limits must be null
    "prlimit64": ((0, "is", (_OWN, 0)), (4, "is", (0,)), (5, "is", (0,))),
    # outliving the warm process, or lying about which one it is to those who look: PR_SET_PDEATHSIG, PR_SET_DUMPABLE
    "prctl": ((0, "is not", (1, 4)),),
    # What Python itself asks of its own files. The rest of both calls sends signals to owners of files, leases and
    # locks other people's files, and reads the machine's network
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
    "fcntl": ((2, "is", (0, 1, 2, 3, 4, 1030)),),
    # TCGETS, TIOCGWINSZ (is it a terminal?), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
    "ioctl": ((2, "is", (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),),
}
_OTHERS: dict[str, tuple[int, int]] = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "capset": (126, 91),
    "prctl": (157, 167),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
_NUMBERS = _REFUSED | _OTHERS

_CLONE_THREAD = 0x00010000
_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_SET, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x05, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE, _OFFSET_ARGUMENTS = 0, 4, 16
_X32 = 0x40000000  # x86_64's second way to call the kernel


def _install_filter(libc: ctypes.CDLL) -> None:
    program = b"".join(_filter_program(_ARCHITECTURES[platform.machine()], os.getpid()))
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _check(libc.prctl(_PR_SET_SECCOMP, 2, described, 0, 0))


def _filter_program(architecture: _Architecture, pid: int) -> Iterator[bytes]:
    """Classic BPF: everything is allowed but what is named."""

    def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    def refuse(number: int) -> bytes:
        return instruction(_RETURN, _ERRNO | number)

    def tested(word: int, relation: str, values: tuple[int, ...]) -> Iterator[bytes]:
        """Refuse where the condition does not hold, else run into what follows."""
        yield instruction(_LOAD, _OFFSET_ARGUMENTS + 4 * word)
        for place, value in enumerate(values):
            yield instruction(_JUMP_EQUAL, pid if value == _OWN else value, len(values) - place, 0)
        if relation == "is not":  # what is equal jumps to the refusal behind this
            yield instruction(_JUMP, 1)
        yield refuse(errno.EPERM)

    yield instruction(_LOAD, _OFFSET_ARCHITECTURE)
    yield instruction(_JUMP_EQUAL, architecture.audit, 1, 0)
    yield instruction(_RETURN, _KILL)
    yield instruction(_LOAD, _OFFSET_NUMBER)
    if architecture.column == 0:
        yield instruction(_JUMP_GREATER_EQUAL, _X32, 0, 1)
        yield instruction(_RETURN, _KILL)
    for name in _REFUSED:
        if (number := architecture.number(name)) >= 0:
            yield instruction(_JUMP_EQUAL, number, 0, 1)
            # a socket that is not supported is handled by programs; one that is forbidden aborts some
            yield refuse(errno.EOPNOTSUPP if name == "socket" else errno.EPERM)
    yield instruction(_JUMP_EQUAL, architecture.number("clone3"), 0, 1)
    yield refuse(errno.ENOSYS)  # glibc then falls back to clone, whose flags can be read here
    yield instruction(_JUMP_EQUAL, architecture.number("clone"), 0, 4)
    yield instruction(_LOAD, _OFFSET_ARGUMENTS)
    yield instruction(_JUMP_SET, _CLONE_THREAD, 0, 1)
    yield instruction(_RETURN, _ALLOW)
    yield refuse(errno.EPERM)
    for name, conditions in _CONDITIONS.items():
        block = [part for condition in conditions for part in tested(*condition)]
        yield instruction(_JUMP_EQUAL, architecture.number(name), 0, len(block) + 1)
        yield from block
        yield instruction(_RETURN, _ALLOW)
    yield instruction(_RETURN, _ALLOW)


# ---- C -------------------------------------------------------------------------------------------------------------


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"confinement failed: {os.strerror(number)}")
    return result
