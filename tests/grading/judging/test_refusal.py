"""A session without confinement, and on a GPU, wants to be allowed."""

from __future__ import annotations

import warnings

import pytest

from attention_grading.judging.session import Session
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.processes import WorkerFailed


class Unavailable:
    """Stands for a warm process on a platform without confinement."""

    def __init__(self, module: str, limits: Limits | None):
        self._limits = limits

    def start(self) -> None:
        if self._limits is not None:
            raise WorkerFailed("confinement needs Linux; this is Darwin")

    def close(self) -> None:
        pass


def test_session_refuses_without_confinement_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr("attention_grading.execution.judge_runner.WarmServer", Unavailable)
    with pytest.raises(WorkerFailed, match="needs Linux"), Session() as refused:
        refused.start()
    with pytest.warns(UserWarning, match=r"WITHOUT CONFINEMENT.*needs Linux"), Session(confined=None) as allowed:
        allowed.start()


@pytest.mark.process
@pytest.mark.needs("confinement")
def test_session_does_not_warn_where_it_confines():
    with warnings.catch_warnings(), Session(confined=None) as confines:
        warnings.simplefilter("error")
        confines.start()
        assert confines._confined is True


@pytest.mark.process
def test_judging_on_the_gpu_wants_to_be_allowed():
    with pytest.raises(WorkerFailed, match="--allow-unconfined"):
        Session(device="cuda", confined=True).start()
    with Session(device="cuda", confined=None) as session, pytest.warns(UserWarning, match="WITHOUT CONFINEMENT"):
        session.start()
