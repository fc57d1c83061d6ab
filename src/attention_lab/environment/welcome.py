"""The first words of a notebook: what is there, on which device it runs, and which flash route it takes."""

from __future__ import annotations

from attention_lab.environment.packages import look_at, python_version
from attention_lab.variants import Variant, get_variant


def welcome(variant: str | Variant) -> str:
    """Say in a few plain lines what is there and what to do about what is not.

    Args:
        variant: The notebook's variant; the packed ones hear which flash route is in use.

    Returns:
        The device for the toy inputs: ``"cuda"`` where PyTorch can use a GPU, else ``"cpu"``.
    """
    import torch

    device = device_name()
    gpu = f" ({torch.cuda.get_device_name()})" if device == "cuda" else ""
    print(f"Python {python_version()}, torch {torch.__version__}, device {device}{gpu}.")
    if get_variant(variant).packed:
        from attention_lab.flash import flash_route

        print(f"Flash route: {flash_route().name}. {flash_route().sentence}")
    problems = [package for name in ("torch", "matplotlib") if (package := look_at(name, by_import=False)).problem]
    for package in problems:
        print(f"{package.problem} {package.remedy}")
    if not problems:
        print("All that this notebook needs is here.")
    return device


def device_name() -> str:
    """``"cuda"`` where PyTorch can use a GPU, else ``"cpu"``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
