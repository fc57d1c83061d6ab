"""The check *kernel*: hidden and honest kernels, by transforms, views and jagged tensors."""

from __future__ import annotations

import pytest

from attention_grading.judging.in_kernel import judge_all
from attention_lab.notebook.run_cells import load
from attention_lab.variants import POINTS, get_variant
from corpus import eager, sdpa

pytestmark = pytest.mark.process


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
from attention_lab.flash.stand_in import How, _attend

def one(a, b, c):
    how = How(a.shape[-1] ** -0.5)
    return _attend(a, b, c, [0, len(a)], [0, len(b)], how)[0]
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


def test_eager_answer_by_vmap_over_plain_operations_keeps_all_points(session, write):
    text = eager.BASE.replace("weights @ v", "torch.vmap(torch.matmul)(weights, v)")
    text = text.replace("NAME", "eager_causal_attention").replace("TRIANGLE", eager.TRIANGLE[True])
    verdict = session.judge_file("eager_causal", write("a.py", text))
    assert {check.name: check.earned for check in verdict.checks} == POINTS


DROPOUT = """
def attend(q, k, v, allowed):
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, -1e4)
    return F.dropout(scores.softmax(-1), 0.1) @ v
"""


def test_dropout_is_not_taken_for_a_fused_kernel_in_a_notebook():
    """A process of the judge's own draws the same random numbers in each call; a notebook does not."""
    variant = get_variant("eager_bidirectional")
    cell = {"id": "solution", "source": EAGER.replace("ATTEND", DROPOUT)}
    _, function = load([cell], variant.function_name, "own")
    (kernel,) = [check for check in judge_all(variant, function).checks if check.name == "kernel"]
    assert "the output is different the second time" in kernel.message
    assert "comes from a fused attention kernel" not in kernel.message
