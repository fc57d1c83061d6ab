"""Which way of getting flash-attn fits a machine, where there is something to get."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from types import ModuleType

from attention_lab.flash.route import AMPERE, RouteName

VERSION = "2.8.3"
RELEASES = "https://github.com/Dao-AILab/flash-attention/releases"


@dataclass(frozen=True)
class Machine:
    """What a wheel of flash-attn has to fit.

    Attributes:
        capability: Compute capability of the CUDA GPU; ``None`` where PyTorch finds none.
        cuda: PyTorch's CUDA version, such as ``12.8``; ``None`` in a build without it.
        torch: PyTorch's version, such as ``2.11.0+cu128``.
        cxx11_abi: Whether PyTorch was built with the newer ABI of C++.
        python: Python's version, such as ``(3, 13)``.
        system: Operating system and processor, such as ``linux_x86_64``.
    """

    capability: tuple[int, int] | None
    cuda: str | None
    torch: str
    cxx11_abi: bool
    python: tuple[int, int]
    system: str

    @property
    def wheel(self) -> str:
        """The name that the project gives a wheel for this machine."""
        cuda = (self.cuda or "").partition(".")[0]
        torch = ".".join(self.torch.split(".")[:2])
        python = "cp" + "".join(map(str, self.python))
        abi = str(self.cxx11_abi).upper()
        return f"flash_attn-{VERSION}+cu{cuda}torch{torch}cxx11abi{abi}-{python}-{python}-{self.system}.whl"


def this_machine(torch: ModuleType) -> Machine:
    """The machine that this runs on."""
    capability = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
    system = f"{platform.system()}_{platform.machine()}".lower()
    abi = bool(torch.compiled_with_cxx11_abi())
    return Machine(capability, torch.version.cuda, torch.__version__, abi, sys.version_info[:2], system)


def to_install(route: RouteName, machine: Machine) -> str:
    """What to install for notebooks 05 and 06, in a sentence or two.

    Args:
        route: The flash route in use.
        machine: What it is on.
    """
    if route == "flash-attn":
        return "nothing: flash-attn itself is in use"
    if machine.capability is None:
        return "nothing: flash-attn needs an NVIDIA GPU, and the stand-in needs none"
    if machine.capability < AMPERE:
        return "nothing: flash-attn does not run on this GPU, and the stand-in does"
    if not machine.system.startswith("linux"):
        return f"nothing: no flash-attn is published for this system; {route} does the work"
    return (
        f"nothing: {route} does the work. If you want flash-attn itself, look for {machine.wheel} at {RELEASES} and "
        "give its address to pip install. If it is not there, the course's environment.yml gets flash-attn from "
        "conda-forge; `pip install flash-attn` would compile it, which can take hours"
    )
