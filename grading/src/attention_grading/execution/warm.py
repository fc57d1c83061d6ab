"""A warm process that learners' code is run from: what its children need, handed to the sandbox."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import torch

import attention_lab
from attention_grading.sandbox import fork_server
from attention_grading.sandbox.limits import Limits


def serve(descriptor: int, handler: fork_server.Handler, limits: str | None) -> None:
    """Serve requests in children of this process until the judge goes away.

    Args:
        descriptor: File descriptor of the socket to the judge.
        handler: What a child does with its channel.
        limits: What a confined child may use, as JSON; ``None`` runs children unconfined.
    """
    fork_server.serve(
        socket.socket(fileno=descriptor),
        handler,
        None if limits is None else Limits(**json.loads(limits)),
        readable=[Path(attention_lab.__file__).parent],  # an editable install has the kit elsewhere
        reseed=torch.seed,
    )
