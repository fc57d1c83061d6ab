"""``attention-lab doctor``: what is there, which flash route will be used and why, and what to do about problems.

Works without torch: that is when it is needed most.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from types import ModuleType

from attention_lab.environment.packages import OLDEST, OLDEST_PYTHON, look_at, python_version, version_of

# Packages that no graded notebook needs: what each is for
OPTIONAL = {
    "jupyterlab": "where notebooks are opened; Colab and VS Code bring their own",
    "ipywidgets": "lesson L2, the mask explorer",
    "flash-attn": "the real kernel of notebooks 05 and 06; wants an NVIDIA GPU, Ampere or newer",
    "attention-grading": "lets `attention-lab check` run the hidden checks too",
}


@dataclass(frozen=True)
class Report:
    """What the doctor found.

    Attributes:
        rows: Name and finding, to be read as a table.
        problems: What keeps a graded notebook from running, each with what to do.
        notes: What is worth knowing, and keeps nothing from running.
    """

    rows: dict[str, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def doctor() -> int:
    """Print the report; returns 0 when all notebooks can be worked on here, else 1."""
    report = examine()
    width = max(map(len, report.rows))
    for name, finding in report.rows.items():
        print(f"{name:<{width}}  {finding}")
    for note in report.notes:
        print(f"\n{note}")
    if not report.problems:
        print("\nAll notebooks can be worked on here.")
        return 0
    print("\nWhat to do:")
    for number, problem in enumerate(report.problems, start=1):
        print(f"{number}. {problem}")
    return 1


def examine() -> Report:
    """Look at Python, the packages, the device and the flash route."""
    rows = {"python": f"{python_version()} ({sys.executable})"}
    problems: list[str] = []
    notes: list[str] = []
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        problems.append(f"Python {python_version()} is too old. Make an environment with Python {wanted} or newer.")
    for name in OLDEST:
        package = look_at(name)
        rows[name] = package.version or "not installed"
        if package.problem:
            target = notes if name in OPTIONAL else problems
            use = f" Without it you miss {OPTIONAL[name]}." if name in OPTIONAL else ""
            target.append(f"{package.problem}{use} {package.remedy}")
    for name, use in OPTIONAL.items():
        rows.setdefault(name, version_of(name) or f"not installed ({use})")
    try:
        import torch
    except ImportError:
        rows["device"] = rows["flash route"] = "not known before torch can be imported"
        return Report(rows, tuple(problems), tuple(notes))
    rows["device"] = _device(torch)
    notes += _unused_gpu(torch)
    # these import torch, which is known to be there only now
    from attention_lab.environment.flash_wheel import this_machine, to_install
    from attention_lab.flash import flash_route

    rows |= {"flash route": flash_route().name, "why": flash_route().reason}
    rows["to install"] = to_install(flash_route().name, this_machine(torch))
    notes.append(flash_route().sentence)
    problems += _first_flash_call()
    return Report(rows, tuple(problems), tuple(notes))


def _device(torch: ModuleType) -> str:
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    return "cpu: no CUDA GPU; all notebooks run without one"


def _unused_gpu(torch: ModuleType) -> list[str]:
    """A note where NVIDIA's driver is here and PyTorch cannot use it."""
    if torch.cuda.is_available() or shutil.which("nvidia-smi") is None:
        return []
    reason = "is a build without CUDA" if torch.version.cuda is None else "finds no GPU that it can use"
    return [
        f"NVIDIA's driver is installed, but torch {torch.__version__} {reason}. The CPU is enough for this course; "
        "for the GPU, install a build that fits the driver: https://pytorch.org/get-started/locally"
    ]


def _first_flash_call() -> list[str]:
    """What is wrong where a call on the chosen flash route fails."""
    from attention_lab.environment.welcome import device_name
    from attention_lab.flash import flash_attn_varlen_func, flash_route
    from attention_lab.inputs import packed_batch

    toy = packed_batch(device=device_name())
    tokens = [x.unflatten(-1, (toy.num_heads, toy.head_dim)) for x in (toy.q, toy.k, toy.v)]
    try:
        flash_attn_varlen_func(*tokens, toy.cu_seqlens, toy.cu_seqlens, toy.max_seqlen, toy.max_seqlen)
    except Exception as error:
        words = (str(error).strip().splitlines() or [""])[0][:200]
        return [
            f"The flash route {flash_route().name} fails on its first call ({type(error).__name__}: {words}). "
            "Install flash-attn afresh for this torch and CUDA, or uninstall it: PyTorch's own kernel is used then."
        ]
    return []
