"""Where there is no confinement, and what is readable with it."""

from __future__ import annotations

from pathlib import Path

import pytest

import attention_grading
from attention_grading.sandbox import confinement
from attention_grading.sandbox.confinement import ConfinementUnavailable, require_available


def test_libraries_are_readable_without_the_packages_beneath_them():
    """/lib64 may lead to the folder that holds site-packages."""
    for path in confinement.readable_paths():
        inside = Path(attention_grading.__file__).parent
        assert not inside.is_relative_to(path.resolve() if path.exists() else path), path


@pytest.mark.parametrize(
    ("what", "value", "words"),
    [
        ("sys.platform", "darwin", "needs Linux"),
        ("platform.machine", lambda: "riscv64", "this is riscv64"),
        ("landlock_abi", lambda: 1, "Linux 6.2"),
    ],
)
def test_unavailable_platform_is_refused_with_the_way_out(what, value, words, monkeypatch):
    monkeypatch.setattr(f"attention_grading.sandbox.confinement.{what}", value)
    with pytest.raises(ConfinementUnavailable, match=words) as refused:
        require_available()
    assert "--allow-unconfined" in str(refused.value)
    assert "c.JudgingRules.allow_unconfined = True" in str(refused.value)
