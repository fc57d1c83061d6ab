"""The check ``kernel``: what is marked, however it is called, and what a kernel request may ask of the judge."""

from __future__ import annotations

import itertools
import subprocess
import sys
import types

import pytest
import torch
import torch.nn.functional as F
from solutions import eager, sdpa

from attention_grading.execution import flash_package
from attention_grading.execution.kernel_hooks import marked_kernels
from attention_grading.judging import kernel_factors
from attention_grading.judging.kernel_factors import MAX_SEQUENCES, MarkedKernels, true_flash, true_sdpa
from attention_lab.flash import stand_in
from attention_lab.inputs import running_sum
from attention_lab.variants import POINTS

# Eager answers whose numbers are right: ``attend(q, k, v, allowed)`` for [batch, num_heads, seq, head_dim]
EAGER = """
ATTEND

def eager_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    allowed = torch.ones(batch, 1, seq, seq, dtype=torch.bool, device=q.device)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]
    allowed = allowed | ~allowed.any(-1, keepdim=True)
    if q.is_meta or q.requires_grad:
        scores = (q @ k.mT / math.sqrt(head_dim)).masked_fill(~allowed, -1e4)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return attend(q, k, v, allowed).transpose(1, 2).flatten(2).to(q.dtype)
"""

ITEM_BY_ITEM = """
def attend(q, k, v, allowed):
    half = torch.float16 if q.dtype == torch.float16 else torch.bfloat16
    rows = []
    for a, b, c, seen in zip(q, k, v, allowed[:, 0, 0]):
        a, b, c = (x.transpose(0, 1).to(half).contiguous() for x in (a, b[:, seen], c[:, seen]))
        rows.append(one(a, b, c).transpose(0, 1))
    return torch.stack(rows).to(q.dtype)
"""
BORDERS = "[torch.tensor([0, len(x)], dtype=torch.int32) for x in (a, b)]"

WRONG = {
    "ones-column": """
def attend(q, k, v, allowed):
    q, k, v = q.float(), k.float(), v.float()
    longer = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    output = F.scaled_dot_product_attention(q, k, longer, attn_mask=allowed)
    return output[..., :-1] / output[..., -1:]
""",
    "vmap": """
def attend(q, k, v, allowed):
    return torch.vmap(lambda a, b, c, seen: F.scaled_dot_product_attention(a, b, c, attn_mask=seen))(q, k, v, allowed)
""",
    "vmap-over-heads-of-the-inner-operator": """
def attend(q, k, v, allowed):
    inner = lambda a, b, c: torch.ops.aten._scaled_dot_product_attention_math(a, b, c, allowed[:, 0])[0]
    return torch.vmap(inner, in_dims=1, out_dims=1)(q, k, v)
""",
    "vmap-of-nothing": """
def attend(q, k, v, allowed):
    run = lambda one: F.scaled_dot_product_attention(q, k, v, attn_mask=allowed) * one
    return torch.vmap(run)(torch.ones(1))[0]
""",
    "vjp": """
def attend(q, k, v, allowed):
    return torch.func.vjp(lambda a: F.scaled_dot_product_attention(a, k, v, attn_mask=allowed), q)[0]
""",
    "grad": """
def attend(q, k, v, allowed):
    function = lambda a: (a.sum(), F.scaled_dot_product_attention(a, k, v, attn_mask=allowed))
    return torch.func.grad(function, has_aux=True)(q)[1]
""",
    "stand-in-without-torch-functions": f"""
def one(a, b, c):
    with torch._C.DisableTorchFunction():
        return flash_attn_varlen_func(a, b, c, *{BORDERS}, len(a), len(b))
{ITEM_BY_ITEM}""",
    "stand-in-in-a-thread": f"""
from concurrent.futures import ThreadPoolExecutor

def one(a, b, c):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(flash_attn_varlen_func, a, b, c, *{BORDERS}, len(a), len(b)).result()
{ITEM_BY_ITEM}""",
    "inside-of-the-stand-in": f"""
from attention_lab.flash.stand_in import _attend

def one(a, b, c):
    seen = torch.ones(len(a), len(b), dtype=torch.bool)
    return _attend(a, b, c, seen, a.shape[-1] ** -0.5, 0.0, 0.0)[0]
{ITEM_BY_ITEM}""",
    "padded-form-of-flash": f"""
from flash_attn import flash_attn_func

def one(a, b, c):
    return flash_attn_func(a[None], b[None], c[None])[0]
{ITEM_BY_ITEM}""",
    "packed-form-of-flash": f"""
from flash_attn import flash_attn_varlen_kvpacked_func

def one(a, b, c):
    return flash_attn_varlen_kvpacked_func(a, torch.stack([b, c], 1), *{BORDERS}, len(a), len(b))
{ITEM_BY_ITEM}""",
    "multi-head-without-torch-functions": """
from torch.nn.functional import multi_head_attention_forward as forward

def attend(q, k, v, allowed):
    head_dim, one = q.shape[-1], torch.eye(q.shape[-1], dtype=q.dtype)
    def head(a, b, c, seen):
        with torch._C.DisableTorchFunction():
            return forward(a, b, c, head_dim, 1, torch.cat([one] * 3), None, None, None, False, 0.0, one, None,
                           need_weights=True, attn_mask=~seen)[0]
    batch = range(len(q))
    return torch.stack([torch.stack([head(q[i, h], k[i, h], v[i, h], allowed[i, 0])
                                     for h in range(q.shape[1])]) for i in batch])
""",
    "native-multi-head": """
def attend(q, k, v, allowed):
    head_dim, one = q.shape[-1], torch.eye(q.shape[-1], dtype=q.dtype)
    none = torch.zeros(3 * head_dim, dtype=q.dtype)
    def head(a, b, c, seen):
        with torch._C.DisableTorchFunction():
            return torch._native_multi_head_attention(a[None], b[None], c[None], head_dim, 1, torch.cat([one] * 3),
                none, one, none[:head_dim], ~seen, need_weights=False, mask_type=0)[0][0]
    return torch.stack([torch.stack([head(q[i, h], k[i, h], v[i, h], allowed[i, 0])
                                     for h in range(q.shape[1])]) for i in range(len(q))])
""",
    "inside-of-flex-attention": """
from torch._higher_order_ops.flex_attention import math_attention
from torch.nn.attention.flex_attention import create_block_mask

def attend(q, k, v, allowed):
    block = create_block_mask(lambda b, h, i, j: allowed[b, 0, i, j], len(q), 1, q.shape[2], q.shape[2], device="cpu")
    plain = lambda score, b, h, i, j: score
    return math_attention(q, k, v, plain, block.as_tuple(), q.shape[-1] ** -0.5, {})[0]
""",
}


