"""The kernels that the judge computes in the submission's place: as the real ones, and bounded."""

from __future__ import annotations

import itertools
import subprocess
import sys
import types

import pytest
import torch
import torch.nn.functional as F

from attention_grading.execution import flash_package
from attention_grading.execution.kernel_hooks import marked_kernels
from attention_grading.judging import kernel_factors
from attention_grading.judging.kernel_factors import MAX_SEQUENCES, MarkedKernels, true_flash, true_sdpa
from attention_lab.flash import stand_in
from attention_lab.inputs import running_sum

# ---- what is marked --------------------------------------------------------------------------------------------------


def doubled(kernel: str, arguments: dict) -> torch.Tensor:
    """A service whose factor is 2 for SDPA, 3 for flash and 5 for others."""
    if kernel == "other":
        return arguments["output"] * 5
    return 2 * true_sdpa(**arguments) if kernel == "sdpa" else 3 * true_flash(**arguments)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("batched", [b for b in itertools.product((0, None), repeat=4) if any(x == 0 for x in b)])
@pytest.mark.parametrize("ranks", [(2, 2, 2, 2), (3, 2, 3, 2), (3, 3, 3, 3), (2, 3, 2, 3)])
def test_marked_sdpa_under_vmap_broadcasts_as_the_real_one(batched, ranks):
    shapes = ((5, 4), (6, 4), (6, 3), (5, 6))
    tensors = [
        normal(*(() if axis is None else (2,)), *(3,) * (rank - 2), *shape)
        for axis, rank, shape in zip(batched, ranks, shapes, strict=True)
    ]
    function = torch.vmap(F.scaled_dot_product_attention, in_dims=batched)
    try:
        expected = function(*tensors)
    except RuntimeError:  # shapes that the real one does not take
        return
    with marked_kernels(doubled):
        marked = function(*tensors)
    torch.testing.assert_close(marked, 2 * expected)
    torch.testing.assert_close(function(*tensors), expected)  # all is as before


def test_marked_sdpa_lies_in_memory_as_the_real_one():
    for query in (
        normal(2, 3, 5, 8),
        normal(2, 5, 3, 8).transpose(1, 2),
        normal(3, 5, 8),
        normal(2, 3, 5, 8, 1)[..., 0],
    ):
        for options in ({}, {"is_causal": True}, {"attn_mask": torch.ones(5, 5, dtype=torch.bool)}):
            real = F.scaled_dot_product_attention(query, query, query, **options)
            with marked_kernels(doubled):
                marked = F.scaled_dot_product_attention(query, query, query, **options)
            assert marked.stride() == real.stride(), (query.stride(), options)


@pytest.fixture
def packed() -> dict:
    qkv = {name: normal(7, 2, size).bfloat16() for name, size in zip("qkv", (8, 8, 8), strict=True)}
    borders = running_sum([3, 4])
    return qkv | {"cu_seqlens_q": borders, "cu_seqlens_k": borders, "max_seqlen_q": 4, "max_seqlen_k": 4}


def test_true_flash_is_the_stand_ins(packed):
    for options in ({}, {"causal": True}, {"window_size": (1, 0)}, {"softcap": 1.5, "softmax_scale": 0.3}):
        expected = stand_in.flash_attn_varlen_stand_in(**packed, **options).double()
        torch.testing.assert_close(true_flash(**packed, **options), expected, atol=1e-2, rtol=1e-2)


def test_flash_attn_varlen_func_is_marked_as_flash_and_the_other_forms_as_others(packed):
    package, interface = flash_package.build()
    q, k, v, *rest = packed.values()
    true = package.flash_attn_varlen_func(q, k, v, *rest)
    padded = [x[:4].unflatten(0, (1, 4)) for x in (q, k, v)]
    others = [
        lambda: interface.flash_attn_varlen_kvpacked_func(q, torch.stack([k, v], 1), *rest),
        lambda: interface.flash_attn_varlen_qkvpacked_func(torch.stack([q, k, v], 1), rest[0], 4),
        lambda: interface.flash_attn_func(*padded),
        lambda: interface.flash_attn_kvpacked_func(padded[0], torch.stack(padded[1:], 2)),
        lambda: interface.flash_attn_qkvpacked_func(torch.stack(padded, 2)),
    ]
    plain = [other() for other in others]
    with marked_kernels(doubled):
        torch.testing.assert_close(package.flash_attn_varlen_func(q, k, v, *rest), 3 * true, atol=2e-2, rtol=2e-2)
        for other, expected in zip(others, plain, strict=True):
            torch.testing.assert_close(other(), 5 * expected)


@pytest.mark.parametrize(
    "name",
    [
        "FlashAttnFunc",
        "FlashAttnKVPackedFunc",
        "FlashAttnQKVPackedFunc",
        "FlashAttnVarlenKVPackedFunc",
        "FlashAttnVarlenQKVPackedFunc",
    ],
)
def test_the_real_packages_other_forms_are_marked_as_others(monkeypatch, name):
    class Form:
        @staticmethod
        def apply(q, *arguments):
            return q + 1, "log-sum-exp"

    interface = types.ModuleType("flash_attn.flash_attn_interface")
    setattr(interface, name, Form)
    monkeypatch.setitem(sys.modules, "flash_attn.flash_attn_interface", interface)
    q = normal(3, 2, 4)
    with marked_kernels(doubled):
        output, rest = getattr(interface, name).apply(q, None)
    torch.testing.assert_close(output, 5 * (q + 1))
    assert rest == "log-sum-exp"
    assert getattr(interface, name) is Form


