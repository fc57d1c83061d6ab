"""Which of its kernels SDPA takes on this GPU, and what each takes: ``python benchmarks/sdpa_backend.py``.

``F.scaled_dot_product_attention`` is a choice among kernels. At the sizes of ``benchmarks/kernels.py`` this prints the
choice, which kernels could have been chosen, the names of the CUDA kernels that ran, and the time of each, forced by
``sdpa_kernel``. ``varlen_attn`` is timed where PyTorch brings it; flash-attn is not asked.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from kernels import HIDDEN_DIM, PADDED_SEQ, SEQUENCES, TOKENS, timed

CAN_USE = {
    SDPBackend.FLASH_ATTENTION: cuda.can_use_flash_attention,
    SDPBackend.EFFICIENT_ATTENTION: cuda.can_use_efficient_attention,
    SDPBackend.CUDNN_ATTENTION: cuda.can_use_cudnn_attention,
}
SHORT = {
    SDPBackend.MATH: "math",
    SDPBackend.FLASH_ATTENTION: "flash",
    SDPBackend.EFFICIENT_ATTENTION: "efficient",
    SDPBackend.CUDNN_ATTENTION: "cudnn",
}


@dataclass(frozen=True)
class Setting:
    """A call of SDPA on ``[batch, num_heads, seq, head_dim]`` in bf16.

    Attributes:
        seq: Length of the sequences; there are ``TOKENS // seq``.
        head_dim: Size of one head; hidden_dim stays the same.
        causal: Whether query i sees only keys j <= i.
        padded: Whether half of the keys are masked out as padding.
    """

    seq: int
    head_dim: int
    causal: bool
    padded: bool = False

    @property
    def kind(self) -> str:
        return (
            f"{self.head_dim:>4} {'causal' if self.causal else 'bidirectional':<13} {'mask' if self.padded else '-':<4}"
        )


def settings() -> Iterator[Setting]:
    """The sizes that were recorded for lesson L1, the padded ones last."""
    for head_dim, causal, seq in product((128, 64), (False, True), SEQUENCES):
        yield Setting(seq, head_dim, causal)
    for causal in (False, True):
        yield Setting(PADDED_SEQ, 128, causal, padded=True)


def inputs_of(setting: Setting) -> tuple[list[Tensor], dict[str, object]]:
    """q, k, v as a learner's function hands them over, and the arguments that follow."""
    batch, heads = TOKENS // setting.seq, HIDDEN_DIM // setting.head_dim
    torch.manual_seed(0)
    shape = (batch, setting.seq, heads, setting.head_dim)
    qkv = [torch.randn(shape, dtype=torch.bfloat16, device="cuda").transpose(1, 2) for _ in range(3)]
    if not setting.padded:
        return qkv, {"is_causal": setting.causal}
    lengths = torch.linspace(1, setting.seq, batch, device="cuda").round()
    mask = (torch.arange(setting.seq, device="cuda") < lengths[:, None])[:, None, None, :]
    if setting.causal:
        mask = mask & torch.ones(setting.seq, setting.seq, dtype=torch.bool, device="cuda").tril()
    return qkv, {"attn_mask": mask}


def attend(qkv: list[Tensor], how: dict[str, object], cotangent: Tensor | None) -> None:
    """One call, and the way back where there is a cotangent."""
    output = F.scaled_dot_product_attention(*qkv, **how)
    if cotangent is not None:
        torch.autograd.grad(output, qkv, cotangent)


def chosen(qkv: list[Tensor], how: dict[str, object]) -> str:
    """The kernel that SDPA says it takes."""
    choice = torch._fused_sdp_choice(*qkv, how.get("attn_mask"), 0.0, how.get("is_causal", False))
    return SHORT.get(SDPBackend(choice), str(choice))


def possible(qkv: list[Tensor], how: dict[str, object]) -> str:
    """The fused kernels that could be taken."""
    params = cuda.SDPAParams(*qkv, how.get("attn_mask"), 0.0, how.get("is_causal", False), False)
    return "+".join(SHORT[backend] for backend, can_use in CAN_USE.items() if can_use(params, False)) or "none"


def kernels_run(run: Callable[[], None]) -> list[str]:
    """The CUDA kernels that a call runs, those that take the longest first."""
    run()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        run()
        torch.cuda.synchronize()
    on_gpu = [event for event in profiled.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA]
    return [event.key for event in sorted(on_gpu, key=lambda event: -event.self_device_time_total)]


def note(names: dict[str, list[str]], what: str, run: Callable[[], None]) -> None:
    """Look once at each kind of call."""
    if what in names:
        return
    try:
        names[what] = kernels_run(run)
    except RuntimeError as error:
        names[what] = [f"none: {str(error).splitlines()[0]}"]


