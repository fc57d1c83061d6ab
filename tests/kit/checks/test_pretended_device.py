"""On a pretended device all goes as on a GPU, and what a GPU refuses is refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from attention_lab.checks.pretended_device import DevicesMeet, PretendedDevice
from attention_lab.checks.words import is_device_mismatch
from attention_lab.flex import create_block_mask, flex_attention, load_compiler, uncompiled

TRIANGLE = torch.ones(5, 5, dtype=torch.bool).tril()

REFUSED = {
    "a mask on the CPU": lambda q, mask, scores: scores.masked_fill(~mask.cpu()[:, None], -1.0),
    "a triangle on the CPU": lambda q, mask, scores: scores.masked_fill(~TRIANGLE, -1.0),
    "a bias on the CPU": lambda q, mask, scores: scores + TRIANGLE.float(),
    "where on the CPU": lambda q, mask, scores: torch.where(TRIANGLE, scores, 0.0),
    "a product": lambda q, mask, scores: q.to("cpu") @ q.transpose(1, 2),
    "cat": lambda q, mask, scores: torch.cat([q, torch.zeros(2, 5, 6)]),
    "in place": lambda q, mask, scores: torch.zeros(2, 5, 6).add_(q),
    "SDPA's mask": lambda q, mask, scores: F.scaled_dot_product_attention(q, q, q, attn_mask=mask.cpu()[:, None]),
    "numbers on the CPU at an index": lambda q, mask, scores: scores.index_put((torch.tensor([0]),), torch.ones(5, 5)),
    "an index there, numbers here": lambda q, mask, scores: torch.zeros(2, 5)[mask],
}
ALLOWED = {
    "a triangle moved": lambda q, mask, scores: scores.masked_fill(~TRIANGLE.to(q.device), -1.0),
    "a triangle made there": lambda q, mask, scores: (
        scores + torch.ones(5, 5, device=q.device).tril().masked_fill(mask[:, None], 0.0)
    ),
    "a number without axes": lambda q, mask, scores: scores * torch.tensor(2.0),
    "an index on the CPU": lambda q, mask, scores: scores[:, torch.tensor([0, 2])],
    "a number at a mask on the CPU": lambda q, mask, scores: _with(scores, (slice(None), ~TRIANGLE), float("-inf")),
    "numbers at indices on the CPU": lambda q, mask, scores: _with(torch.zeros_like(q), (mask.cpu(),), q[mask]),
    "a number of its own": lambda q, mask, scores: torch.where(
        mask[:, None], scores, torch.tensor(float("-inf"), device=q.device)
    ),
    "an index of its own": lambda q, mask, scores: q.index_select(1, torch.tensor([0, 1], device=q.device)),
    "a list": lambda q, mask, scores: q * torch.as_tensor([1.0] * 6, device=q.device) * q.new_tensor([2.0] * 6),
    "a list in a block": lambda q, mask, scores: _in_block(q) * q,
    "a copy": lambda q, mask, scores: torch.asarray(mask) & torch.as_tensor(mask),
    "there and back": lambda q, mask, scores: mask.cpu().to(q.device) & mask,
    "SDPA": lambda q, mask, scores: F.scaled_dot_product_attention(q, q, q, attn_mask=mask[:, None]),
    "the same type": lambda q, mask, scores: TRIANGLE.type_as(scores) + scores,
}


# FlexAttention, for four axes: the places are PyTorch's own, the labels come along
FLEX_ALLOWED = {"everything there": lambda q, labels: _flex(q, labels, device=q.device)}
FLEX_REFUSED = {
    "a block mask on the CPU": lambda q, labels: _flex(q, labels),
    "a block mask of places alone on the CPU": lambda q, labels: _flex(q, None),
    "labels on the CPU": lambda q, labels: _flex(q, labels.cpu(), device=q.device),
    "a table on the CPU": lambda q, labels: _flex(q, None, lambda i, j: TRIANGLE[i, j], device=q.device),
}


def _flex(q, labels, seen=lambda i, j: i >= j, **where):
    def mask_mod(b, h, i, j):
        return seen(i, j) if labels is None else seen(i, j) & (labels[i] == labels[j])

    return flex_attention(q, q, q, block_mask=create_block_mask(mask_mod, None, None, 5, 5, **where))


@pytest.mark.parametrize("name", [*FLEX_ALLOWED, *FLEX_REFUSED])
def test_flex_attention_goes_as_on_a_gpu(name):
    load_compiler()
    x, labels = torch.randn(1, 2, 5, 8), torch.tensor([3, 3, 9, 9, 9])
    with torch.no_grad(), uncompiled(), PretendedDevice() as device:
        q, ids = device.put(x), device.put(labels)
        if name in FLEX_ALLOWED:
            output = FLEX_ALLOWED[name](q, ids)
            assert output.device.type == "meta"
            output = output.cpu()
        else:
            with pytest.raises(RuntimeError) as refused:
                FLEX_REFUSED[name](q, ids)
            assert is_device_mismatch(str(refused.value)), refused.value
            return
    seen = (labels[:, None] == labels) & TRIANGLE
    torch.testing.assert_close(output, F.scaled_dot_product_attention(x, x, x, attn_mask=seen))


def _with(x, index, value):
    x = x.clone()
    x[index] = value
    return x


def _in_block(q):
    with q.device:
        return torch.tensor([3.0] * 6)


@pytest.fixture
def there():
    with PretendedDevice() as device:
        q = device.put(torch.arange(60.0).view(2, 5, 6))
        yield q, device.put(torch.tensor([[True] * 5, [True] * 3 + [False] * 2])), q @ q.transpose(1, 2)


@pytest.mark.parametrize("operation", REFUSED.values(), ids=REFUSED)
def test_what_a_gpu_refuses_is_refused(operation, there):
    with pytest.raises(DevicesMeet, match="same device"):
        operation(*there)


@pytest.mark.parametrize("operation", ALLOWED.values(), ids=ALLOWED)
def test_what_a_gpu_does_gives_a_tensor_there(operation, there):
    assert operation(*there).device == there[0].device


def test_numbers_can_be_read(there):
    """A function that asks its inputs which way to go goes the right way."""
    q, mask, _ = there
    assert not bool(mask.all())
    assert mask.sum(-1).tolist() == [5, 3]
    assert float(q.max()) == 59.0
    assert mask.nonzero().shape == (8, 2)
    assert f"{q.max():.1f} {mask.sum()}" == "59.0 8"
    assert torch.tensor([1, 2], device=q.device).tolist() == q.new_tensor([1, 2]).tolist() == [1, 2]


def test_operation_in_place_keeps_its_tensor(there):
    q, _, _ = there
    view = q[:, 0]
    assert q.mul_(2.0) is torch.as_tensor(q, device=q.device) is q
    assert view.tolist()[0] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    q[:, 0] = 1.0
    assert float(q.sum(-1)[0, 0]) == 6.0


def test_what_is_brought_to_the_cpu_is_there(there):
    assert there[1].cpu().device.type == "cpu"
    assert torch.zeros(2, 5, 6).copy_(there[0]).device.type == "cpu"
