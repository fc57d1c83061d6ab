"""Code that takes more than its share: time, memory, processes, threads, output, files."""

from __future__ import annotations

from catalogue.entry import RIGHT, Place, submission

TIME = "did not finish within"
LEFT_OUT = "left out"


@submission("resources", RIGHT, says=LEFT_OUT, shows=LEFT_OUT)
def loops_in_a_cell(p: Place) -> None:
    p.solve(p.right).before("while True: pass\n")


@submission("resources", 0, says=TIME, shows=TIME)
def loops_in_the_function(p: Place) -> None:
    p.solve(f"def {p.function}(*a, **k):\n    while True: pass\n")


@submission("resources", 0, says=TIME, shows=TIME)
def sleeps(p: Place) -> None:
    p.solve(f"import time\ndef {p.function}(*a, **k): time.sleep(1000)\n")


@submission("resources", 0, says=TIME, shows=TIME)
def waits_for_itself(p: Place) -> None:
    p.solve(f"import threading\nlock = threading.Lock()\ndef {p.function}(*a, **k): lock.acquire(); lock.acquire()\n")


@submission("resources", 0, says="used up its processor time|did not finish", shows="processor time|did not finish")
def burns_with_many_threads(p: Place) -> None:
    p.solve(
        "import threading\nbig = torch.rand(1500, 1500)\n"
        "def burn():\n    while True: big @ big\n"
        f"def {p.function}(*a, **k):\n    [threading.Thread(target=burn).start() for _ in range(4)]; burn()\n"
    )


@submission("resources", 0, says=TIME)
def catches_its_own_end(p: Place) -> None:
    p.solve(
        f"def {p.function}(*a, **k):\n"
        "    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n"
    ).before("import signal\n[signal.signal(n, lambda *a: None) for n in (1, 2, 3, 10, 12, 14, 15, 24)]\n")


@submission("resources", 0, shows=r"a submission may use \d+ MB")
def takes_memory_in_the_function(p: Place) -> None:
    p.solve(f"def {p.function}(*a, **k): return [bytearray(2**28) for _ in range(100)]\n")


@submission("resources", 0, shows=r"a submission may use \d+ MB")
def takes_memory_by_tensors(p: Place) -> None:
    p.solve(f"def {p.function}(*a, **k): return torch.ones(2**34)\n")


@submission("resources", RIGHT, says=r"MemoryError.*a submission may use \d+ MB")
def takes_memory_in_a_cell(p: Place) -> None:
    p.solve(p.right).before("hoard = bytearray(2**36)\n")


@submission("resources", RIGHT, says="PermissionError|Operation not permitted")
def forks_for_ever(p: Place) -> None:
    p.solve(p.right).before("import os\nwhile True: os.fork()\n")


@submission("resources", RIGHT)
def starts_programs(p: Place) -> None:
    p.solve(p.right).before(
        "import os, subprocess\n"
        "for start in (lambda: subprocess.run(['/bin/sh', '-c', 'true'], check=True), lambda: os.posix_spawn('/bin/true', ['true'], {}),\n"
        "              lambda: os.execv('/bin/true', ['true']), lambda: os.popen('true').close() and 1 / 0):\n"
        "    try: start(); print('REACHED')\n"
        "    except (OSError, ZeroDivisionError): pass\n"
        "if os.system('true') == 0: print('REACHED')\n"
    )


@submission("resources", RIGHT, says=LEFT_OUT, shows=LEFT_OUT)
def starts_threads_for_ever(p: Place) -> None:
    p.solve(p.right).before(
        "import threading, time\nthreading.stack_size(32768)\n"
        "while True: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n"
    )


@submission("resources", RIGHT, shows="Output was cut")
def prints_a_flood(p: Place) -> None:
    p.solve(p.right).before("for _ in range(2000): print('x' * 10_000)\n")


@submission("resources", RIGHT, says=LEFT_OUT)
def prints_for_ever(p: Place) -> None:
    p.solve(p.right).before("import time\nwhile True: print('x' * 1000); time.sleep(0.001)\n")


@submission("resources", RIGHT)
def raises_a_hundred_megabytes(p: Place) -> None:
    p.solve(p.right).before("raise ValueError('x' * 100_000_000)\n")


@submission("resources", 0)
def raises_megabytes_in_the_function(p: Place) -> None:
    p.solve(f"def {p.function}(*a, **k): raise ValueError('x\\n' * 1_000_000)\n")


@submission("resources", RIGHT)
def draws_a_picture_of_gigabytes(p: Place) -> None:
    p.solve(p.right).after("import matplotlib.pyplot as plt\nplt.figure(figsize=(600, 600)); plt.plot([1, 2])\n")


@submission("resources", RIGHT, shows="Output was cut")
def draws_hundreds_of_pictures(p: Place) -> None:
    p.solve(p.right).after(
        "import base64\nfrom IPython.display import display\n"
        "png = base64.b64encode(b'\\x89PNG\\r\\n\\x1a\\n\\x00\\x00\\x00\\rIHDR' + (8).to_bytes(4, 'big') * 2 + b'\\x08\\x00' * 9).decode()\n"
        "for _ in range(300): display({'image/png': png}, raw=True)\n"
    )


@submission("resources", RIGHT)
def raises_thousands_of_errors(p: Place) -> None:
    p.solve(p.right).after(
        "for _ in range(3000):\n    try: 1 / 0\n    except ZeroDivisionError: get_ipython().showtraceback()\n"
    )