def time_or_reason(run: Callable[[], None], reasons: set[str], name: str) -> str:
    """The time as text, or a dash, with what the kernel said kept in ``reasons``."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            return f"{timed(run)['ms']:.3f}"
        except (RuntimeError, torch.OutOfMemoryError) as error:
            torch.cuda.empty_cache()
            words = [str(warning.message) for warning in said] or [str(error)]
            reasons.update(f"{name}: {line.splitlines()[0][:200]}" for line in words)
            return "-"


def varlen(setting: Setting, qkv: list[Tensor], backward: bool) -> Callable[[], None] | None:
    """The same tokens through PyTorch's ``varlen_attn``, or ``None`` where there is none."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    takes_window = "window_size" in inspect.signature(varlen_attn).parameters
    how = {"window_size": (-1, 0 if setting.causal else -1)} if takes_window else {"is_causal": setting.causal}
    packed = [x.detach().transpose(1, 2).flatten(0, 1).requires_grad_(backward) for x in qkv]
    borders = torch.arange(0, TOKENS + 1, setting.seq, dtype=torch.int32, device="cuda")
    cotangent = torch.randn_like(packed[0]) if backward else None

    def run() -> None:
        output = varlen_attn(*packed, borders, borders, setting.seq, setting.seq, **how)
        if cotangent is not None:
            torch.autograd.grad(output, packed, cotangent)

    return run


def report(setting: Setting, backward: bool, reasons: set[str], names: dict[str, list[str]]) -> str:
    """A line of the table."""
    qkv, how = inputs_of(setting)
    qkv = [x.requires_grad_(backward) for x in qkv]
    cotangent = torch.randn_like(qkv[0]) if backward else None

    def run() -> None:
        attend(qkv, how, cotangent)

    choice, could = chosen(qkv, how), possible(qkv, how)
    way = "fwd+bwd" if backward else "fwd"
    note(names, f"SDPA's choice {choice}, {way}, {setting.kind}", run)
    times = [time_or_reason(run, reasons, "default")]
    for backend, short in SHORT.items():
        if backend == SDPBackend.MATH and setting.seq > PADDED_SEQ:
            times.append("")  # tens of gigabytes
            continue
        with sdpa_kernel(backend):
            times.append(time_or_reason(run, reasons, f"{short}, {setting.kind}"))
    packed = None if setting.padded else varlen(setting, qkv, backward)
    if packed is not None:
        note(names, f"varlen_attn, {way}, {setting.kind}", packed)
        times.append(time_or_reason(packed, reasons, "varlen_attn"))
    return f"{setting.seq:>6} {setting.kind} {way:<8} {choice:<10} {could:<22}" + "".join(
        f"{time:>10}" for time in times
    )


def main() -> int:
    """Print the table; returns 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no CUDA GPU here.")
        return 2
    print(f"{torch.cuda.get_device_name()}, compute capability {torch.cuda.get_device_capability()}")
    print(f"torch {torch.__version__}, cuda {torch.version.cuda}, cudnn {torch.backends.cudnn.version()}")
    for name in ("flash", "mem_efficient", "cudnn", "math"):
        print(f"{name}_sdp_enabled: {getattr(cuda, f'{name}_sdp_enabled')()}", end="; ")
    order = getattr(torch._C, "_get_sdp_priority_order", list)()
    print("\npriority:", ", ".join(SHORT.get(SDPBackend(number), str(number)) for number in order))
    implementation = getattr(torch.nn.attention, "current_flash_attention_impl", lambda: "unknown")()
    print("flash implementation:", implementation or "PyTorch's own")
    print(f"bf16, {TOKENS} tokens, hidden_dim {HIDDEN_DIM}; milliseconds, medians\n")
    columns = ("default", *SHORT.values(), "varlen")
    print(
        f"{'seq':>6} {'dim':>4} {'kind':<13} {'mask':<4} {'pass':<8} {'chosen':<10} {'possible':<22}"
        + "".join(f"{name:>10}" for name in columns)
    )
    reasons: set[str] = set()
    names: dict[str, list[str]] = {}
    for backward, setting in product((False, True), settings()):
        print(report(setting, backward, reasons, names), flush=True)
        torch.cuda.empty_cache()
    print("\nCUDA kernels, the one that takes longest first:")
    for what, ran in names.items():
        print(f"- {what}:")
        for name in ran[:4]:
            print(f"    {re.sub(r'[(]anonymous namespace[)]::', '', name)[:180]}")
    print("\nWhy a kernel was not taken:")
    print("\n".join(f"- {reason}" for reason in sorted(reasons)) or "- none")
    return 0


if __name__ == "__main__":
    sys.exit(main())
