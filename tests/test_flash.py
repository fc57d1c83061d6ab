"""The three flash routes, chosen for faked machines; the real kernels are asked in ``tests/gpu``."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from attention_grading.judging.cases import flat_calls, plan
from attention_grading.judging.in_kernel import perform_here
from attention_grading.judging.seed import PUBLIC_SEED
from attention_grading.judging.session import Session
from attention_grading.judging.verdict import judge_outcomes
from attention_grading.sandbox.processes import WorkerFailed, worker_environment
from attention_lab import flash
from attention_lab.checks.calls import Call, perform_on
from attention_lab.compare import functions, measure
from attention_lab.flash import varlen_attn as flash_varlen_attn
from attention_lab.flash.route import Found, choose, implementation, working
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in
from attention_lab.inputs import running_sum
from attention_lab.variants import get_variant

MISSING = ModuleNotFoundError("No module named 'flash_attn'", name="flash_attn")
NO_VARLEN = ModuleNotFoundError("No module named 'torch.nn.attention.varlen'", name="torch.nn.attention.varlen")


def packed(head_dim: int = 8, heads: int = 2, kv_heads: int = 2, dtype: torch.dtype = torch.bfloat16) -> dict:
    generator = torch.Generator().manual_seed(0)
    lengths = [3, 6, 1]
    sizes = {"q": heads, "k": kv_heads, "v": kv_heads}
    draw = {name: torch.randn(10, size, head_dim, generator=generator) for name, size in sizes.items()}
    borders = {name: running_sum(lengths) for name in ("cu_seqlens_q", "cu_seqlens_k")}
    return {name: x.to(dtype) for name, x in draw.items()} | borders | {"max_seqlen_q": 6, "max_seqlen_k": 6}


# ---- the choice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "route", "words"),
    [
        (Found(None, None, None), "stand-in", "No CUDA GPU here"),  # a laptop, Apple's GPUs included
        (Found((7, 5), None, None, "Tesla T4"), "stand-in", "Tesla T4 is too old"),
        (Found((8, 0), MISSING, print), "varlen_attn", "flash-attn is not installed"),
        (Found((9, 0), ImportError("undefined symbol: x"), print), "varlen_attn", "does not run here"),
        (Found((9, 0), ModuleNotFoundError("einops", name="einops"), print), "varlen_attn", "does not run here"),
        (Found((9, 0), RuntimeError("no kernel image"), NO_VARLEN), "stand-in", "No FlashAttention kernel runs here"),
        (Found((9, 0), print, None), "flash-attn", "the real flash-attn"),
    ],
)
def test_each_machine_gets_a_route_and_one_sentence(found, route, words):
    chosen = choose(found)
    assert chosen.name == route
    assert words in chosen.sentence
    assert chosen.sentence.endswith(".")
    assert "\n" not in chosen.sentence
    assert chosen.device == ("cpu" if route == "stand-in" else "cuda")
    assert callable(implementation(chosen, found))


def test_reason_names_what_stopped_a_broken_flash_attn():
    assert "undefined symbol: x" in choose(Found((9, 0), ImportError("undefined symbol: x"), print)).reason
    assert "not installed" in choose(Found((9, 0), MISSING, print)).reason


def test_flash_attn_route_is_its_own_function_object():
    found = Found((9, 0), print, None)
    assert implementation(choose(found), found) is print


def test_kernel_that_imports_is_tried_before_it_is_taken():
    def launch_fails(*arguments):
        raise RuntimeError("no kernel image is available for execution on the device")

    def wrong(q, *arguments):
        return q + 1

    assert "no kernel image" in str(working(lambda: launch_fails, device="cpu"))
    assert "wrong numbers" in str(working(lambda: wrong, device="cpu"))
    assert working(lambda: flash_attn_varlen_stand_in, device="cpu") is flash_attn_varlen_stand_in
    assert isinstance(working(lambda: (_ for _ in ()).throw(MISSING), device="cpu"), ModuleNotFoundError)


def test_importing_the_kit_wakes_no_gpu():
    code = "import attention_lab, attention_lab.flash.route as f; print(f._chosen.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


# ---- PyTorch's kernel behind the signature ---------------------------------------------------------------------------


class AuxRequest(NamedTuple):
    lse: bool = False


def _varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, return_aux):
    if query.shape[-1] % 8 or any(x.stride(-1) != 1 for x in (query, key, value)):
        raise RuntimeError("as the kernel says")
    output, lse, _ = flash_attn_varlen_stand_in(
        query,
        key,
        value,
        cu_seq_q,
        cu_seq_k,
        max_q,
        max_k,
        softmax_scale=scale,
        window_size=window_size,
        return_attn_probs=True,
    )
    return (output, lse) if return_aux is not None and return_aux.lse else output


def varlen_2_10(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None):
    window = (-1, 0 if is_causal else -1)
    borders = (cu_seq_q, cu_seq_k, max_q, max_k)
    return _varlen(query, key, value, *borders, scale=None, window_size=window, return_aux=return_aux)


def varlen_2_11(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)
):
    borders = (cu_seq_q, cu_seq_k, max_q, max_k)
    return _varlen(query, key, value, *borders, scale=scale, window_size=window_size, return_aux=return_aux)


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(flash_varlen_attn, "_require_gpu", lambda q: None)


@pytest.mark.parametrize("varlen_attn", [varlen_2_10, varlen_2_11])
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ({}, {}),
        ({}, {"causal": True}),
        ({}, {"window_size": (-1, 0)}),
        ({"head_dim": 20}, {"causal": True}),
        ({"head_dim": 20}, {"softmax_scale": 0.7}),
        ({"heads": 4, "kv_heads": 2}, {"deterministic": True}),
        ({"head_dim": 12}, {"return_attn_probs": True}),
    ],
)
def test_adapter_gives_the_stand_ins_numbers(on_cpu, varlen_attn, sizes, options):
    arguments = packed(**sizes) | options
    got, expected = flash_varlen_attn.adapt(varlen_attn)(**arguments), flash_attn_varlen_stand_in(**arguments)
    for ours, theirs in zip(*((x if isinstance(x, tuple) else (x,)) for x in (got, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)


def test_adapter_takes_gaps_and_no_tokens(on_cpu):
    adapted = flash_varlen_attn.adapt(varlen_2_11)
    arguments = packed()
    gaps = {name: torch.stack([arguments[name]] * 2, dim=-1).flatten(-2)[..., ::2] for name in "qkv"}
    assert torch.equal(adapted(**arguments | gaps), adapted(**arguments))
    none = {name: arguments[name][:0] for name in "qkv"}
    none |= {"cu_seqlens_q": running_sum([0]), "cu_seqlens_k": running_sum([0]), "max_seqlen_q": 0, "max_seqlen_k": 0}
    assert adapted(**arguments | none).shape == (0, 2, 8)


@pytest.mark.parametrize(
    ("varlen_attn", "option"),
    [
        (varlen_2_11, {"dropout_p": 0.1}),
        (varlen_2_11, {"softcap": 2.0}),
        (varlen_2_11, {"alibi_slopes": torch.ones(2)}),
        (varlen_2_11, {"block_table": torch.ones(1, 1)}),
        (varlen_2_10, {"window_size": (3, -1)}),
    ],
)
def test_adapter_refuses_by_name_what_the_kernel_lacks(on_cpu, varlen_attn, option):
    with pytest.raises(NotImplementedError, match=next(iter(option))):
        flash_varlen_attn.adapt(varlen_attn)(**packed() | option)


def test_adapter_says_where_its_inputs_have_to_be():
    with pytest.raises(RuntimeError, match=r"runs on the GPU alone, got q on cpu.*device=.cuda."):
        flash_varlen_attn.adapt(varlen_2_11)(**packed())


# ---- checks and judge where a kernel runs on the GPU -----------------------------------------------------------------


def test_call_is_performed_on_the_routes_device_and_looked_at_on_the_cpu():
    seen = []

    def function(**arguments):
        seen.extend(x.device.type for x in arguments.values())
        return arguments["q"] + 0

    x = torch.zeros(3, 16)
    call = Call({"q": x, "k": x, "v": x, "cu_seqlens": running_sum([3])}, setting="meta", cotangent=x)
    moved = call.on("meta")
    assert {tensor.device.type for tensor in (*moved.arguments.values(), moved.cotangent)} == {"meta"}
    outcome = perform_on("meta", function, call)
    assert (outcome.failure, outcome.device, seen) == (None, "cpu", ["meta"] * 4)


def test_worker_on_the_cpu_sees_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert worker_environment()["CUDA_VISIBLE_DEVICES"] == ""
    assert worker_environment("cuda")["CUDA_VISIBLE_DEVICES"] == "0"


def test_judging_on_the_gpu_wants_to_be_allowed():
    with pytest.raises(WorkerFailed, match="--allow-unconfined"):
        Session(device="cuda", confined=True).start()
    with Session(device="cuda", confined=None) as session, pytest.warns(UserWarning, match="WITHOUT CONFINEMENT"):
        session.start()


@pytest.fixture
def installed_flash_attn(monkeypatch):
    """A package built as the real one: each form reaches its kernel through an autograd function of its own."""
    interface = types.ModuleType("flash_attn.flash_attn_interface")

    class Kernel:
        @staticmethod
        def apply(*arguments):
            with torch._C.DisableTorchFunction():
                return flash_attn_varlen_stand_in(*arguments[:16])

    interface.FlashAttnVarlenFunc, interface.FlashAttnVarlenKVPackedFunc = Kernel, Kernel

    def flash_attn_varlen_func(q, k, v, cu_q, cu_k, max_q, max_k, dropout_p=0.0, softmax_scale=None, causal=False):
        rest = (dropout_p, softmax_scale, causal, (-1, -1), 0.0, None, False, False, None, torch.is_grad_enabled())
        return interface.FlashAttnVarlenFunc.apply(q, k, v, cu_q, cu_k, max_q, max_k, *rest)

    def flash_attn_varlen_kvpacked_func(q, kv, cu_q, cu_k, max_q, max_k, causal=False):
        rest = (0.0, None, causal, (-1, -1), 0.0, None, False, False, None, torch.is_grad_enabled())
        return interface.FlashAttnVarlenKVPackedFunc.apply(q, *kv.unbind(1), cu_q, cu_k, max_q, max_k, *rest)

    monkeypatch.setitem(sys.modules, "flash_attn.flash_attn_interface", interface)
    return flash_attn_varlen_func, flash_attn_varlen_kvpacked_func


def kernel_points(attend) -> int:
    variant = get_variant("flash_causal")

    def function(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
        q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
        return attend(q, k, v, cu_seqlens, max_seqlen).flatten(-2)

    calls = flat_calls(plan(variant.name, PUBLIC_SEED))
    verdict = judge_outcomes(variant, PUBLIC_SEED, perform_here(variant, function, calls, "cpu"))
    assert all(check.passed for check in verdict.checks if check.name != "kernel"), verdict
    return verdict.check("kernel").earned


def test_marks_reach_the_real_flash_attn_and_no_other_of_its_forms(installed_flash_attn):
    varlen, kvpacked = installed_flash_attn
    assert kernel_points(lambda q, k, v, cu, longest: varlen(q, k, v, cu, cu, longest, longest, causal=True)) == 1
    other = lambda q, k, v, cu, longest: kvpacked(q, torch.stack([k, v], 1), cu, cu, longest, longest, causal=True)  # noqa: E731
    assert kernel_points(other) == 0


def test_marks_reach_varlen_attn_behind_the_signature(on_cpu):
    adapted = flash_varlen_attn.adapt(varlen_2_11)
    assert kernel_points(lambda q, k, v, cu, longest: adapted(q, k, v, cu, cu, longest, longest, causal=True)) == 1
    assert flash.flash_route().name in ("stand-in", "varlen_attn", "flash-attn")


def test_lesson_07_gives_flash_functions_their_inputs_where_the_kernel_runs(monkeypatch, capsys):
    stem = get_variant("flash_causal").stem
    source = Path(__file__).parents[1] / "source"
    asked = []

    def perform_elsewhere(device, function, call):
        asked.append(device)
        return perform_on("cpu", function, call)

    for module in (functions, measure):
        monkeypatch.setattr(module, "checked_on", lambda variant: "cuda" if variant.packed else "cpu")
    monkeypatch.setattr(functions, "perform_on", perform_elsewhere)
    loaded = functions.load_functions(source)
    assert stem.removeprefix("06_") in loaded.functions
    assert asked == ["cpu"] * 4 + ["cuda"] * 2
    costs = measure.measure(loaded.functions, "cpu", lengths=(8,))
    assert set(costs) == {name for name in loaded.functions if "flash" not in name}
    assert capsys.readouterr().out.count("its kernel runs on the GPU alone") == 2
