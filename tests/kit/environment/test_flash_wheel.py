"""What ``attention-lab doctor`` says about getting flash-attn, on machines that this one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attention_lab.environment import doctor
from attention_lab.environment.flash_wheel import Machine, this_machine, to_install

LINUX = Machine((9, 0), "13.0", "2.11.0+cu130", True, (3, 13), "linux_x86_64")


@pytest.mark.parametrize(
    ("route", "machine", "words"),
    [
        ("flash-attn", LINUX, "nothing: flash-attn itself is in use"),
        ("stand-in", replace(LINUX, capability=None, cuda=None), "nothing: flash-attn needs an NVIDIA GPU"),
        ("stand-in", replace(LINUX, capability=(7, 5)), "nothing: flash-attn does not run on this GPU"),
        ("varlen_attn", replace(LINUX, system="windows_amd64"), "no flash-attn is published for this system"),
        ("varlen_attn", LINUX, "flash_attn-2.8.3+cu13torch2.11cxx11abiTRUE-cp313-cp313-linux_x86_64.whl"),
        (
            "varlen_attn",
            replace(LINUX, cuda="12.8", torch="2.10.0a0+git", cxx11_abi=False, python=(3, 11), system="linux_aarch64"),
            "flash_attn-2.8.3+cu12torch2.10cxx11abiFALSE-cp311-cp311-linux_aarch64.whl",
        ),
        ("stand-in", LINUX, "nothing: stand-in does the work. If you want flash-attn itself"),
    ],
)
def test_the_way_to_flash_attn_fits_the_machine(route, machine, words):
    assert words in to_install(route, machine)


def test_doctor_says_it_of_this_machine():
    machine = this_machine(torch)
    assert machine.torch == torch.__version__
    assert (machine.capability is None) != torch.cuda.is_available()
    assert doctor.examine().rows["to install"].startswith("nothing: ")
