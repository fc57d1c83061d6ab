"""The seed's file is there whole or not at all, and two that draw one at once agree."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from attention_grading.judging import seed
from attention_grading.judging.seed import SeedMissing, course_seed


@pytest.mark.parametrize("failing", ["fsync", "link"])
def test_a_full_disk_leaves_no_seed(tmp_path, monkeypatch, failing):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / ".grading_seed"
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(SeedMissing, match=r"cannot be written to .*No space left"):
            course_seed(path, iter(()))
    assert list(tmp_path.iterdir()) == []
    assert len(course_seed(path, iter(()))) == 64


def test_a_write_that_fails_leaves_no_seed(tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self._file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    real = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *arguments, **options: Full(real(*arguments, **options)))
    with pytest.raises(SeedMissing):
        course_seed(tmp_path / ".grading_seed", iter(()))
    assert list(tmp_path.iterdir()) == []


def test_two_first_gradings_at_once_agree_on_one_seed(tmp_path, monkeypatch):
    together = Barrier(8)
    real = seed.secrets.token_hex

    def wait(size: int) -> str:
        together.wait(10)  # each has seen that there is none
        return real(size)

    monkeypatch.setattr(seed.secrets, "token_hex", wait)
    path = tmp_path / ".grading_seed"
    with ThreadPoolExecutor(8) as pool:
        drawn = set(pool.map(lambda _: course_seed(path, iter(())), range(8)))
    assert drawn == {path.read_text().strip()}
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_seed_is_drawn_once_for_its_owner_alone(tmp_path):
    path = tmp_path / ".grading_seed"
    seed = course_seed(path, iter(()))
    assert len(seed) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert course_seed(path, iter([Path("x")])) == seed
    other = tmp_path / "other"
    assert course_seed(other, iter(())) != seed


def test_missing_seed_on_resume_is_an_error(tmp_path):
    with pytest.raises(SeedMissing, match="Restore the file from your backup"):
        course_seed(tmp_path / ".grading_seed", iter([Path("autograded/a/b/c.ipynb")]))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SeedMissing, match="is empty"):
        course_seed(tmp_path / "empty", iter(()))
