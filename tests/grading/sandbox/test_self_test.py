"""The probe of confinement: what it attempts fails, and it notices where something does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from attention_grading.sandbox import confinement, self_test
from attention_grading.sandbox.confinement import Confinement
from attention_grading.sandbox.limits import Limits
from attention_grading.sandbox.self_test import ConfinementBroken, forbidden_attempts, probe

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]


def confined(action: Callable[[], object], limits: Limits | None = None) -> str:
    """Do something in a confined child: "done", or the name of what stopped it."""
    rules = Confinement(limits or Limits())
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            rules.apply()
            action()
            os.write(send, b"done")
        except BaseException as error:
            os.write(send, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(send)
    os.close(rules.descriptor)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(pid, 0)
    return answer


def test_probe_passes_here():
    probe(Confinement(Limits()))


@pytest.mark.parametrize("name", list(forbidden_attempts()))
def test_each_attempt_of_the_probe_fails_when_confined(name):
    assert confined(forbidden_attempts()[name]) in ("PermissionError", "OSError", "MemoryError")


HARMLESS = ("open the reference", "read /etc/passwd", "fork", "open an internet socket", "start a program")


@pytest.mark.parametrize("name", HARMLESS)
def test_probe_notices_what_a_process_without_confinement_can_do(name, monkeypatch):
    """The counterpart: an attempt that always failed would prove nothing."""
    rules = Confinement(Limits())
    monkeypatch.setattr(rules, "apply", lambda: None)
    monkeypatch.setattr(self_test, "forbidden_attempts", lambda: {name: forbidden_attempts()[name]})
    with pytest.raises(ConfinementBroken, match=name):
        probe(rules)


@pytest.mark.parametrize("step", ["_drop_capabilities", "install_filter", "_set_limits"])
def test_probe_stops_grading_where_a_step_of_confinement_does_nothing(step, monkeypatch):
    if step == "_drop_capabilities":
        monkeypatch.setattr(confinement, step, lambda *arguments: 1 / 0)
    else:
        monkeypatch.setattr(confinement, step, lambda *arguments: None)
    with pytest.raises(ConfinementBroken):
        probe(Confinement(Limits(memory_bytes=2**30)))


def test_probe_stops_grading_where_landlock_allows_everything(monkeypatch):
    monkeypatch.setattr(confinement, "readable_paths", lambda: [Path("/")])
    with pytest.raises(ConfinementBroken, match=r"open the reference.*read /etc/passwd"):
        probe(Confinement(Limits()))
