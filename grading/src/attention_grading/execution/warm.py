"""What the children of a warm process need of the kit and of PyTorch, handed to the sandbox."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import torch

import attention_lab
from attention_grading.sandbox import fork_server, warm_process
from attention_lab.flex import load_compiler


def lend(control: socket.socket, handler: fork_server.Handler, prepare: Callable[[], object] = load_compiler) -> None:
    """Serve judges from this process until the last of them is gone.

    Args:
        control: The socket that they ask on.
        handler: What a child does with its channel.
        prepare: What a server does once for children that need PyTorch's compiler.
    """
    # an editable install has the kit elsewhere
    readable = [Path(attention_lab.__file__).parent]
    warm_process.lend(control, handler, readable=readable, reseed=torch.seed, prepare=prepare)