def test_each_number_of_an_eager_notebooks_kernel_has_its_own_factor():
    service = MarkedKernels(kernel_factors.MARKED_KERNELS["eager"])
    x = normal(2, 6, 8)
    service.begin(True, [x])
    arguments = {"query": x, "key": x, "value": x}
    factors = service("sdpa", arguments) / true_sdpa(**arguments)
    assert float(factors.std(-1).min()) > 0.01  # along a row they would not differ at all


# ---- what a request may ask ------------------------------------------------------------------------------------------


def empty(*shape: int) -> torch.Tensor:
    """A tensor of any size without memory of its own."""
    return torch.zeros(()).expand(shape)


def of_sdpa(q=(2, 3), k=(2, 3), v=(2, 3), mask=None, **options):
    tensors = {"query": empty(*q), "key": empty(*k), "value": empty(*v)}
    return "sdpa", tensors | options | ({} if mask is None else {"attn_mask": empty(*mask)})


def of_flash(q=(2, 1, 8), k=(2, 1, 8), v=(2, 1, 8), cu=None, **options):
    borders = torch.tensor([0, q[0]], dtype=torch.int32) if cu is None else cu
    tensors = {
        name: empty(*shape).bfloat16() if 0 in shape else torch.zeros((), dtype=torch.bfloat16).expand(shape)
        for name, shape in zip("qkv", (q, k, v), strict=True)
    }
    rest = {"cu_seqlens_q": borders, "cu_seqlens_k": borders, "max_seqlen_q": q[0], "max_seqlen_k": k[0]}
    return "flash", tensors | rest | options


