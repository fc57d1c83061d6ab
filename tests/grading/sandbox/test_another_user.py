"""All tests of confinement once more, as a user who owns nothing."""

from __future__ import annotations

import warnings

import pytest

from support.unprivileged import copy_for_nobody, is_root

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]

# Below tests/grading; what confines, and what rests on it
FILES = (
    "sandbox/test_confinement.py",
    "sandbox/test_limits.py",
    "sandbox/test_processes.py",
    "sandbox/test_self_test.py",
    "execution/test_out_of_reach.py",
    "judging/test_ends.py",
    "judging/test_honest_class.py",
    "judging/test_refusal.py",
    "judging/test_seed.py",
    "nbgrader_plugin/test_clean_submission.py",
)


def test_all_this_holds_for_a_user_who_owns_nothing():
    if not is_root():
        warnings.warn("the tests do not run as root: the pass as root was not run", stacklevel=1)
        return
    copy = copy_for_nobody()
    files = [f"grading/{name}" for name in FILES]
    process = copy.start("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, f"--basetemp={copy.folder / 'tmp'}")
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-4000:]
    assert "passed" in output