@pytest.mark.parametrize("name", WRONG)
def test_eager_answer_that_hides_a_fused_kernel_loses_the_point_of_kernel(session, write, name):
    verdict = session.judge_file("eager_bidirectional", write("a.py", EAGER.replace("ATTEND", WRONG[name])))
    assert "comes from a fused attention kernel" in verdict.check("kernel").message
    assert verdict.check("contract").passed


# Right answers: what takes the place of F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
CALL = "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)"
RIGHT = {
    "over the batch": "torch.vmap(F.scaled_dot_product_attention)(q, k, v, SEEN)",
    "over the batch, the mask left alone": "torch.vmap(lambda a, b, c, m: F.scaled_dot_product_attention(a, b, c, m), "
    "in_dims=(1, 1, 1, None), out_dims=1)(q, k, v, SEEN[:, 0])",
    "over heads": "torch.vmap(F.scaled_dot_product_attention, in_dims=(1, 1, 1, 1), out_dims=1)"
    "(q, k, v, SEEN.expand(-1, num_heads, -1, -1))",
    "nested": "torch.vmap(torch.vmap(F.scaled_dot_product_attention, in_dims=(0, 0, 0, None)))(q, k, v, SEEN[:, 0])",
    "in chunks": "torch.vmap(F.scaled_dot_product_attention, chunk_size=1)(q, k, v, SEEN)",
    "as the aten operator": "torch.vmap(torch.ops.aten.scaled_dot_product_attention.default)(q, k, v, SEEN)",
    "under vjp": "(F.scaled_dot_product_attention(q, k, v, SEEN) if q.requires_grad else "
    "torch.func.vjp(lambda x: F.scaled_dot_product_attention(q, k, x, SEEN), v)[0])",
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("variant", ["sdpa_bidirectional", "sdpa_causal"])
def test_sdpa_under_a_transform_keeps_all_points(session, write, variant, name):
    text = sdpa.BASE.replace(CALL, RIGHT[name].replace("SEEN", "allowed.expand(batch, 1, seq, seq)"))
    text = text.replace("NAME", f"{variant}_attention").replace("TABLE", TABLES[variant])
    verdict = session.judge_file(variant, write("a.py", text))
    assert {check.name: check.earned for check in verdict.checks} == POINTS


TABLES = {"sdpa_bidirectional": sdpa.FULL, "sdpa_causal": sdpa.TRIANGLE}


def test_sdpa_on_jagged_tensors_keeps_the_point_of_kernel(session, write):
    verdict = session.judge_file("sdpa_bidirectional", write("a.py", JAGGED))
    assert verdict.check("kernel").passed, verdict.check("kernel").message


JAGGED = """
def sdpa_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    if mask is None:
        mask = torch.ones(q.shape[:2], dtype=torch.bool, device=q.device)
    real = mask.any(1)
    def packed(x):
        items = [a[m].unflatten(-1, (num_heads, head_dim)) for a, m in zip(x[real], mask[real])]
        return torch.nested.nested_tensor(items, layout=torch.jagged).transpose(1, 2)
    rows = F.scaled_dot_product_attention(packed(q), packed(k), packed(v)).transpose(1, 2).unbind()
    output = torch.zeros_like(q)
    for item, row in zip(real.nonzero()[:, 0].tolist(), rows):
        output[item, mask[item]] = row.flatten(1).to(q.dtype)
    return output
"""


def test_view_that_the_real_kernels_result_allows_is_allowed_here(session, write):
    text = """
def sdpa_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    batch, seq, hidden_dim = q.shape
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    if mask is not None:
        mask = mask[:, None, None, :].expand(batch, 1, seq, seq)
        mask = mask | ~mask.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).view(batch, seq, hidden_dim)
"""
    verdict = session.judge_file("sdpa_bidirectional", write("a.py", text))
    assert verdict.check("kernel").passed, verdict.check("kernel").message


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
    assert float(factors.std(-1).min()) > 0.1


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


def test_eager_answer_by_vmap_over_plain_operations_keeps_all_points(session, write):
    text = eager.BASE.replace("weights @ v", "torch.vmap(torch.matmul)(weights, v)")
    text = text.replace("NAME", "eager_causal_attention").replace("TRIANGLE", eager.TRIANGLE[True])
    verdict = session.judge_file("eager_causal", write("a.py", text))
    assert {check.name: check.earned for check in verdict.checks} == POINTS
