"""What the children of a warm process need of the kit and of PyTorch, handed to the sandbox."""

from __future__ import annotations

import socket
from pathlib import Path

import torch

import attention_lab
from attention_grading.sandbox import fork_server, warm_process


def lend(control: socket.socket, handler: fork_server.Handler) -> None:
    """Serve judges from this process until the last of them is gone.

    Args:
        control: The socket that they ask on.
        handler: What a child does with its channel.
    """
    # an editable install has the kit elsewhere
    warm_process.lend(control, handler, readable=[Path(attention_lab.__file__).parent], reseed=torch.seed)
