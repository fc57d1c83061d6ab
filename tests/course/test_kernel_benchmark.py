"""What ``benchmarks/kernels.py`` times, and what it makes of what it timed; the timing itself wants a GPU."""

from __future__ import annotations

import json

import pytest
import torch

import kernel_figures
import kernels
import readme
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in
from attention_lab.inputs import pack, unpack
from kernels import Setting
from support.places import ROOT

RECORDED = json.loads((ROOT / "src/attention_lab/data/kernels.json").read_text())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padding", [0.0, 0.5])
def test_all_functions_that_are_timed_compute_the_same(monkeypatch, causal, padding):
    monkeypatch.setattr(kernels, "HIDDEN_DIM", 32)
    setting = Setting("", "forward", causal, 16, 24, 4, padding)
    q, k, v = (torch.randn(4, 24, 32) for _ in range(3))
    real = torch.arange(24) < torch.tensor(setting.lengths)[:, None]
    mask = None if padding == 0 else real
    eager, sdpa = (f(setting, q, k, v, mask)[real] for f in (kernels.eager, kernels.sdpa))
    packed = [pack(x.half(), real)[0] for x in (q, k, v)]
    flash = kernels.flash(flash_attn_varlen_stand_in)(setting, *packed, pack(q, real)[1])
    torch.testing.assert_close(eager, sdpa, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(flash.float(), eager, atol=1e-2, rtol=1e-2)
    assert unpack(flash, real).shape == q.shape


def test_every_setting_has_the_same_tokens_and_its_share_of_padding():
    settings = list(kernels.settings())
    assert len(settings) == len(set(settings)) == 240
    for setting in settings:
        assert setting.batch * setting.seq == kernels.TOKENS
        assert sum(setting.lengths) == pytest.approx((1 - setting.padding) * kernels.TOKENS, rel=0.01)
        assert 1 <= min(setting.lengths) <= max(setting.lengths) <= setting.seq


def test_operations_are_counted_once_for_causal_and_three_and_a_half_times_with_the_backward_pass():
    plain = Setting("sdpa", "forward", False, 128, 512, 32, 0.0)
    assert plain.flops == 2 * 2 * 32 * 512 * 512 * 2048  # two products of 2 operations a pair and number
    assert Setting("sdpa", "forward", True, 128, 512, 32, 0.0).flops == plain.flops / 2
    assert Setting("sdpa", "forward+backward", False, 128, 512, 32, 0.0).flops == 3.5 * plain.flops


def test_recorded_rows_are_complete_and_named_with_machine_and_versions():
    asked = {kernels.key(row) for row in (*RECORDED["rows"], *RECORDED["out_of_memory"])}
    assert asked == {tuple(vars(setting).values()) for setting in kernels.settings()}
    assert RECORDED["machine"]
    assert set(RECORDED["versions"]) == {"torch", "cuda", "flash-attn"}
    for row in RECORDED["rows"]:
        assert 0 < row["ms_low"] <= row["ms"] <= row["ms_high"]
        assert row["tflops"] < RECORDED["matmul_tflops"]
        assert row["peak_mb"] > 0


def test_readme_holds_the_tables_of_the_recorded_rows():
    begin, end = readme.between("kernels")
    _, rest = (ROOT / "benchmarks/README.md").read_text().split(begin)
    assert rest.split(end)[0] == kernel_figures.tables(RECORDED)


def test_figures_are_drawn_with_every_kernel_and_table_goes_between_its_marks(tmp_path):
    begin, end = readme.between("kernels")
    (tmp_path / "README.md").write_text(f"before\n{begin}old\n{end}\nafter\n")
    kernel_figures.write_all(RECORDED, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    names = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert names == {f"kernels-{name}" for name in ("time", "memory", "padding", "sdpa")}
    lines = kernel_figures.time_figure(RECORDED).axes[0].get_lines()
    assert {line.get_label() for line in lines} == set(kernel_figures.NAMES.values())


def test_recorded_json_survives_being_recorded_again():
    assert json.loads(kernels.one_row_a_line(RECORDED)) == RECORDED
