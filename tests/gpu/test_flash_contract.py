"""Every flash route takes and refuses what the table in ``flash_contract`` states for it."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from attention_lab.flash import flash_attn_varlen_func, flash_route
from gpu.flash_contract import ROUTES, ROWS, SAME, UNDEFINED, ask, asked, kernels, reference, table

pytestmark = pytest.mark.gpu

NAMES = [row.name for row in ROWS]


@pytest.mark.parametrize("route", ROUTES)
def test_outcomes_are_as_stated(route):
    if not callable(kernels()[route]):
        pytest.skip(f"{route} on a GPU: {kernels()[route]}")
    results = ask(route)
    wrong = [f"{r.row}: {r.got}, stated {r.stated}. {r.words}" for r in results.values() if r.got != r.stated]
    assert not wrong
    assert sum(r.stated == SAME for r in results.values()) >= 40


def test_rows_have_names_of_their_own():
    assert len(NAMES) == len(set(NAMES))


def test_stand_in_is_stricter_only_where_the_kernels_are_silently_wrong_and_for_what_it_lists():
    for row in ROWS:
        if row.stand_in_error is not None:
            assert row.flash_attn not in (SAME, "rejected"), row.name
        elif row.stand_in == "refused by name":
            assert row.argument in ("alibi_slopes", "block_table"), row.name
        else:
            assert row.name == "everything on the CPU" or row.stand_in == row.flash_attn, row.name
        assert row.stand_in != UNDEFINED, row.name


def test_reference_agrees_with_attention_in_one_formula():
    q, k, v = (torch.randn(6, 2, 4, dtype=torch.float64) for _ in range(3))
    borders = torch.tensor([0, 6], dtype=torch.int32)
    output, lse = reference(q, k, v, borders, borders, 6, 6, causal=True)
    expected = torch.nn.functional.scaled_dot_product_attention(
        q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), is_causal=True
    )
    torch.testing.assert_close(output, expected.transpose(0, 1))
    assert lse.shape == (2, 6)


@pytest.mark.needs("gpu")
def test_route_here_is_a_kernel_and_flash_attn_is_its_own_function():
    assert flash_route().name == asked()[0]
    if flash_route().name == "flash-attn":
        import flash_attn

        assert flash_attn_varlen_func is flash_attn.flash_attn_varlen_func


def test_table_is_printed(capsys):
    with capsys.disabled():
        console = Console(width=120)
        console.print()
        console.print(table(asked(), every_row=False))
    assert set(ask("stand-in")) == set(NAMES)
