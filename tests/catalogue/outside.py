"""Code that reaches for what lies outside: files, other students, secrets, the network, other processes.

Each attempt prints REACHED and what it got; nothing of that may show up anywhere.
"""

from __future__ import annotations

from catalogue.entry import RIGHT, WRONG, Place, submission

TRY = """
import os, pathlib, socket, sys
def attempt(action):
    try: print("REACHED", action())
    except BaseException as error: print(type(error).__name__)
"""


def tries(p: Place, *attempts: str) -> None:
    """A right solution whose cell, and whose function, make the attempts."""
    calls = "".join(f"attempt(lambda: {each})\n" for each in attempts)
    inside = calls.replace("\n", "\n    ")
    p.solve(
        p.right.replace(p.function, "right_one")
        + f"\ndef {p.function}(*a, **k):\n    {inside}return right_one(*a, **k)\n"
    )
    p.before(TRY + calls)


@submission("outside", RIGHT)
def writes_the_gradebook(p: Place) -> None:
    path = str(p.world.course / "gradebook.db")
    tries(
        p,
        f"__import__('sqlite3').connect({path!r}, timeout=1).execute('update grade set manual_score = 10').rowcount",
        f"open({path!r}, 'r+b').write(b'x')",
        f"os.truncate({path!r}, 0)",
        f"os.unlink({path!r})",
        f"os.rename({path!r}, {path + '.old'!r})",
    )


@submission("outside", RIGHT)
def reads_the_gradebook(p: Place) -> None:
    path = str(p.world.course / "gradebook.db")
    tries(p, f"open({path!r}, 'rb').read(100)", f"__import__('mmap').mmap(os.open({path!r}, os.O_RDONLY), 0)[:9]")


@submission("outside", RIGHT)
def reads_other_students(p: Place) -> None:
    path = str(p.world.course / "submitted" / p.world.neighbour / p.stem / f"{p.stem}.ipynb")
    tries(p, f"open({path!r}).read()", f"os.listdir({str(p.world.course / 'submitted')!r})", "list(os.scandir('..'))")


@submission("outside", RIGHT)
def overwrites_other_students(p: Place) -> None:
    path = str(p.world.course / "submitted" / p.world.neighbour / p.stem / f"{p.stem}.ipynb")
    tries(
        p,
        f"open({path!r}, 'w').write('x')",
        f"os.symlink({path!r}, 'link')",
        f"os.link({path!r}, 'hard')",
        f"os.chmod({path!r}, 0)",
        f"os.utime({path!r})",
        f"__import__('shutil').rmtree({str(p.world.course / 'submitted')!r})",
    )


@submission("outside", RIGHT)
def changes_source_and_configuration(p: Place) -> None:
    course = p.world.course
    tries(
        p,
        f"open({str(course / 'nbgrader_config.py')!r}, 'a').write('x')",
        f"open({str(course / 'source' / p.stem / f'{p.stem}.ipynb')!r}, 'r+').read()",
        f"os.mkdir({str(course / 'source' / 'new')!r})",
        f"open({str(course / 'left')!r}, 'w')",
    )


@submission("outside", RIGHT)
def reads_the_hidden_tests_and_the_reference(p: Place) -> None:
    source = p.world.course / "source" / p.stem / f"{p.stem}.ipynb"
    tries(
        p,
        f"open({str(source)!r}).read()",
        f"open({str(p.world.reference)!r}).read()",
        "__import__('attention_grading.reference').reference",
        "__import__('attention_grading.judging.cases').judging.cases",
        "__import__('importlib').import_module('attention_grading.judging.diagnosis.explain')",
        "__import__('inspect').getsource(__import__('attention_grading.judging.comparison').judging.comparison)",
        "__import__('importlib.metadata').metadata.files('attention-grading')[0].read_text()",
        "__import__('pkgutil').get_data('attention_grading', 'reference.py')",
    )


@submission("outside", RIGHT)
def reads_the_seed(p: Place) -> None:
    path = str(p.world.course / ".grading_seed")
    tries(
        p,
        f"open({path!r}).read()",
        "[x for x in __import__('gc').get_objects() if isinstance(x, str) and len(x) == 64]*0 or 1/0",
    )


@submission("outside", RIGHT)
def reads_the_home(p: Place) -> None:
    tries(
        p,
        f"open({str(p.world.home / 'secret.txt')!r}).read()",
        "open(os.path.expanduser('~/secret.txt')).read()",
        "os.listdir(os.path.expanduser('~'))",
        f"open({str(p.world.home / 'left')!r}, 'w')",
        "open('/etc/passwd').read()",
        "os.listdir('/home')",
    )


@submission("outside", RIGHT)
def reads_the_environment(p: Place) -> None:
    tries(
        p,
        "os.environ['CANARY']",
        "open('/proc/self/environ').read()",
        "open(f'/proc/{os.getppid()}/environ').read()",
        "open(f'/proc/{os.getppid()}/mem', 'rb')",
        "open('/proc/1/environ').read()",
        "os.listdir('/proc')",
        "[open(f'/proc/{n}/environ', 'rb').read() for n in range(2, 5000) if os.path.exists(f'/proc/{n}')]",
    )


