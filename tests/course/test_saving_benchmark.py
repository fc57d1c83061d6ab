"""What ``benchmarks/savings.py`` times, and what it makes of what it timed; the timing itself wants a GPU."""

from __future__ import annotations

import json

import pytest
import torch

import readme
import saving_figures
import savings
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in
from gpu.flash_contract import reference
from savings import Setting
from support.places import ROOT
from support.varlen import varlen_2_10, varlen_2_11

# Every row that may be measured, on an invented machine: half a key, or a key head, costs half
REPORT = {
    "machine": "A machine",
    "versions": {"torch": "9.9"},
    "left_out": ["varlen_attn of PyTorch 9.9 has no enable_gqa"],
    "rows": [
        vars(setting) | {"ms_low": setting.size / 9, "ms": setting.size / 8, "ms_high": setting.size / 7}
        | {"keys_and_values_mb": 8.0 * setting.key_heads}
        for setting in savings.settings()
    ],
}  # fmt: skip


def varlen_with_groups(query, key, value, *borders, window_size=(-1, -1), enable_gqa=False):
    assert enable_gqa or key.shape == query.shape
    return flash_attn_varlen_stand_in(query, key, value, *borders, window_size=window_size)


KERNELS = {"flash-attn": flash_attn_varlen_stand_in, "varlen_attn": varlen_with_groups}


@pytest.mark.parametrize(
    ("what", "size"), [("window", 1), ("window", 7), ("window", 40), ("prefill", 2), ("decode", 3), ("decode", 1)]
)
def test_all_functions_that_are_timed_compute_what_is_asked(monkeypatch, what, size):
    for name, value in {"HEADS": 6, "HEAD_DIM": 16, "NEW": 5, "TOKENS": 40}.items():
        monkeypatch.setattr(savings, name, value)
    monkeypatch.setattr(savings.routes, "_adapted", lambda kernel: flash_attn_varlen_stand_in)
    settings = [Setting(what, kernel, "forward", size) for kernel in savings.KERNELS[: 2 if what == "window" else 3]]
    q, k, v = savings.inputs_of(settings[0], "cpu")
    borders = [savings.running_sum(lengths) for lengths in (settings[0].queries, settings[0].keys)]
    left = size - 1 if what == "window" else -1
    expected, _ = reference(q.double(), k.double(), v.double(), *borders, 40, 40, window_size=(left, 0))
    for setting in settings:
        output = savings.function_for(setting, KERNELS)(q, k, v)
        torch.testing.assert_close(output.double(), expected, atol=2e-2, rtol=2e-2, msg=setting.kernel)


def test_what_does_not_run_here_is_left_out_by_name():
    kernels = {"flash-attn": ModuleNotFoundError("No module named 'flash_attn'"), "varlen_attn": varlen_2_11}
    said = {setting: savings.function_for(setting, kernels) for setting in savings.settings()}
    for setting, function in said.items():
        if setting.kernel == "flash-attn":
            assert "flash-attn does not run here: No module named" in function
        elif setting.kernel == "varlen_attn" and setting.what != "window":
            assert function == f"varlen_attn of PyTorch {torch.__version__} has no enable_gqa"
        else:
            assert callable(function)
    first = next(setting for setting in said if setting.kernel == "varlen_attn" and setting.what == "window")
    assert savings.function_for(first, kernels | {"varlen_attn": varlen_2_10}).endswith("has no window_size")


def test_readme_holds_the_tables_of_the_recorded_rows():
    begin, end = readme.between("savings")
    _, rest = (ROOT / "benchmarks/README.md").read_text().split(begin)
    kept = savings.RECORDED
    wanted = saving_figures.tables(json.loads(kept.read_text())) if kept.is_file() else saving_figures.NOT_RECORDED
    assert rest.split(end)[0] == wanted


def test_figures_are_drawn_with_every_kernel_and_tables_go_between_their_marks(tmp_path):
    begin, end = readme.between("savings")
    (tmp_path / "README.md").write_text(f"before\n{begin}{saving_figures.NOT_RECORDED}{end}\nafter\n")
    saving_figures.write_all(REPORT, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "Left out: varlen_attn of PyTorch 9.9 has no enable_gqa." in text
    assert "| 4 096 | flash-attn | 512.00 (455.11 to 585.14) | 4.0 | 512.00 (455.11 to 585.14) | 4.0 |" in text
    assert "| 2 | SDPA | 0.250 (0.222 to 0.286) | 0.250 (0.222 to 0.286) | 16 |" in text
    for name in ("window", "key-heads"):
        assert (tmp_path / "figures" / f"savings-{name}.png").is_file()
        assert f"(figures/savings-{name}.png)" in text
    labels = [[line.get_label() for line in axes.get_lines()] for axes in saving_figures.heads_figure(REPORT).axes]
    assert [set(each) for each in labels] == [{"SDPA", "varlen_attn", "flash-attn"}] * 2