@submission("resources", 0)
def recurses_for_ever(p: Place) -> None:
    p.solve(f"def {p.function}(*a, **k): return {p.function}(*a, **k)\n")


@submission("resources", 0, says="SIGSEGV|did not finish|exited|RecursionError|MemoryError|no answer")
def recurses_through_the_stack(p: Place) -> None:
    p.solve(
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "class Deep:\n    def __repr__(self): return repr(self)\n"
        f"def {p.function}(*a, **k): return repr(Deep())\n"
    )


@submission("resources", RIGHT)
def opens_files_for_ever(p: Place) -> None:
    p.solve(p.right).before("import os\nwhile True: os.open('/dev/null', os.O_RDONLY)\n")


@submission("resources", RIGHT)
def writes_thousands_of_files(p: Place) -> None:
    p.solve(p.right).before(
        "for folder in ('.', '/tmp', '/dev/shm', '/var/tmp', '/run'):\n"
        "    for number in range(1000):\n"
        "        try: open(f'{folder}/left-{number}', 'w').write('x'); print('REACHED')\n"
        "        except OSError: pass\n"
    )


@submission("resources", 0, says="more than 500000 are not read", shows="are not read")
def is_a_program_of_forty_megabytes(p: Place) -> None:
    """Parsing it takes minutes and gigabytes, and so does a page that shows it."""
    p.solve(p.right + "\nx = (" + "1," * 20_000_000 + ")\n")


@submission("resources", 0, says="did not finish|processor time|threads", shows="did not finish|processor time|threads")
def spins_in_native_threads(p: Place) -> None:
    """Sixty threads that hold no lock of Python's: the honest students before and after must not starve."""
    p.solve(
        "import threading\nbig = torch.rand(600, 600)\n"
        "def burn():\n    while True: big @ big\n"
        f"def {p.function}(*a, **k):\n    [threading.Thread(target=burn, daemon=True).start() for _ in range(60)]; burn()\n"
    )


@submission("resources", 0, shows="PermissionError|not permitted")
def kills_itself_as_the_kernel_would(p: Place) -> None:
    """SIGKILL without a limit that was hit means that somebody outside did it: nobody else may send it."""
    p.solve(
        "import ctypes, os, resource, signal, threading\nlibc = ctypes.CDLL(None)\n"
        f"def {p.function}(*a, **k):\n"
        "    for end in (lambda: os.kill(os.getpid(), 9), lambda: signal.raise_signal(9), lambda: signal.pthread_kill(threading.get_ident(), 9),\n"
        "                lambda: os.killpg(0, 9), lambda: libc.syscall(200, os.getpid(), 9), lambda: libc.syscall(234, os.getpid(), os.getpid(), 9),\n"
        "                lambda: libc.timer_create(0, b'\\0' * 8 + (9).to_bytes(4, 'little') + b'\\0' * 60, ctypes.create_string_buffer(8)) and 1 / 0,\n"
        "                lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)), lambda: resource.prlimit(0, resource.RLIMIT_CPU, (1, 1))):\n"
        "        try: end()\n        except (OSError, ValueError, ZeroDivisionError): pass\n"
        "    os.kill(os.getpid(), 9)\n"
    )


# Writes a frame of its own to the channel, as the kernel hooks do
ASKS = """
import gc, io, json, os, sys
def ask(kernel, arguments, tensors):
    frames = sys.modules["attention_grading.execution.frames"]
    writer = next(x for x in gc.get_objects() if isinstance(x, io.BufferedWriter) and x.name > 2)
    reader = next(x for x in gc.get_objects() if isinstance(x, io.BufferedReader) and x.name > 2)
    frames.send(writer, {"type": "kernel", "kernel": kernel, "arguments": arguments}, tensors)
    return frames.receive(reader)
"""


@submission("resources", RIGHT)
def spends_the_judges_memory_by_an_empty_axis(p: Place) -> None:
    p.solve(
        p.right.replace(p.function, "right_one") + ASKS + "empty = torch.empty(10**8, 0, 8, dtype=torch.bfloat16)\n"
        "borders = torch.tensor([0, 10**8], dtype=torch.int32)\n"
        f"def {p.function}(*a, **k):\n"
        "    ask('flash', {'max_seqlen_q': 10**8, 'max_seqlen_k': 10**8}, {'q': empty, 'k': empty, 'v': empty, 'cu_seqlens_q': borders, 'cu_seqlens_k': borders})\n"
        "    return right_one(*a, **k)\n"
    )


@submission("resources", RIGHT)
def spends_the_judges_memory_by_grouped_heads(p: Place) -> None:
    p.solve(
        p.right.replace(p.function, "right_one")
        + ASKS
        + "few, many, asked = torch.zeros(1, 1, 2, 1), torch.zeros(10**7, 1, 1, 1), []\n"
        f"def {p.function}(*a, **k):\n"
        "    asked or asked.append(1) or ask('sdpa', {'enable_gqa': True}, {'query': few, 'key': many, 'value': many})\n"
        "    return right_one(*a, **k)\n"
    )


@submission("resources", RIGHT)
def asks_for_an_unknown_kernel(p: Place) -> None:
    p.solve(
        p.right.replace(p.function, "right_one") + ASKS + f"def {p.function}(*a, **k):\n"
        "    ask('__class__', {}, {'output': torch.ones(3)}); ask('other', {}, {}); ask(['sdpa'], {'q': 1}, {})\n"
        "    return right_one(*a, **k)\n"
    )
