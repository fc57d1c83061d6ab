"""The first words of a notebook: what is there, on which device it runs, and which flash route it takes."""

from __future__ import annotations

from attention_lab.environment.not_yet import expect_function
from attention_lab.environment.packages import python_version, require
from attention_lab.variants import Variant, get_variant


def welcome(variant: str | Variant) -> str:
    """Say in a few plain lines what is there; from now on the notebook says it, too, where its function is not defined.

    Args:
        variant: The notebook's variant; the packed ones hear which flash route is in use.

    Returns:
        The device for the toy inputs: ``"cuda"`` where PyTorch can use a GPU, else ``"cpu"``.

    Raises:
        MissingPackage: Something is missing or too old; two lines say what, and what to do.
    """
    for name in ("torch", "matplotlib"):
        require(name)
    import torch

    variant = get_variant(variant)
    device = device_name()
    gpu = f" ({torch.cuda.get_device_name()})" if device == "cuda" else ""
    print(f"Python {python_version()}, torch {torch.__version__}, device {device}{gpu}.")
    if variant.kernel == "flash":
        from attention_lab.flash import flash_route

        print(f"Flash route: {flash_route().name}. {flash_route().sentence}")
    if variant.kernel == "flex":
        from attention_lab.flex import flex_device, forward_alone, missing

        told = f", and forward alone, as {reason}" if (reason := forward_alone(flex_device())) else ""
        runs = f"flex_attention runs uncompiled here{told}. Its first call takes a few seconds."
        print(missing() or runs)
        if missing():
            return device
    print("All that this notebook needs is here.")
    expect_function(variant.function_name)
    return device


def device_name() -> str:
    """``"cuda"`` where PyTorch can use a GPU, else ``"cpu"``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