LARGE = 10**8
HOSTILE = {
    "flash without heads": of_flash(q=(LARGE, 0, 8)),
    "flash without heads, few borders": of_flash(q=(LARGE, 0, 8), k=(LARGE, 0, 8), v=(LARGE, 0, 8)),
    "flash of no numbers": of_flash(q=(LARGE, 1, 0), k=(LARGE, 1, 0), v=(LARGE, 1, 0)),
    "flash without queries, many keys": of_flash(q=(0, 1, 8), k=(LARGE, 1, 8), v=(LARGE, 1, 8)),
    "flash without keys, many queries": of_flash(q=(LARGE, 1, 8), k=(0, 1, 8), v=(0, 1, 8)),
    "flash of many tokens": of_flash(q=(5000, 1, 8), k=(5000, 1, 8), v=(5000, 1, 8)),
    "flash with many key heads": of_flash(k=(2, LARGE, 8), v=(2, LARGE, 8)),
    "flash of four axes": of_flash(q=(2, 1, 8, LARGE)),
    "flash of one axis": of_flash(q=(2,)),
    "many borders": of_flash(cu=torch.zeros(MAX_SEQUENCES + 2, dtype=torch.int32)),
    "borders with two axes": of_flash(cu=torch.zeros(2, 2, dtype=torch.int32)),
    "borders of another dtype": of_flash(cu=torch.zeros(2, dtype=torch.int64)),
    "a longest sequence that is no integer": of_flash(max_seqlen_q=10**30),
    "a window that is none": of_flash(window_size=[1, 2, 3]),
    "an argument of flash that is not its own": of_flash(block_table=None),
    "grouped heads over another batch": of_sdpa((1, 2, 300, 8), (LARGE, 1, 300, 8), (1, 1, 300, 8), enable_gqa=True),
    "grouped heads, keys and values of different batches": of_sdpa(
        (9, 8, 50, 8), (9, 1, 50, 8), (99, 1, 50, 8), enable_gqa=True
    ),
    "sdpa over a product of axes": of_sdpa((10**4, 1, 1, 1), (1, 10**4, 1, 1), (1, 1, 1, 1)),
    "sdpa without heads": of_sdpa((0, LARGE, 1), (0, LARGE, 1), (0, LARGE, 1)),
    "sdpa without a batch": of_sdpa((0, 1, 10**4, 1), (0, 1, 10**4, 1), (0, 1, 10**4, 1)),
    "sdpa of no numbers": of_sdpa((10**4, 0), (10**4, 0), (10**4, 0)),
    "no queries, a wide value": of_sdpa((0, 3), (2, 3), (2, LARGE)),
    "no keys, many queries and heads": of_sdpa((LARGE, 3), (0, 3), (0, 3)),
    "a mask with an axis of its own": of_sdpa(mask=(LARGE, 2, 2)),
    "a mask of many rows": of_sdpa((1, 3), mask=(10**6, 2)),
    "one axis": of_sdpa((3,), (3,), (3,)),
    "integers": ("sdpa", dict.fromkeys(("query", "key", "value"), torch.zeros(2, 2, dtype=torch.int64))),
    "no tensor": ("sdpa", {"query": empty(2, 2), "key": [[1.0]], "value": empty(2, 2)}),
    "a missing tensor": ("sdpa", {"query": empty(2, 2), "key": empty(2, 2)}),
    "an argument of sdpa that is not its own": of_sdpa(dropout_p=0.5),
    "a number for a flag": of_sdpa(is_causal=10**30),
    "an integer beyond all floats": of_sdpa(scale=10**400),
    "another's output, large": ("other", {"output": empty(LARGE)}),
    "another's output and more": ("other", {"output": empty(2), "v": empty(2)}),
    "an unknown kernel": ("flex", {"output": empty(2)}),
    "a kernel that is no name": (["sdpa"], {"output": empty(2)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_request_is_refused_before_anything_is_computed(monkeypatch, name):
    def computed(*arguments, **named):
        raise AssertionError("computed")

    for function in ("true_sdpa", "true_flash", "_made_of"):
        monkeypatch.setattr(kernel_factors, function, computed)
    service = MarkedKernels(("sdpa", "flash", "other"))
    service.begin(True, [normal(2, 8)])
    with pytest.raises(ValueError, match=r"too many|kernel|missing"):
        service(*HOSTILE[name])


HONEST = {
    "sdpa": of_sdpa((2, 3, 6, 8), (2, 3, 6, 8), (2, 3, 6, 8), is_causal=True, scale=None, attn_mask=None),
    "a sequence of no tokens": of_sdpa((3, 0, 8), (3, 0, 8), (3, 0, 8)),
    "queries without keys": of_sdpa((3, 5, 8), (3, 0, 8), (3, 0, 8)),
    "the longest, one head over all": of_sdpa((160, 8), (160, 8), (160, 8), (160, 160)),
    "the longest, queries as a batch": of_sdpa((2, 80, 1, 8), (2, 80, 80, 8), (2, 80, 80, 8), (2, 80, 1, 80)),
    "grouped heads": of_sdpa((2, 4, 6, 8), (2, 2, 6, 8), (2, 2, 6, 8), enable_gqa=True),
    "flash": of_flash((89, 2, 8), (89, 2, 8), (89, 2, 8), causal=True, window_size=[-1, -1], softmax_scale=None),
    "flash of no tokens": of_flash((0, 2, 8), (0, 2, 8), (0, 2, 8)),
    "many empty sequences": of_flash((2, 1, 8), cu=torch.tensor([0] * MAX_SEQUENCES + [2], dtype=torch.int32)),
}


@pytest.mark.parametrize("name", HONEST)
def test_request_of_an_honest_extreme_is_answered(name):
    service = MarkedKernels(("sdpa", "flash", "other"))
    service.begin(True, [normal(2, 80, 24)])
    kernel, arguments = HONEST[name]
    query = arguments["query" if kernel == "sdpa" else "q"]
    assert service(kernel, arguments).shape == query.shape


# the largest requests that are taken, each in a process of its own
LARGEST = (
    '"sdpa", dict(query=x(1000, 1), key=x(1000, 1), value=x(1000, 1), attn_mask=x(1000, 1000), is_causal=True)',
    '"sdpa", dict(query=x(1, 4), key=x(250000, 4), value=x(250000, 4))',
    '"sdpa", dict(query=x(8, 1, 4), key=x(8, 31250, 4), value=x(8, 31250, 4))',
    '"other", dict(output=x(199_000))',
)


@pytest.mark.process
@pytest.mark.parametrize("request_", LARGEST)
def test_largest_request_takes_no_more_than_150_mb_of_the_judge(request_):
    code = f"""
import torch
from attention_grading.judging.kernel_factors import MarkedKernels
torch.set_num_threads(1)
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
x = torch.zeros
service = MarkedKernels(("sdpa", "flash", "other"))
service.begin(True, [torch.randn(1, 80, 16)] * 3)
service("sdpa", dict.fromkeys(("query", "key", "value"), torch.randn(4, 4)))
before = peak()
service({request_})
print((peak() - before) // 1024)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 150


def test_marks_of_a_submission_are_bounded_over_all_its_calls(monkeypatch):
    monkeypatch.setattr(kernel_factors, "MAX_KEPT", 100)
    service, x = MarkedKernels(("sdpa",)), torch.randn(5, 8)
    for _ in range(2):
        service.begin(True, [x])
        service("sdpa", dict.fromkeys(("query", "key", "value"), x))
    service.begin(True, [x])
    with pytest.raises(ValueError, match="too many or too large"):
        service("sdpa", dict.fromkeys(("query", "key", "value"), x))


def test_kernel_calls_whose_results_would_fill_the_judges_memory_are_refused():
    service = MarkedKernels(("sdpa",))
    one, values = torch.ones(1, 1), torch.ones(1, 500)
    service.begin(True, [values])
    service("sdpa", {"query": torch.ones(400, 1), "key": one, "value": values})
    with pytest.raises(ValueError, match="too many or too large"):
        service("sdpa", {"query": one, "key": one, "value": values})
    assert len(service.marks) == 400 * 500
