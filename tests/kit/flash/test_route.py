"""The three flash routes, chosen for faked machines; the real kernels are asked in ``tests/gpu``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from attention_lab.flash.route import Found, choose, implementation, working
from attention_lab.flash.stand_in import flash_attn_varlen_stand_in

MISSING = ModuleNotFoundError("No module named 'flash_attn'", name="flash_attn")
NO_VARLEN = ModuleNotFoundError("No module named 'torch.nn.attention.varlen'", name="torch.nn.attention.varlen")


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


@pytest.mark.process
def test_importing_the_kit_wakes_no_gpu():
    code = "import attention_lab, attention_lab.flash.route as f; print(f._chosen.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_old_gpu_hears_its_name_the_reason_and_the_route_in_one_sentence():
    route = choose(Found((7, 5), None, None, "Tesla T4"))
    assert route.name == "stand-in"
    assert route.sentence.startswith("Tesla T4 is too old for FlashAttention, which needs Ampere or newer")
    assert "stand-in" in route.sentence
    assert route.sentence.count(". ") == 0