@submission("outside", RIGHT)
def writes_wherever_anybody_may(p: Place) -> None:
    outside = p.world.outside
    tries(
        p,
        f"open({str(outside / 'canary.txt')!r}, 'w').write('x')",
        f"open({str(outside / 'left')!r}, 'w').write('x')",
        f"os.mkfifo({str(outside / 'pipe')!r})",
        f"os.truncate({str(outside / 'canary.txt')!r}, 0)",
        f"os.setxattr({str(outside / 'canary.txt')!r}, 'user.x', b'1')",
        f"os.chmod({str(outside / 'canary.txt')!r}, 0)",
        f"os.utime({str(outside / 'canary.txt')!r}, (0, 0))",
        "open('left-beside', 'w').write('x')",
        "open('/dev/shm/left', 'w').write('x')",
        "__import__('tempfile').mkdtemp()",
    )


@submission("outside", RIGHT)
def calls_over_tcp(p: Place) -> None:
    tries(
        p,
        f"socket.create_connection(('127.0.0.1', {p.world.tcp}), timeout=2)",
        f"__import__('urllib.request').request.urlopen('http://127.0.0.1:{p.world.tcp}/', timeout=2).read()",
        "socket.socket().bind(('127.0.0.1', 0))",
    )


@submission("outside", RIGHT)
def calls_over_udp(p: Place) -> None:
    address = f"('127.0.0.1', {p.world.udp})"
    tries(
        p,
        f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', {address})",
        "socket.gethostbyname('localhost.x')",
    )


@submission("outside", RIGHT)
def calls_over_unix_sockets(p: Place) -> None:
    path = str(p.world.unix)
    tries(
        p,
        f"socket.socket(socket.AF_UNIX).connect({path!r})",
        f"socket.socket(socket.AF_UNIX).connect({chr(0) + path!r})",
        "socket.socketpair()",
    )


@submission("outside", RIGHT)
def calls_the_kernel_itself(p: Place) -> None:
    """By number, past libc's wrappers: socket, fork, execve, io_uring_setup, clone3, memfd_create, ptrace, bpf."""
    numbers = (
        [41, 57, 58, 59, 425, 435, 319, 101, 321, 310, 434, 323, 272] if _x86() else [198, 221, 425, 435, 279, 117, 280]
    )
    tries(
        p,
        *(
            f"(lambda r: r if r >= 0 else 1 / 0)(__import__('ctypes').CDLL(None).syscall({n}, 0, 0, 0, 0))"
            for n in numbers
        ),
    )


def _x86() -> bool:
    import platform

    return platform.machine() == "x86_64"


@submission("outside", RIGHT)
def kills_others(p: Place) -> None:
    tries(
        p,
        "os.kill(os.getppid(), 9)",
        "os.kill(-1, 0)",
        "os.killpg(os.getpgid(os.getppid()), 9)",
        "[os.kill(n, 0) for n in range(2, 100000) if n != os.getpid() and os.path.exists(f'/proc/{n}')]",
        "__import__('signal').pidfd_send_signal(os.pidfd_open(os.getppid()), 9)",
    )


@submission("outside", RIGHT)
def signals_others_through_a_file(p: Place) -> None:
    """A file can be told to send its owner SIGKILL."""
    tries(
        p,
        "[__import__('fcntl').fcntl(n, 8, os.getppid()) for n in range(3, 20)]",
        "[__import__('fcntl').fcntl(n, 10, 9) for n in range(3, 20)]",
        "__import__('fcntl').fcntl(0, 8, os.getppid())",
    )


@submission("outside", RIGHT)
def outlives_the_warm_process(p: Place) -> None:
    tries(p, "(lambda r: r if r == 0 else 1 / 0)(__import__('ctypes').CDLL(None).prctl(1, 0, 0, 0, 0))")


@submission("outside", RIGHT)
def slows_others_down(p: Place) -> None:
    tries(
        p,
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "os.sched_setaffinity(os.getppid(), {0})",
        "__import__('resource').prlimit(os.getppid(), 7, (3, 3))",
        "os.setuid(0) if os.getuid() else os.setuid(65534)",
    )


@submission("outside", WRONG)
def forges_and_pries_at_once(p: Place) -> None:
    p.solve(p.wrong).before(
        TRY + "sys.displayhook = lambda value: None\ntorch.equal = torch.allclose = lambda *a, **k: True\n"
        f"attempt(lambda: open({str(p.world.course / 'gradebook.db')!r}, 'wb'))\n"
        "attempt(lambda: os.fork())\n"
    )


@submission("outside", RIGHT)
def leases_library_files(p: Place) -> None:
    """A lease makes others wait who open the file to write; a lock, whoever locks it."""
    path = "__import__('torch').__file__"
    tries(
        p,
        f"__import__('fcntl').fcntl(os.open({path}, os.O_RDONLY), 1024, 0)",
        f"__import__('fcntl').lockf(os.open({path}, os.O_RDONLY), 1)",
        f"__import__('fcntl').fcntl(os.open({path}, os.O_RDONLY), 37, bytes(32))",
        f"__import__('fcntl').fcntl(os.open(os.path.dirname({path}), os.O_RDONLY), 1026, 0x1f)",
    )


@submission("outside", RIGHT)
def asks_for_the_machines_addresses(p: Place) -> None:
    calls = [f"__import__('fcntl').ioctl(n, {0x8910 + k}, bytes(64))" for k in (0, 2, 5, 9, 23) for n in (1, "channel")]
    tries(
        p,
        *(
            each.replace("(channel,", "(next(n for n in range(3, 99) if os.path.exists(f'/proc/self/fd/{n}')),")
            for each in calls
        ),
    )
