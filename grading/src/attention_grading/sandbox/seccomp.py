"""The filter of system calls: what a confined process may ask of the kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from attention_grading.sandbox.libc import PR_SET_SECCOMP, checked


@dataclass(frozen=True)
class Architecture:
    """How a processor's system calls are numbered: audit's name for it, and its column in the table."""

    audit: int
    column: int

    def number(self, name: str) -> int:
        """Number of a system call; -1 where this processor has none."""
        return _NUMBERS[name][self.column]


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}

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


def install_filter(libc: ctypes.CDLL) -> None:
    program = b"".join(_filter_program(ARCHITECTURES[platform.machine()], os.getpid()))
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    checked(libc.prctl(PR_SET_SECCOMP, 2, described, 0, 0))


def _filter_program(architecture: Architecture, pid: int) -> Iterator[bytes]:
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
