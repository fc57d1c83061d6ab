"""The meter of intermediates: what it counts, and what it does not."""

from __future__ import annotations

import gc

import pytest
import torch

from attention_lab.checks.intermediates import Meter

X = torch.randn(3, 50, 7)


def seen(run):
    with torch.no_grad(), Meter() as meter:
        run()
    return meter.seen()


def test_views_and_expanded_axes_take_no_memory():
    got = seen(lambda: X.transpose(1, 2).unsqueeze(1).expand(3, 1000, 7, 50))
    assert (got.peak, got.work) == (0, 0)
    assert got.largest == X.numel()


def test_what_dies_makes_room():
    got = seen(lambda: [X + number for number in range(9)])
    assert got.peak == 9 * 4 * X.numel()
    assert seen(lambda: [(X + number).sum() for number in range(9)]).peak < 2 * 4 * X.numel() + 100


@pytest.mark.parametrize(
    "write",
    [
        lambda room: torch.bmm(X, X.mT, out=room[:, :50, :50]),
        lambda room: room[:, :50, :50].copy_(X @ X.mT),
        lambda room: room[:, 0, :7].add_(X[:, 0]),
    ],
)
def test_a_large_buffer_shows_however_little_of_it_is_written(write):
    room = torch.zeros(3, 400, 400)
    assert seen(lambda: write(room)).largest == room.numel()


@pytest.mark.parametrize(
    ("run", "terms"),
    [
        (lambda: X @ X.mT, 7),
        (lambda: X.mT @ X, 50),
        (lambda: torch.einsum("bkd,bke->bde", X, X), 50),
        (lambda: X.softmax(1), 50),
        (lambda: torch.softmax(X[0, :, 0], 0), 50),
        (lambda: X.logsumexp((1, 2)), 350),
        (lambda: X.amax(1), 50),
        (lambda: X.max(dim=1, keepdim=True).values, 50),
        (lambda: (X[..., None] * X[:, :, None]).sum(1), 50),
        (lambda: torch.addmm(X[0, :7], X[0].T, X[0]), 50),
        (lambda: torch.maximum(X, X + 1), 0),
        (lambda: (X > 0).sum(1), 0),
        (lambda: (X[:1, :, 0] > 0).float().sum(1), 0),
    ],
)
def test_sums_are_counted_by_their_terms(run, terms):
    assert seen(run).longest_sum == terms


def test_autograd_functions_and_maps_are_looked_into():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return (x.unsqueeze(-1) * torch.ones(90)).sum(-1)

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    x = X.clone().requires_grad_()
    with Meter() as meter:
        Double.apply(x)
    assert meter.seen().largest == 90 * X.numel()
    assert seen(lambda: torch.vmap(lambda row: row @ row.T)(X)).largest == 3 * 50 * 50


def test_a_meter_keeps_nothing_alive():
    meter = Meter()
    with meter, torch.no_grad():
        kept = [X + 1]
    assert len(meter._references) == 1
    kept.clear()
    gc.collect()
    assert not meter._references
